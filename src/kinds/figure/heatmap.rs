//! A table as a heatmap.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::figure::colour::Palette;
use crate::figure::heatmap::Heatmap;
use crate::figure::scale::Scale;
use crate::kinds::figure::Labels;
use crate::table::grid::{Grid, Statistic};
use crate::table::order::{FULL_MODEL, RERAND};
use crate::table::render;

/// How a table becomes a heatmap.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeatmapOptions {
    /// Above everything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Which statistic the cells show; of an interval, half its width.
    #[serde(default, skip_serializing_if = "is_mean")]
    pub statistic: Statistic,
    /// The values at the ends of the colours. Without it: 0 to 1 for the mean of an error, else 0 to the largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Words in place of the usual ones.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_mean(statistic: &Statistic) -> bool {
    *statistic == Statistic::Mean
}

/// Describes the heatmap of a grid.
pub fn heatmap(grid: &Grid, options: &HeatmapOptions) -> Heatmap {
    let statistic = options.statistic;
    let get = |cell: &Option<_>| {
        cell.as_ref().and_then(|summary: &crate::table::grid::Summary| summary.get(statistic))
    };
    let values: Vec<_> = grid.cells.iter().map(get).collect();
    let known = || values.iter().flatten().copied();
    let is_error = grid.metric == "error" && statistic == Statistic::Mean;
    let usual = if is_error { Scale { min: 0.0, max: 1.0 } } else { Scale::up_to_largest(known()) };
    Heatmap {
        title: options.title.clone(),
        row_title: options.labels.rows(grid),
        column_title: options.labels.columns(grid),
        value_title: options.labels.values.clone().unwrap_or_else(|| value_title(&grid.metric, statistic)),
        rows: grid.labels(),
        columns: grid.columns.clone(),
        scale: options.scale.unwrap_or(usual),
        palette: Palette::Values,
        decimals: render::decimals(known()),
        row_breaks: breaks(&grid.rows, |row| row.iter().any(|name| name == FULL_MODEL)),
        column_breaks: breaks(&grid.columns, |column| column == RERAND),
        values,
    }
}

/// Where rows or columns of one sort meet those of another.
fn breaks<T>(items: &[T], is_special: impl Fn(&T) -> bool) -> Vec<usize> {
    (1..items.len()).filter(|i| is_special(&items[i - 1]) != is_special(&items[*i])).collect()
}

fn value_title(metric: &str, statistic: Statistic) -> String {
    match statistic {
        Statistic::Mean => metric.to_owned(),
        Statistic::Std => format!("{metric}, std"),
        Statistic::Ci95 => format!("{metric}, ±95 %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_scale_is_that_of_errors_or_up_to_the_largest() {
        let summary = |mean| Some(crate::table::grid::Summary { n: 2, mean, std: Some(0.1), ci95: None });
        let rows = ["layer1", "layer2+layer3", "fullmodel"].map(|name| vec![name.to_owned()]).to_vec();
        let grid = |metric: &str| Grid {
            row_names: vec!["layer".into()],
            column_name: "source".into(),
            metric: metric.into(),
            statistics: Statistic::ALL.to_vec(),
            rows: rows.clone(),
            columns: vec!["rerand".into(), "0".into()],
            cells: [0.5, 0.1, 0.2, 0.3, 0.1, 0.1].map(summary).to_vec(),
        };
        let usual =
            |metric, statistic| heatmap(&grid(metric), &HeatmapOptions { statistic, ..Default::default() });
        let error = usual("error", Statistic::Mean);
        assert_eq!(error.scale, Scale { min: 0.0, max: 1.0 });
        assert_eq!(error.rows, ["layer1", "layer2–3", "fullmodel"]);
        assert_eq!((error.row_breaks, error.column_breaks), (vec![2], vec![1]));
        assert_eq!(usual("rms", Statistic::Mean).scale.max, 0.5);
        assert_eq!(usual("error", Statistic::Std).scale.max, 0.1);
        assert_eq!(usual("error", Statistic::Ci95).values, [None; 6]);
    }
}
