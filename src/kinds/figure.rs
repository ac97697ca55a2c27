//! `figure`: draws a table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::figure::heatmap::{Heatmap, Scale};
use crate::figure::{png, svg};
use crate::kinds::{FIGURE, TABLE};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};
use crate::table::grid::{Grid, GridError, Statistic};
use crate::table::order::{FULL_MODEL, RERAND};
use crate::table::{label, render};

/// Parameters of `figure`: the form, and what it needs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Figure {
    /// Rows × columns of colours.
    Heatmap(HeatmapOptions),
}

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

/// What rows, columns and values are called.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Beside the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// Above the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
    /// Above the colour bar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<String>,
}

impl Labels {
    fn is_empty(&self) -> bool {
        self.rows.is_none() && self.columns.is_none() && self.values.is_none()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_mean(statistic: &Statistic) -> bool {
    *statistic == Statistic::Mean
}

impl Stage for Figure {
    const KIND: &'static str = "figure";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "draw a table as SVG and PNG";
    const SLOTS: &'static [Slot] = &[Slot::one("table", TABLE)];
    const OUTPUT: ArtifactType = FIGURE;
    const PUBLISHED: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        let Self::Heatmap(options) = self;
        match options.scale {
            Some(Scale { min, max }) if min >= max => {
                let message = format!("the scale ends at {max} and begins at {min}");
                Err(ParameterError::new("heatmap.scale", message, "give a 'max' above 'min'"))
            }
            _ => Ok(()),
        }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let Self::Heatmap(options) = self;
        let grid = read(inputs)?;
        let drawing = svg::heatmap(&heatmap(&grid, options));
        fsx::write_atomic(&context.out.join("figure.svg"), drawing.as_bytes())?;
        fsx::write_atomic(&context.out.join("figure.png"), &png::draw(&drawing)?)?;
        Ok(())
    }
}

/// The aggregated table of the slot `table`.
pub(super) fn read(inputs: &Inputs) -> Result<Grid, StageError> {
    Grid::read(inputs.one("table").path("table.csv")?).map_err(|error: GridError| {
        let hint = error.hint();
        StageError::Failed { cause: Box::new(error), hint }
    })
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
    let usual_columns = if grid.column_name == "source" { "reset to epoch τ" } else { &grid.column_name };
    let words = |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.to_owned());
    Heatmap {
        title: options.title.clone(),
        row_title: words(&options.labels.rows, &grid.row_names.join(", ")),
        column_title: words(&options.labels.columns, usual_columns),
        value_title: words(&options.labels.values, &value_title(&grid.metric, statistic)),
        rows: grid
            .rows
            .iter()
            .map(|row| row.iter().map(|name| label::short(name)).collect::<Vec<_>>().join(", "))
            .collect(),
        columns: grid.columns.clone(),
        scale: options.scale.unwrap_or(usual),
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
    use serde_json::json;

    use super::*;
    use crate::kinds::testing::{artifact, published, read, run};
    use crate::stage::Artifact;

    fn table(parameters: &serde_json::Value) -> (tempfile::TempDir, Artifact) {
        let folder = tempfile::tempdir().unwrap();
        let probes = artifact(folder.path(), "probes.csv", "0", &published("Fig1a", 0.0));
        run("aggregate", parameters, &[("probes", probes)]).unwrap()
    }

    #[test]
    fn draws_figure_1() {
        let (_kept, table) = table(&json!({ "rows": "layer", "columns": "source", "value": "error" }));
        let draw =
            || run("figure", &json!({ "heatmap": { "title": "FCN 3×256" } }), &[("table", table.clone())]);
        let ((_one, first), (_two, second)) = (draw().unwrap(), draw().unwrap());
        assert_eq!(read(&first, "figure.svg"), read(&second, "figure.svg"));
        let png = |artifact: &Artifact| fsx::read(artifact.path("figure.png").unwrap()).unwrap();
        assert_eq!(png(&first), png(&second));
        let svg = read(&first, "figure.svg");
        assert!(
            svg.contains(">.377</text>") && svg.contains("layer1, 0: 0.377") && svg.contains(">error</text>")
        );
    }

    #[test]
    fn refuses_gathered_rows_and_an_empty_scale() {
        let (_kept, table) = table(&json!({}));
        let error = run("figure", &json!({ "heatmap": {} }), &[("table", table)]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        the table has gathered rows, not aggregated ones: its columns are seed, model, layer, source, epoch, draw, split, metric, value
        give the aggregate stage 'rows: layer', 'columns' and 'value'
        ");
        let scale = json!({ "heatmap": { "scale": { "min": 1, "max": 0 } } });
        insta::assert_snapshot!(run("figure", &scale, &[]).unwrap_err(), @r"
        heatmap.scale: the scale ends at 0 and begins at 1
        give a 'max' above 'min'
        ");
    }

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
