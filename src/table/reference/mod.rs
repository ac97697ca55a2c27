//! The published values: a catalogue of the paper's figures, held within the program.
//!
//! A panel is what one heatmap shows. Its rows have our labels and its columns our headings, so that finding the
//! counterpart of a cell is a comparison of names. See `datasets/paper/README.md` for where the numbers come from.

mod tables;

use std::collections::BTreeSet;

use crate::base::suggest;
use crate::table::order::{self, RERAND};
use crate::table::tidy::Tidy;

static FIGURES: &[u8] = include_bytes!("../../../datasets/paper/figures.csv");

/// Heads the column of the final model where the publication does not say its epoch.
pub const FINAL: &str = "final";

/// Heads columns that are what a layer is reset to.
pub const SOURCE: &str = "source";

/// One panel of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its name, as in `Fig1a`.
    pub figure: String,
    /// The dataset.
    pub dataset: String,
    /// The model; empty if each row is one.
    pub model: String,
    /// The metric, as in `error`.
    pub metric: String,
    /// What a row is: `layer`, `model`, or `network, setting`.
    pub row_name: &'static str,
    /// What a column is: [`SOURCE`], or what varies in a table.
    pub column_name: &'static str,
    /// How exactly the values could be read off, in words; may be empty.
    pub precision: String,
    /// The cells, row by row.
    pub cells: Vec<Published>,
}

/// A published value.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// A layer, the names of a joint set joined by `+`, `fullmodel`; or a model, perhaps with a setting.
    pub row: String,
    /// `rerand`, an epoch, or [`FINAL`]; or a setting.
    pub column: String,
    /// The value.
    pub value: f64,
    /// Its error bar, where there is one.
    pub spread: Option<f64>,
}

/// Which panel is wanted. What is `None` must be the same in all panels of the figure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// The figure.
    pub figure: &'a str,
    /// The dataset.
    pub dataset: Option<&'a str>,
    /// The model.
    pub model: Option<&'a str>,
    /// The metric.
    pub metric: Option<&'a str>,
}

/// Why there is no such panel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ReferenceError {
    #[error("the publication has no figure '{figure}' with known values")]
    NoFigure { figure: String, known: Vec<String> },
    #[error("{figure} has no {facet} '{value}'")]
    NoPanel { figure: String, facet: &'static str, value: String, known: Vec<String> },
    #[error("{figure} has more than one {facet}: {}", known.join(", "))]
    Ambiguous { figure: String, facet: &'static str, known: Vec<String> },
}

impl ReferenceError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> String {
        match self {
            Self::NoFigure { figure: word, known } | Self::NoPanel { value: word, known, .. } => {
                suggest::hint(word, known.iter().map(String::as_str))
            }
            Self::Ambiguous { facet, known, .. } => format!("choose one, as in '{facet}: {}'", known[0]),
        }
    }
}

/// A line of either file.
#[derive(Clone)]
struct Line {
    figure: String,
    dataset: String,
    model: String,
    metric: String,
    joint_set: String,
    precision: String,
    row_name: &'static str,
    column_name: &'static str,
    cell: Published,
}

/// Finds a panel.
pub fn panel(choice: &Choice) -> Result<Panel, ReferenceError> {
    let mut lines = lines();
    let known = distinct(lines.iter().map(|line| &line.figure));
    lines.retain(|line| line.figure == choice.figure);
    let figure = choice.figure.to_owned();
    if lines.is_empty() {
        return Err(ReferenceError::NoFigure { figure, known });
    }
    narrow(&mut lines, &figure, "dataset", choice.dataset, |line| &line.dataset)?;
    narrow(&mut lines, &figure, "model", choice.model, |line| &line.model)?;
    narrow(&mut lines, &figure, "metric", choice.metric, |line| &line.metric)?;
    let first = &lines[0];
    Ok(Panel {
        figure,
        dataset: first.dataset.clone(),
        model: first.model.clone(),
        metric: first.metric.clone(),
        row_name: first.row_name,
        column_name: first.column_name,
        precision: first.precision.clone(),
        cells: joint_rows(&first.joint_set, lines.iter().map(|line| line.cell.clone()).collect()),
    })
}

