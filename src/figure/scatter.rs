//! Named points in a plane, described and drawn: one measure of a layer against another.

use std::fmt::Write;

use crate::figure::colour::{self, FAINT, INK, Rgb};
use crate::figure::font::{self, Weight};
use crate::figure::layout::{LABEL, MARGIN, SPACE, TICK, TITLE};
use crate::figure::scale::Scale;
use crate::figure::svg::{self, Text, escape, px, text};

const PLOT: (f64, f64) = (420.0, 260.0);
const MARK: f64 = 4.0;
const POINT: Rgb = [0x00, 0x72, 0xb2];

/// What a scatter plot shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// Above everything.
    pub title: String,
    /// Below the plot.
    pub x_title: String,
    /// Above the values.
    pub y_title: String,
    /// Name, x, y.
    pub points: Vec<(String, f64, f64)>,
}

/// Draws it. A name is written beside its point where it covers no other name or point.
pub fn svg(scatter: &Scatter) -> String {
    let scale = |of: fn(&(String, f64, f64)) -> f64| {
        let values = || scatter.points.iter().map(of).filter(|value| value.is_finite());
        let least = values().fold(0.0, f64::min);
        Scale { min: least, max: Scale::up_to_largest(values()).max }
    };
    let (xs, ys) = (scale(|point| point.1), scale(|point| point.2));
    let marks = ys.marks(6);
    let widest = marks.iter().map(|(_, words)| font::width(words, TICK, Weight::Regular)).fold(0.0, f64::max);
    let (left, top) = (MARGIN + widest + SPACE, MARGIN + TITLE + 14.0 + LABEL + SPACE);
    let (right, bottom) = (left + PLOT.0, top + PLOT.1);
    let title = font::width(&scatter.title, TITLE, Weight::Bold);
    let width = (right + 2.0 * MARGIN).max(title + 2.0 * MARGIN);
    let mut svg = svg::page(width, bottom + 2.0 * (SPACE + LABEL) + MARGIN, &scatter.title);
    let faint = |x, y, anchor| Text { x, y, size: TICK, colour: FAINT, anchor, weight: Weight::Regular };
    let x_of = |value| left + PLOT.0 * xs.fraction(value);
    let y_of = |value| bottom - PLOT.1 * ys.fraction(value);
    text(
        &mut svg,
        &Text { size: LABEL, ..faint(MARGIN, top - SPACE - LABEL / 2.0, "start") },
        &scatter.y_title,
    );
    for (value, words) in &marks {
        let y = y_of(*value);
        let (from, line, to) = (px(left), px(y), px(right));
        _ = writeln!(svg, "<path d=\"M{from} {line}H{to}\" stroke=\"#d0d7de\" stroke-width=\"0.75\"/>");
        text(&mut svg, &faint(left - SPACE, y, "end"), words);
    }
    for (value, words) in &xs.marks(6) {
        text(&mut svg, &faint(x_of(*value), bottom + SPACE + TICK / 2.0, "middle"), words);
    }
    let middle = f64::midpoint(left, right);
    let below = bottom + 2.0 * SPACE + TICK + LABEL / 2.0;
    text(&mut svg, &Text { size: LABEL, ..faint(middle, below, "middle") }, &scatter.x_title);
    let placed: Vec<_> = scatter.points.iter().map(|(name, x, y)| (name, x_of(*x), y_of(*y))).collect();
    for ((name, x, y), (_, value_x, value_y)) in placed.iter().zip(&scatter.points) {
        let (told, x, y) = (escape(name), px(*x), px(*y));
        let colour = colour::hex(POINT);
        _ = writeln!(
            svg,
            "<g><title>{told}: {value_x}, {value_y}</title><circle cx=\"{x}\" cy=\"{y}\" r=\"{MARK}\" fill=\"{colour}\" fill-opacity=\"0.75\"/></g>"
        );
    }
    names(&mut svg, &placed, right);
    svg + "</svg>\n"
}

/// Left, upper, right, lower edge.
type Area = [f64; 4];

fn names(svg: &mut String, points: &[(&String, f64, f64)], right: f64) {
    let around = |(_, x, y): &(&String, f64, f64)| [x - MARK, y - MARK, x + MARK, y + MARK];
    let mut taken: Vec<Area> = points.iter().map(around).collect();
    for (name, x, y) in points {
        let (wide, tall) = (font::width(name, TICK, Weight::Regular), TICK / 2.0);
        let is_left = x + MARK + SPACE + wide > right;
        let start = if is_left { x - MARK - 3.0 - wide } else { x + MARK + 3.0 };
        let area = [start, y - tall, start + wide, y + tall];
        let is_free = |other: &Area| {
            area[2] <= other[0] || other[2] <= area[0] || area[3] <= other[1] || other[3] <= area[1]
        };
        if taken.iter().all(is_free) {
            let words =
                Text { x: start, y: *y, size: TICK, colour: INK, anchor: "start", weight: Weight::Regular };
            text(svg, &words, name);
            taken.push(area);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_cover_each_other() {
        let point = |name: &str, x, y| (name.to_owned(), x, y);
        let points = vec![
            point("layer1", 0.1, 0.5),
            point("layer2", 0.101, 0.501),
            point("layer<3>", 1.0, 0.0),
            point("layer4", 0.5, -0.1),
        ];
        let svg = svg(&Scatter { title: "t".into(), x_title: "x".into(), y_title: "y".into(), points });
        let named = |name: &str| svg.contains(&format!(">{name}</text>"));
        assert!(named("layer1") && !named("layer2") && named("layer&lt;3&gt;") && named("layer4"));
        assert_eq!(svg.matches("<circle").count(), 4, "each has its point");
        assert!(svg.contains("<title>layer2: 0.101, 0.501</title>"));
    }
}
