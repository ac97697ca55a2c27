//! A table as lines or bars.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::figure::chart::{Chart, Form, Point, Series};
use crate::figure::scale::Scale;
use crate::kinds::figure::Labels;
use crate::kinds::parameters;
use crate::table::grid::{Grid, Summary};

/// How a table becomes lines or bars.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChartOptions {
    /// Above everything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    title: String,
    /// What lies side by side, from left to right. The other is told apart by colour.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    over: Over,
    /// How far whiskers reach; where it is unknown there are none.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    whiskers: Whiskers,
    /// The values at the lower and the upper end. Without it: from 0 to the largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scale: Option<Scale>,
    /// Words in place of the usual ones.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
}

/// A side of the table.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Over {
    #[default]
    Rows,
    Columns,
}

/// What whiskers show.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Whiskers {
    /// The 95 % interval of the mean.
    #[default]
    Ci95,
    /// The sample standard deviation.
    Std,
}

/// Describes the chart of a grid.
pub(super) fn lines_or_bars(grid: &Grid, options: &ChartOptions, form: Form) -> Chart {
    let ChartOptions { over, whiskers, scale, labels, title } = options;
    let (rows, columns) = (grid.labels(), grid.columns.clone());
    let point = |summary: &Summary| {
        let whisker = match whiskers {
            Whiskers::Ci95 => summary.half_width(),
            Whiskers::Std => summary.std,
        };
        Point { value: summary.mean, whisker }
    };
    let (row_title, column_title) = (labels.rows(grid), labels.columns(grid));
    let width = columns.len();
    let (places, names, place_title, series_title) = match over {
        Over::Rows => (rows, columns, row_title, column_title),
        Over::Columns => (columns, rows, column_title, row_title),
    };
    let cell = |place: usize, series: usize| match over {
        Over::Rows => place * width + series,
        Over::Columns => series * width + place,
    };
    let points =
        |series| (0..places.len()).map(|place| grid.cells[cell(place, series)].as_ref().map(point)).collect();
    let series: Vec<_> =
        (0..).zip(names).map(|(series, name)| Series { name, points: points(series) }).collect();
    let ends = series.iter().flat_map(|series| series.points.iter().flatten());
    let ends = ends.map(|point| point.value + point.whisker.unwrap_or(0.0));
    Chart {
        form,
        title: title.clone(),
        place_title,
        value_title: labels.values.clone().unwrap_or_else(|| grid.metric.clone()),
        series_title,
        places,
        scale: scale.unwrap_or_else(|| Scale::up_to_largest(ends)),
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::grid::Statistic;

    fn grid() -> Grid {
        let summary =
            |mean| Some(Summary { n: 3, mean, std: Some(0.1), ci95: Some((mean - 0.2, mean + 0.2)) });
        Grid {
            row_names: vec!["layer".into()],
            column_name: "source".into(),
            metric: "error".into(),
            statistics: Statistic::ALL.to_vec(),
            rows: ["layer1", "layer2+layer3"].map(|name| vec![name.to_owned()]).to_vec(),
            columns: vec!["rerand".into(), "0".into(), "9".into()],
            cells: [0.9, 0.5, 0.1, 0.8, 0.2].map(summary).into_iter().chain([None]).collect(),
        }
    }

    #[test]
    fn a_series_is_a_column_or_a_row() {
        let values = |chart: &Chart| -> Vec<Vec<_>> {
            let of_series = |series: &Series| series.points.iter().map(|p| p.map(|p| p.value)).collect();
            chart.series.iter().map(of_series).collect()
        };
        let lines = lines_or_bars(&grid(), &ChartOptions::default(), Form::Lines);
        assert_eq!(
            (&lines.places[..], &lines.series[1].name[..]),
            (&["layer1".into(), "layer2–3".into()][..], "0")
        );
        assert_eq!(values(&lines), [[Some(0.9), Some(0.8)], [Some(0.5), Some(0.2)], [Some(0.1), None]]);
        assert_eq!((&lines.place_title[..], &lines.series_title[..]), ("layer", "reset to epoch τ"));
        assert!((lines.scale.max - 1.1).abs() < 1e-12, "up to the end of a whisker");
        let options =
            ChartOptions { over: Over::Columns, whiskers: Whiskers::Std, ..ChartOptions::default() };
        let bars = lines_or_bars(&grid(), &options, Form::Bars);
        assert_eq!((&bars.places, bars.series.len()), (&grid().columns, 2));
        assert_eq!(values(&bars), [[Some(0.9), Some(0.5), Some(0.1)], [Some(0.8), Some(0.2), None]]);
        assert_eq!(bars.series[0].points[0].unwrap().whisker, Some(0.1));
    }
}
