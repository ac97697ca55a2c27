//! Lines and bars over names, described; drawn by [`svg`].
//!
//! A series is told by the shape of its marks as well as by its colour. The colours are those of Okabe and Ito (2008), which the
//! colour-blind tell apart.

mod draw;
mod layout;

pub use draw::svg;

use crate::figure::scale::Scale;

/// What a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Lines or bars.
    pub form: Form,
    /// Above everything; may be empty.
    pub title: String,
    /// What the places are; may be empty.
    pub place_title: String,
    /// What the values are; may be empty.
    pub value_title: String,
    /// What the series are: above their names; may be empty.
    pub series_title: String,
    /// Names of the places, from the left.
    pub places: Vec<String>,
    /// What is drawn over them.
    pub series: Vec<Series>,
    /// The values at the lower and the upper end.
    pub scale: Scale,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Marks, and lines between neighbours.
    Lines,
    /// Bars side by side.
    Bars,
}

/// A value at each place.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its values, place by place; `None` where there is none.
    pub points: Vec<Option<Point>>,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where its mark is.
    pub value: f64,
    /// How far the whisker reaches below and above.
    pub whisker: Option<f64>,
}

#[cfg(test)]
mod tests;