fn narrow(
    lines: &mut Vec<Line>,
    figure: &str,
    facet: &'static str,
    wanted: Option<&str>,
    get: fn(&Line) -> &String,
) -> Result<(), ReferenceError> {
    let known = distinct(lines.iter().map(get));
    let figure = figure.to_owned();
    match wanted {
        Some(value) if !known.iter().any(|k| k == value) => {
            Err(ReferenceError::NoPanel { figure, facet, value: value.to_owned(), known })
        }
        Some(value) => {
            lines.retain(|line| get(line) == value);
            Ok(())
        }
        None if known.len() > 1 => Err(ReferenceError::Ambiguous { figure, facet, known }),
        None => Ok(()),
    }
}

fn distinct<'a>(values: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut values: Vec<_> = values.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    values.sort_by(|a, b| order::natural(a, b));
    values
}

fn lines() -> Vec<Line> {
    [figure_lines(), tables::lines()].concat()
}

/// Makes a line of each row of a file that has one; cells are asked for by name.
fn read(file: &[u8], line: impl Fn(&dyn Fn(&str) -> String) -> Option<Line>) -> Vec<Line> {
    let tidy = Tidy::parse(file).expect("the file is part of the program");
    let column = |name: &str| tidy.column(name).expect("the file is part of the program");
    tidy.rows.iter().filter_map(|row| line(&|name| row[column(name)].clone())).collect()
}

fn number(text: &str) -> f64 {
    text.parse().expect("the file is part of the program")
}

fn figure_lines() -> Vec<Line> {
    read(FIGURES, |get| {
        let column = if get("source") == "rerandomize" { RERAND.to_owned() } else { get("source") };
        Some(Line {
            figure: get("figure"),
            dataset: get("dataset"),
            model: get("model"),
            metric: get("metric"),
            joint_set: get("joint_set"),
            precision: get("precision"),
            row_name: "layer",
            column_name: SOURCE,
            cell: Published { row: get("layer"), column, value: number(&get("value")), spread: None },
        })
    })
}

/// A joint figure has a row for every layer: those of the set show the probe of the set, the others that of its
/// complement. Here each probe becomes one row.
fn joint_rows(joint_set: &str, cells: Vec<Published>) -> Vec<Published> {
    if joint_set.is_empty() {
        return cells;
    }
    let mut layers: Vec<&str> = cells.iter().map(|cell| cell.row.as_str()).collect();
    layers.dedup();
    let side = |inside: bool| {
        let names = layers.iter().copied().filter(|layer| is_in(joint_set, layer) == inside);
        names.collect::<Vec<_>>().join("+")
    };
    let (set, complement) = (side(true), side(false));
    let mut seen = BTreeSet::new();
    let rows = cells.iter().map(|cell| {
        let row = if is_in(joint_set, &cell.row) { &set } else { &complement };
        Published { row: row.clone(), ..cell.clone() }
    });
    rows.filter(|cell| seen.insert((cell.row.clone(), cell.column.clone()))).collect()
}

