//! `compare`: ours beside the published values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::figure::colour::Palette;
use crate::figure::heatmap::Heatmap;
use crate::figure::scale::Scale;
use crate::figure::{png, svg};
use crate::kinds::{COMPARISON, TABLE, figure};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};
use crate::table::comparison::{self, CompareError, Comparison};
use crate::table::order::{self, FULL_MODEL, RERAND};
use crate::table::reference::{self, Choice, ReferenceError, SOURCE};
use crate::table::{label, render, verdict};

/// Parameters of `compare`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Whose values.
    reference: Reference,
    /// Which figure, as in `Fig1a`.
    figure: String,
    /// Which dataset, where the figure has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataset: Option<String>,
    /// Which model, where the figure has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// A reset is critical if it raises the error by more than this.
    #[serde(default = "default_threshold", skip_serializing_if = "is_default_threshold")]
    threshold: f64,
}

/// Whose values ours are compared with.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reference {
    /// "Are All Layers Created Equal?", arXiv v3.
    Paper,
}

const DEFAULT_THRESHOLD: f64 = 0.1;

fn default_threshold() -> f64 {
    DEFAULT_THRESHOLD
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_default_threshold(threshold: &f64) -> bool {
    *threshold == DEFAULT_THRESHOLD
}

impl Stage for Compare {
    const KIND: &'static str = "compare";
    const VERSION: u32 = 2;
    const ABOUT: &'static str = "put a table beside the published values";
    const SLOTS: &'static [Slot] = &[Slot::one("table", TABLE)];
    const OUTPUT: ArtifactType = COMPARISON;
    const LOCAL: bool = true;
    const PUBLISHED: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        if !(self.threshold > 0.0 && self.threshold < 1.0) {
            let message = format!("{} is no difference of two errors", self.threshold);
            return Err(ParameterError::new("threshold", message, "choose a value between 0 and 1"));
        }
        match reference::panel(&self.choice(None)) {
            // The metric is the table's, which is not known yet.
            Ok(_) | Err(ReferenceError::Ambiguous { facet: "metric", .. }) => Ok(()),
            Err(error) => {
                let path = match &error {
                    ReferenceError::NoPanel { facet, .. } | ReferenceError::Ambiguous { facet, .. } => facet,
                    ReferenceError::NoFigure { .. } => "figure",
                };
                Err(ParameterError::new(path, error.to_string(), error.hint()))
            }
        }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let grid = figure::read(inputs)?;
        let panel = reference::panel(&self.choice(Some(&grid.metric))).map_err(|error: ReferenceError| {
            let hint = error.hint();
            StageError::with_hint(error, hint)
        })?;
        let comparison =
            comparison::compare(&grid, &panel, self.threshold).map_err(|error: CompareError| {
                let hint = error.hint();
                StageError::with_hint(error, hint)
            })?;
        let json = serde_json::to_string_pretty(&comparison)? + "\n";
        let write = |name: &str, bytes: &[u8]| fsx::write_atomic(&context.out.join(name), bytes);
        write("comparison.csv", &comparison.to_tidy().to_csv())?;
        write("comparison.md", verdict::markdown(&comparison).as_bytes())?;
        write("comparison.json", json.as_bytes())?;
        let drawing = svg::heatmap(&difference_map(&comparison));
        write("comparison.svg", drawing.as_bytes())?;
        write("comparison.png", &png::draw(&drawing)?)?;
        Ok(())
    }
}

