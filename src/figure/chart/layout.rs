//! Where everything in a chart goes, in pixels from the top left.

use crate::figure::chart::{Chart, Form};
use crate::figure::font::{self, Weight};
use crate::figure::layout::{LABEL, MARGIN, SPACE, TICK, TITLE};

/// Height of the plot.
const HEIGHT: f64 = 230.0;
/// Least width of the plot, so that few places do not look lost.
const LEAST_WIDTH: f64 = 220.0;
/// Width that many places are squeezed into, down to [`LEAST_STEP`] for each.
const USUAL_WIDTH: f64 = 620.0;
/// Room for a name that stands on its side.
const LEAST_STEP: f64 = 15.0;
/// Where places are numbers, such as epochs: not each of them is named.
const LEAST_NUMBER_STEP: f64 = 4.0;
/// Width of a bar, at least and at most.
const BAR: (f64, f64) = (5.0, 18.0);
/// From the plot to the names of the series.
const SERIES_SPACE: f64 = 20.0;
/// From one name of a series to the next.
pub(super) const SERIES_STEP: f64 = 18.0;
/// Width of the mark before a series' name.
pub(super) const SAMPLE: f64 = 22.0;

/// Places and sizes.
pub(super) struct Layout {
    /// Of the picture.
    pub width: f64,
    /// Of the picture.
    pub height: f64,
    /// Left, upper, right and lower edge of the plot.
    pub plot: [f64; 4],
    /// Middle of each place.
    pub places: Vec<f64>,
    /// One place of so many is named, beginning with the first.
    pub every: usize,
    /// Whether the names of the places stand on their sides.
    pub is_vertical: bool,
    /// Middle of the title of the places.
    pub place_title: f64,
    /// Width of a bar.
    pub bar: f64,
    /// Left edge of the names of the series.
    pub series: f64,
    /// Values to mark, and their texts.
    pub marks: Vec<(f64, String)>,
}

impl Layout {
    pub(super) fn new(chart: &Chart) -> Self {
        let wide = |text: &str, size| font::width(text, size, Weight::Regular);
        let widest = |texts: &mut dyn Iterator<Item = &String>, size| {
            texts.map(|text| wide(text, size)).fold(0.0, f64::max)
        };
        let count = chart.places.len().max(1) as f64;
        let names = widest(&mut chart.places.iter(), LABEL);
        let are_numbers = chart.places.iter().all(|name| name.parse::<f64>().is_ok());
        let least = match chart.form {
            Form::Lines if are_numbers => LEAST_NUMBER_STEP,
            Form::Lines => LEAST_STEP,
            Form::Bars => (chart.series.len() as f64 * BAR.0 + 8.0).max(LEAST_STEP),
        };
        let widest_step = (LEAST_WIDTH / count).max(USUAL_WIDTH / count.max(10.0));
        let step = (USUAL_WIDTH / count).clamp(least, widest_step.max(least));
        let fits = |every: &usize| names + 6.0 <= step * *every as f64;
        let every =
            if are_numbers { [1, 2, 5, 10, 20, 50, 100].into_iter().find(fits).unwrap_or(200) } else { 1 };
        let is_vertical = !are_numbers && !fits(&1);

        let marks = chart.scale.marks((HEIGHT / 34.0) as usize);
        let texts: Vec<_> = marks.iter().map(|(_, text)| text.clone()).collect();
        // A name under the first place may reach to the left of the plot.
        let overhang = if is_vertical { 0.0 } else { (names - step) / 2.0 };
        let left = MARGIN + (widest(&mut texts.iter(), TICK) + SPACE).max(overhang);
        let title = if chart.title.is_empty() { 0.0 } else { TITLE + 14.0 };
        let value_title = if chart.value_title.is_empty() { 0.0 } else { LABEL + SPACE };
        let top = MARGIN + title + value_title;
        let (right, bottom) = (left + count * step, top + HEIGHT);

        let names = if is_vertical { names } else { LABEL };
        let place_title = bottom + SPACE + names + SPACE + LABEL / 2.0;
        let below =
            if chart.place_title.is_empty() { bottom + SPACE + names } else { place_title + LABEL / 2.0 };
        let series = right + SERIES_SPACE;
        let lines = chart.series.len() + usize::from(!chart.series_title.is_empty());
        let series_end = series
            + (SAMPLE + widest(&mut chart.series.iter().map(|series| &series.name), LABEL))
                .max(wide(&chart.series_title, LABEL));
        let end = series_end
            .max(MARGIN + font::width(&chart.title, TITLE, Weight::Bold))
            .max(f64::midpoint(left, right) + wide(&chart.place_title, LABEL) / 2.0);
        Self {
            width: end + MARGIN,
            height: below.max(top + lines as f64 * SERIES_STEP) + MARGIN,
            plot: [left, top, right, bottom],
            places: (0..chart.places.len()).map(|place| left + (place as f64 + 0.5) * step).collect(),
            every,
            is_vertical,
            place_title,
            bar: ((step - 8.0) / chart.series.len().max(1) as f64).clamp(BAR.0, BAR.1),
            series,
            marks,
        }
    }
}
