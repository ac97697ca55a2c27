//! Learning curves as a chart of braille dots.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, LegendPosition, Widget};

use crate::cli::watch::state::Stage;
use crate::cli::watch::view::Metric;

/// The splits, and their colours.
const SPLITS: [(&str, Color); 2] = [("train", Color::Cyan), ("test", Color::Yellow)];

/// Draws a metric of a training, on both splits.
pub(super) fn draw(stage: &Stage, metric: Metric, is_logarithmic: bool, area: Rect, buffer: &mut Buffer) {
    let height = |value: f64| if is_logarithmic { value.log10() } else { value };
    let curves = SPLITS.map(|(split, _)| {
        let points = points(stage, split, metric).iter().map(|(epoch, value)| (*epoch, height(*value)));
        // An error of 0 has no logarithm.
        points.filter(|(_, value)| value.is_finite()).collect::<Vec<_>>()
    });
    let last = curves.iter().flatten().map(|(epoch, _)| *epoch).fold(1.0, f64::max);
    let bounds = bounds(curves.iter().flatten().map(|(_, value)| *value), is_logarithmic);
    let datasets = SPLITS.iter().zip(&curves).map(|((split, colour), points)| {
        let dataset = Dataset::default().name(*split).marker(Marker::Braille).graph_type(GraphType::Line);
        dataset.style(Style::new().fg(*colour)).data(points)
    });
    let values = [0.0, 0.5, 1.0].map(|share| {
        let height = bounds[0] + share * (bounds[1] - bounds[0]);
        number(if is_logarithmic { libm::pow(10.0, height) } else { height })
    });
    let epochs: &[f64] = if last % 2.0 == 0.0 { &[0.0, last / 2.0, last] } else { &[0.0, last] };
    Chart::new(datasets.collect())
        .block(Block::new().title(title(stage, metric)))
        .legend_position(Some(LegendPosition::TopRight))
        .x_axis(Axis::default().bounds([0.0, last]).labels(epochs.iter().map(f64::to_string)))
        .y_axis(Axis::default().bounds(bounds).labels(values))
        .render(area, buffer);
}

/// From where to where the values go; without logarithms, from 0.
fn bounds(heights: impl Iterator<Item = f64> + Clone, is_logarithmic: bool) -> [f64; 2] {
    let highest = heights.clone().fold(f64::NEG_INFINITY, f64::max);
    let lowest = if is_logarithmic { heights.fold(f64::INFINITY, f64::min) } else { 0.0 };
    match (lowest < highest, is_logarithmic) {
        (true, _) => [lowest, highest],
        (false, true) => [-1.0, 0.0],
        (false, false) => [0.0, 1.0],
    }
}

fn points<'a>(stage: &'a Stage, split: &str, metric: Metric) -> &'a [(f64, f64)] {
    stage.curves.get(&format!("{split}/{}", metric.name())).map_or(&[], Vec::as_slice)
}

/// What is drawn, and the last values: `fit[seed=0]: error by epoch; 2: train 0.120, test 0.100`.
pub(super) fn title(stage: &Stage, metric: Metric) -> String {
    let title = format!("{}: {} by epoch", stage.name, metric.name());
    let last = SPLITS.map(|(split, _)| (split, points(stage, split, metric).last()));
    match last {
        [(train, Some((epoch, at_train))), (test, Some((_, at_test)))] => {
            let [at_train, at_test] = [at_train, at_test].map(|value| number(*value));
            format!("{title}; after {epoch}: {train} {at_train}, {test} {at_test}")
        }
        _ => title,
    }
}

/// Three digits after the point, or those that count.
fn number(value: f64) -> String {
    if value == 0.0 || value >= 0.001 { format!("{value:.3}") } else { format!("{value:.1e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::state::tests::run;

    #[test]
    fn bounds_hold_all_values() {
        assert_eq!(bounds([0.5, 0.1].into_iter(), false), [0.0, 0.5]);
        assert_eq!(bounds([-1.0, -3.0].into_iter(), true), [-3.0, -1.0]);
        assert_eq!(bounds([0.0].into_iter(), false), [0.0, 1.0], "a perfect network");
        assert_eq!(bounds(std::iter::empty(), true), [-1.0, 0.0]);
    }

    #[test]
    fn the_title_tells_the_last_values() {
        let run = run("");
        let title = |metric| title(&run.stages[1], metric);
        assert_eq!(title(Metric::Loss), "fit[seed=0]: loss by epoch; after 2: train 0.400, test 0.300");
        assert_eq!(super::title(&run.stages[0], Metric::Error), "mnist: error by epoch");
        assert_eq!([0.0, 0.25, 0.0004].map(number), ["0.000", "0.250", "4.0e-4"]);
    }
}