/// Whether a layer is in the set that these words describe.
fn is_in(joint_set: &str, layer: &str) -> bool {
    if let Some(numbers) = joint_set.strip_prefix("layers ") {
        let number = layer.strip_prefix("layer").and_then(|text| text.parse::<u32>().ok());
        let parts = numbers.split(',').map(|part| part.split_once('-').unwrap_or((part, part)));
        let mut ranges = parts.filter_map(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
        return number.is_some_and(|number| ranges.any(|range| range.contains(&number)));
    }
    let Some((stage, block)) = layer.strip_prefix("stage").and_then(|rest| rest.split_once(".resblk")) else {
        return false;
    };
    let block: u32 = block.parse().unwrap_or(1);
    match joint_set {
        "blocks 2,4,6,... of each stage" => block.is_multiple_of(2),
        "every block but the first, stages 2 and 3" => block > 1 && (stage == "2" || stage == "3"),
        _ => block > 1, // "every block but the first of each stage"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(figure: &str) -> Panel {
        panel(&Choice { figure, ..Choice::default() }).unwrap()
    }

    fn rows(panel: &Panel) -> Vec<&str> {
        let mut rows: Vec<_> = panel.cells.iter().map(|cell| cell.row.as_str()).collect();
        rows.dedup();
        rows
    }

    #[test]
    fn figure_1_has_our_labels_and_headings() {
        let panel = of("Fig1a");
        assert_eq!((panel.model.as_str(), panel.metric.as_str()), ("fcn3x256", "error"));
        assert_eq!(rows(&panel), ["layer1", "layer2", "layer3", "layer4", "fullmodel"]);
        let columns: Vec<_> = panel.cells[..9].iter().map(|cell| cell.column.as_str()).collect();
        assert_eq!(columns, ["rerand", "0", "1", "2", "3", "8", "40", "90", "100"]);
        assert_eq!(panel.cells[1].value, 0.377);
    }

    #[test]
    fn a_joint_figure_has_a_row_for_the_set_and_one_for_its_complement() {
        let panel = of("Fig8b");
        assert_eq!(rows(&panel), ["layer1+layer4", "layer2+layer3+layer5+layer6"]);
        assert_eq!(panel.cells.len(), 18);
        assert_eq!(rows(&of("Fig8a"))[0], "layer1");
    }

    /// The publication draws the same numbers in each row of a set, so a wrong reading of its words shows.
    #[test]
    fn all_rows_of_a_joint_set_agree() {
        let lines: Vec<_> = figure_lines().into_iter().filter(|line| !line.joint_set.is_empty()).collect();
        assert_eq!(lines.len(), 1872);
        for figure in lines.chunk_by(|a, b| a.figure == b.figure) {
            let panel = of(&figure[0].figure);
            assert_eq!(rows(&panel).len(), 2);
            for line in figure {
                let of_set = |cell: &&Published| {
                    cell.column == line.cell.column && cell.row.split('+').any(|name| name == line.cell.row)
                };
                let published = panel.cells.iter().find(of_set).unwrap();
                assert_eq!(published.value, line.cell.value, "{} {}", line.figure, line.cell.row);
            }
        }
    }

    #[test]
    fn figure_2_has_models_for_rows() {
        let panel = panel(&Choice { figure: "Fig2", dataset: Some("mnist"), ..Choice::default() }).unwrap();
        assert_eq!((panel.row_name, panel.cells.len()), ("model", 24));
        let cell = &panel.cells[1];
        assert_eq!((cell.row.as_str(), cell.column.as_str(), cell.value), ("fcn3x16", "0", 0.5713));
        assert_eq!(cell.spread, Some(0.1039));
    }

    #[test]
    fn what_is_not_there_has_a_hint() {
        let error = |choice: Choice| {
            let error = panel(&choice).unwrap_err();
            format!("{error}; {}", error.hint())
        };
        let choice = |figure| Choice { figure, ..Choice::default() };
        insta::assert_snapshot!(error(choice("Fig1d")), @"the publication has no figure 'Fig1d' with known values; did you mean 'Fig1a'?");
        insta::assert_snapshot!(error(choice("Fig2")), @"Fig2 has more than one dataset: cifar10, mnist; choose one, as in 'dataset: cifar10'");
        insta::assert_snapshot!(error(Choice { metric: Some("loss"), ..choice("Fig1a") }), @"Fig1a has no metric 'loss'; use 'error'");
        insta::assert_snapshot!(error(Choice { metric: Some("error"), ..choice("Fig17-18") }), @"Fig17-18 has more than one dataset: cifar10, imagenet; choose one, as in 'dataset: cifar10'");
    }
}