/// Ours − published, where both are known.
fn difference_map(comparison: &Comparison) -> Heatmap {
    let known = || comparison.cells.iter().filter(|cell| cell.difference().is_some());
    let mut rows: Vec<&str> = known().map(|cell| cell.row.as_str()).collect();
    rows.dedup();
    let mut columns: Vec<&str> = known().map(|cell| cell.column.as_str()).collect();
    columns.sort_by(|a, b| order::headings(a, b));
    columns.dedup();
    let find =
        |row: &str, column: &str| known().find(|cell| cell.row == row && cell.column == column)?.difference();
    let values: Vec<_> = rows.iter().flat_map(|row| columns.iter().map(|column| find(row, column))).collect();
    let largest = Scale::up_to_largest(values.iter().flatten().map(|value| value.abs())).max;
    let usual = comparison.column_name == SOURCE;
    Heatmap {
        title: format!("{}: ours − published", comparison.figure),
        row_title: comparison.row_name.to_owned(),
        column_title: if usual { "reset to epoch τ" } else { comparison.column_name }.to_owned(),
        value_title: comparison.metric.clone(),
        decimals: render::decimals(values.iter().flatten().copied()),
        row_breaks: (1..rows.len()).filter(|place| rows[*place] == FULL_MODEL).collect(),
        column_breaks: (1..columns.len()).filter(|place| columns[*place - 1] == RERAND).collect(),
        rows: rows.into_iter().map(label::short).collect(),
        columns: columns.into_iter().map(str::to_owned).collect(),
        values,
        scale: Scale { min: -largest, max: largest },
        palette: Palette::Differences,
    }
}

