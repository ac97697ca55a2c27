//! `figure`: draws a table.

mod heatmap;
mod lines_or_bars;
mod scatter;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::figure::chart::{self, Form};
use crate::figure::scale::Scale;
use crate::figure::{png, svg};
use crate::kinds::{FIGURE, TABLE};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};
use crate::table::grid::{Grid, GridError};
use crate::table::tidy::Tidy;

pub use heatmap::{HeatmapOptions, heatmap};
use lines_or_bars::{ChartOptions, lines_or_bars};
use scatter::ScatterOptions;

/// Parameters of `figure`: the form, and what it needs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Figure {
    /// Rows × columns of colours.
    Heatmap(HeatmapOptions),
    /// A line per column over the rows, or the other way round.
    Lines(ChartOptions),
    /// Bars, likewise.
    Bars(ChartOptions),
    /// A point per row: one column against another, of any table.
    Scatter(ScatterOptions),
}

impl Figure {
    /// The word in the pipeline file, and the scale that is asked for.
    fn scale(&self) -> (&'static str, Option<Scale>) {
        match self {
            Self::Heatmap(options) => ("heatmap", options.scale),
            Self::Lines(options) => ("lines", options.scale),
            Self::Bars(options) => ("bars", options.scale),
            Self::Scatter(_) => ("scatter", None),
        }
    }

    fn draw(&self, inputs: &Inputs) -> Result<String, StageError> {
        Ok(match self {
            Self::Heatmap(options) => svg::heatmap(&heatmap(&read(inputs)?, options)),
            Self::Lines(options) => chart::svg(&lines_or_bars(&read(inputs)?, options, Form::Lines)),
            Self::Bars(options) => chart::svg(&lines_or_bars(&read(inputs)?, options, Form::Bars)),
            Self::Scatter(options) => {
                let rows = Tidy::read(inputs.one("table").path("table.csv")?)?;
                crate::figure::scatter::svg(&scatter::scatter(&rows, options)?)
            }
        })
    }
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

    /// Above the columns.
    fn columns(&self, grid: &Grid) -> String {
        let usual = if grid.column_name == "source" { "reset to epoch τ" } else { &grid.column_name };
        self.columns.clone().unwrap_or_else(|| usual.to_owned())
    }

    /// Beside the rows.
    fn rows(&self, grid: &Grid) -> String {
        self.rows.clone().unwrap_or_else(|| grid.row_names.join(", "))
    }
}

impl Stage for Figure {
    const KIND: &'static str = "figure";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "draw a table as SVG and PNG";
    const SLOTS: &'static [Slot] = &[Slot::one("table", TABLE)];
    const OUTPUT: ArtifactType = FIGURE;
    const LOCAL: bool = true;
    const PUBLISHED: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        match self.scale() {
            (form, Some(Scale { min, max })) if min >= max => {
                let message = format!("the scale ends at {max} and begins at {min}");
                Err(ParameterError::new(format!("{form}.scale"), message, "give a 'max' above 'min'"))
            }
            _ => Ok(()),
        }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let drawing = self.draw(inputs)?;
        fsx::write_atomic(&context.out.join("figure.svg"), drawing.as_bytes())?;
        fsx::write_atomic(&context.out.join("figure.png"), &png::draw(&drawing)?)?;
        Ok(())
    }
}

/// The aggregated table of the slot `table`.
pub(super) fn read(inputs: &Inputs) -> Result<Grid, StageError> {
    Grid::read(inputs.one("table").path("table.csv")?).map_err(|error: GridError| {
        let hint = error.hint();
        StageError::Failed { cause: Box::new(error), hint, parameter: None }
    })
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
}