impl Compare {
    fn choice<'a>(&'a self, metric: Option<&'a str>) -> Choice<'a> {
        let Reference::Paper = self.reference;
        Choice {
            figure: &self.figure,
            dataset: self.dataset.as_deref(),
            model: self.model.as_deref(),
            metric,
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::{Value, json};

    use crate::figure::colour::{self, Palette};
    use crate::kinds::testing::{artifact, published, read, run};
    use crate::stage::Artifact;

    fn compared(probes: &str, figure: &str) -> Result<(tempfile::TempDir, Artifact), String> {
        let folder = tempfile::tempdir().unwrap();
        let probes = artifact(folder.path(), "probes.csv", "0", probes);
        let metric = if figure == "Fig1b" { "paper_l2" } else { "error" };
        let parameters = json!({ "rows": "layer", "columns": "source", "value": metric });
        let (_kept, table) = run("aggregate", &parameters, &[("probes", probes)])?;
        run("compare", &json!({ "reference": "paper", "figure": figure }), &[("table", table)])
    }

    fn numbers(output: &Artifact) -> Value {
        serde_json::from_str(&read(output, "comparison.json")).unwrap()
    }

    #[test]
    fn the_publication_agrees_with_itself() {
        for (figure, cells) in [("Fig1a", 45), ("Fig8b", 18), ("Fig4d", 265), ("Fig10a", 10)] {
            let (_kept, output) = compared(&published(figure, 0.0), figure).unwrap();
            let numbers = numbers(&output);
            assert_eq!(numbers["compared"], cells, "{figure}");
            assert_eq!(numbers["mean_absolute_difference"], 0.0);
            assert_eq!(numbers["classes"]["cells_agree"], numbers["classes"]["cells_compared"]);
            assert!((numbers["rank_correlation"].as_f64().unwrap() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_difference_is_found_where_it_is() {
        let probes = published("Fig1a", 0.0)
            .replace("layer2,reinit,0,,test,error,0.075", "layer2,reinit,0,,test,error,0.275")
            .replace("fcn3x256,layer4,reinit,90,", "fcn3x256,layer4,reinit,50,");
        let (_kept, output) = compared(&probes, "Fig1a").unwrap();
        assert_snapshot!(read(&output, "comparison.md"), @r"
        # Fig1a: ours and the published values

        `error` of fcn3x256 on mnist. Cells compared: 44. Published and not here: 1; here and not published: 1. Published values were read off a figure: heatmap ±0.005.

        | measure | value |
        | --- | --- |
        | mean absolute difference | 0.0045 |
        | largest difference (ours − published) | +0.200 at layer2, reset to 0 |
        | rank correlation (Spearman) | 1.000 |
        | same class, reset to 0 (layers) | 3 of 4 |
        | same class, re-randomized (layers) | 4 of 4 |
        | same class, all sources (cells) | 30 of 31 |

        ## Robust and critical at the threshold 0.1

        A reset is critical if it raises the error of the full model by more than 0.1. Each side is judged by its own full model.

        | reset | critical in both | robust in both | critical only here | critical only in the publication |
        | --- | --- | --- | --- | --- |
        | reset to 0 | layer1 | layer3; layer4 | layer2 | none |
        | re-randomized | layer1; layer2; layer3; layer4 | none | none | none |

        | layer | reset | cost, ours | cost, published | class |
        | --- | --- | ---: | ---: | --- |
        | layer1 | re-randomized | +0.863 | +0.863 | critical |
        | layer1 | reset to 0 | +0.356 | +0.356 | critical |
        | layer2 | re-randomized | +0.884 | +0.884 | critical |
        | layer2 | reset to 0 | +0.254 | +0.054 | **critical here, robust in the publication** |
        | layer3 | re-randomized | +0.893 | +0.893 | critical |
        | layer3 | reset to 0 | +0.009 | +0.009 | robust |
        | layer4 | re-randomized | +0.801 | +0.801 | critical |
        | layer4 | reset to 0 | +0.040 | +0.040 | robust |

        ## Ours (published)

        | layer | rerand | 0 | 1 | 2 | 3 | 8 | 40 | 50 | 90 | 100 |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | layer1 | 0.884 (0.884) | 0.377 (0.377) | 0.061 (0.061) | 0.033 (0.033) | 0.030 (0.030) | 0.021 (0.021) | 0.021 (0.021) |  | 0.021 (0.021) | 0.021 (0.021) |
        | layer2 | 0.905 (0.905) | 0.275 (0.075) | 0.033 (0.033) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) |  | 0.021 (0.021) | 0.021 (0.021) |
        | layer3 | 0.914 (0.914) | 0.030 (0.030) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) |  | 0.021 (0.021) | 0.021 (0.021) |
        | layer4 | 0.822 (0.822) | 0.061 (0.061) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (0.021) | 0.021 (–) | – (0.021) | 0.021 (0.021) |
        | fullmodel | 0.913 (0.913) | 0.913 (0.913) | 0.052 (0.052) | 0.038 (0.038) | 0.030 (0.030) | 0.021 (0.021) | 0.021 (0.021) |  | 0.021 (0.021) | 0.021 (0.021) |
        ");
    }

    #[test]
    fn the_difference_map_is_white_where_both_agree() {
        let probes = published("Fig1a", 0.0)
            .replace("layer2,reinit,0,,test,error,0.075", "layer2,reinit,0,,test,error,0.275");
        let (_kept, output) = compared(&probes, "Fig1a").unwrap();
        let svg = read(&output, "comparison.svg");
        let cell =
            |told: &str| svg.split(told).nth(1).unwrap().split("fill=\"").nth(1).unwrap()[..7].to_owned();
        let of = |fraction| colour::hex(Palette::Differences.fill(fraction));
        assert_eq!(cell("<title>layer1, 0: 0</title>"), of(0.5), "the middle");
        assert_eq!(cell("<title>layer2, 0: 0.2"), of(1.0), "the upper end");
        assert!(svg.contains(">Fig1a: ours − published</text>"));
    }

    #[test]
    fn distances_have_no_classes() {
        let (_kept, output) = compared(&published("Fig1b", 0.0), "Fig1b").unwrap();
        let numbers = numbers(&output);
        assert_eq!((&numbers["compared"], &numbers["classes"]), (&json!(36), &Value::Null));
        assert!(read(&output, "comparison.md").contains("do not apply to distances"));
    }

    #[test]
    fn what_one_side_lacks_is_an_empty_field() {
        let probes = published("Fig1a", 0.0)
            .replace("fcn3x256,layer3,reinit,1,,test,error,0.021\n", "")
            .replace("fcn3x256,layer4,reinit,90,", "fcn3x256,layer4,reinit,50,");
        let (_kept, output) = compared(&probes, "Fig1a").unwrap();
        let csv = read(&output, "comparison.csv");
        let lines = csv.lines().filter(|line| line.contains("layer4") || line.contains("layer3,reinit,1,"));
        assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
        Fig1a,layer3,reinit,1,,0.021,
        Fig1a,layer4,rerand,,0.822,0.822,0
        Fig1a,layer4,reinit,0,0.061,0.061,0
        Fig1a,layer4,reinit,1,0.021,0.021,0
        Fig1a,layer4,reinit,2,0.021,0.021,0
        Fig1a,layer4,reinit,3,0.021,0.021,0
        Fig1a,layer4,reinit,8,0.021,0.021,0
        Fig1a,layer4,reinit,40,0.021,0.021,0
        Fig1a,layer4,reinit,50,0.021,,
        Fig1a,layer4,reinit,90,,0.021,
        Fig1a,layer4,reinit,100,0.021,0.021,0
        ");
    }

    #[test]
    fn figure_2_is_compared_by_model() {
        let text = "\
layer,source,epoch,split,metric,value
layer2,reinit,0,test,error,0.6
layer3,reinit,0,test,error,0.5
layer2,reinit,100,test,error,0.04
layer3,reinit,100,test,error,0.04
";
        let folder = tempfile::tempdir().unwrap();
        let mut probes = artifact(folder.path(), "probes.csv", "0", text);
        probes
            .coordinates
            .extend([("depth".to_owned(), "3".to_owned()), ("width".to_owned(), "16".to_owned())]);
        let parameters = json!({ "rows": ["depth", "width"], "columns": "source", "value": "error", "over": ["layer", "seed"] });
        let (_kept, table) = run("aggregate", &parameters, &[("probes", probes)]).unwrap();
        let parameters = json!({ "reference": "paper", "figure": "Fig2", "dataset": "mnist" });
        let (_kept, output) = run("compare", &parameters, &[("table", table)]).unwrap();
        let numbers = numbers(&output);
        assert_eq!((numbers["compared"].as_u64(), numbers["only_published"].as_u64()), (Some(2), Some(22)));
        let csv = read(&output, "comparison.csv");
        assert_snapshot!(csv.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
        figure,model,source,epoch,ours,published,difference
        Fig2,fcn3x16,reinit,0,0.55,0.5713,-0.021299999999999986
        Fig2,fcn3x16,reinit,100,0.04,0.0437,-0.003700000000000002
        ");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert_snapshot!(compared(&published("Fig1b", 0.0), "Fig1a").unwrap_err(), @r"
        no row has the metric 'error'
        use 'paper_l2'
        ");
        assert_snapshot!(compared(&published("Fig1a", 0.0), "Fig3a").unwrap_err(), @r"
        the rows of the table are not those of Fig3a: fullmodel, layer1, layer2, layer3, layer4, where the figure has stage1.block1, stage2.block1, stage3.block1, stage3.block2, stage4.block1, stage4.block2, stage5.block1, stage5.block2, fc1, fc2, final_linear, fullmodel
        choose the figure that shows this model and these layers
        ");
        assert_snapshot!(compared(&published("Fig1a", 0.0), "Fig2").unwrap_err(), @r"
        dataset: Fig2 has more than one dataset: cifar10, mnist
        choose one, as in 'dataset: cifar10'
        ");
        let parsed = |parameters: Value| run("compare", &parameters, &[]).unwrap_err();
        assert_snapshot!(parsed(json!({ "reference": "paper", "figure": "fig1a" })), @r"
        figure: the publication has no figure 'fig1a' with known values
        did you mean 'Fig1a'?
        ");
        assert_snapshot!(parsed(json!({ "reference": "paper", "figure": "Fig1a", "threshold": 10 })), @r"
        threshold: 10 is no difference of two errors
        choose a value between 0 and 1
        ");
    }
}
