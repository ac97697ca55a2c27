//! Ours beside the published values: differences, rank correlation, and whether the same layers are critical.

use serde::Serialize;

use crate::table::classes::{self, Classes};
use crate::table::grid::{Grid, Summary};
use crate::table::order::{self, FULL_MODEL, is_epoch};
use crate::table::ranks;
use crate::table::reference::{FINAL, Panel, Published, SOURCE};
use crate::table::tidy::Tidy;

/// A grid beside a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The figure.
    pub figure: String,
    /// Its dataset.
    pub dataset: String,
    /// Its model; empty if each row is one.
    pub model: String,
    /// The metric.
    pub metric: String,
    /// What a row is: `layer`, `model`, or several such words joined by `, `.
    pub row_name: &'static str,
    /// What a column is: what a layer is reset to, or what varies in a table.
    #[serde(skip_serializing_if = "is_source")]
    pub column_name: &'static str,
    /// How exactly the published values could be read off; may be empty.
    pub precision: String,
    /// How many cells have both values.
    pub compared: usize,
    /// How many published cells we lack.
    pub only_published: usize,
    /// How many of our cells are not published.
    pub only_ours: usize,
    /// Mean of |ours − published|.
    pub mean_absolute_difference: f64,
    /// Where |ours − published| is largest, and ours − published there.
    pub largest_difference: Difference,
    /// Spearman's, over the cells that have both.
    pub rank_correlation: Option<f64>,
    /// Which rows are critical; of errors only.
    pub classes: Option<Classes>,
    /// Every cell that either side has, row by row.
    pub cells: Vec<Cell>,
}

/// A difference, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The row.
    pub row: String,
    /// The column.
    pub column: String,
    /// Ours − published.
    pub difference: f64,
}

/// One cell, of either side or both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// The row: our label.
    pub row: String,
    /// The column: `rerand` or an epoch.
    pub column: String,
    /// Our value: the mean.
    pub ours: Option<f64>,
    /// Half the width of its 95 % interval, of several values.
    pub half_width: Option<f64>,
    /// The published value.
    pub published: Option<f64>,
    /// Its error bar, if it has one.
    pub spread: Option<f64>,
}

impl Cell {
    /// Ours − published.
    pub fn difference(&self) -> Option<f64> {
        Some(self.ours? - self.published?)
    }
}

/// Why a grid cannot be compared with a panel.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum CompareError {
    #[error("the rows of the table are by {}, those of {figure} by {expected}", found.join(" and "))]
    Rows { figure: String, found: Vec<String>, expected: &'static str },
    #[error("the columns of the table are by {found}, those of {figure} by {expected}")]
    Columns { figure: String, found: String, expected: &'static str },
    #[error("the rows of the table are not those of {figure}: {}, where the figure has {}", ours.join(", "), published.join(", "))]
    Disjoint { figure: String, ours: Vec<String>, published: Vec<String> },
}

impl CompareError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> String {
        match self {
            Self::Rows { expected, .. } if expected.contains(',') => {
                format!("aggregate with 'rows: [{expected}]'")
            }
            Self::Rows { expected, .. } => format!("aggregate with 'rows: {expected}'"),
            Self::Columns { expected, .. } => format!("aggregate with 'columns: {expected}'"),
            Self::Disjoint { .. } => "choose the figure that shows this model and these layers".into(),
        }
    }
}

/// Puts a grid beside a panel. What only one side has is kept and counted.
pub fn compare(grid: &Grid, panel: &Panel, threshold: f64) -> Result<Comparison, CompareError> {
    let cells = align(grid, panel)?;
    let both: Vec<_> = cells.iter().filter_map(|cell| Some((cell, cell.difference()?))).collect();
    let shares_a_layer = both.iter().any(|(cell, _)| cell.row != FULL_MODEL);
    let largest = both.iter().rev().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let Some(largest) = largest.filter(|_| shares_a_layer) else {
        return Err(disjoint(&cells, panel));
    };
    let pairs: Vec<_> = cells.iter().filter_map(|cell| cell.ours.zip(cell.published)).collect();
    Ok(Comparison {
        figure: panel.figure.clone(),
        dataset: panel.dataset.clone(),
        model: panel.model.clone(),
        metric: panel.metric.clone(),
        row_name: panel.row_name,
        column_name: panel.column_name,
        precision: panel.precision.clone(),
        compared: both.len(),
        only_published: cells.iter().filter(|cell| cell.ours.is_none()).count(),
        only_ours: cells.iter().filter(|cell| cell.published.is_none()).count(),
        mean_absolute_difference: both.iter().map(|(_, d)| d.abs()).sum::<f64>() / both.len() as f64,
        largest_difference: Difference {
            row: largest.0.row.clone(),
            column: largest.0.column.clone(),
            difference: largest.1,
        },
        rank_correlation: ranks::spearman(&pairs),
        classes: (panel.metric == "error" && is_source(&panel.column_name))
            .then(|| classes::classify(&cells, threshold)),
        cells,
    })
}

fn disjoint(cells: &[Cell], panel: &Panel) -> CompareError {
    let rows = |of: fn(&Cell) -> Option<f64>| {
        let mut rows: Vec<_> = cells.iter().filter(|c| of(c).is_some()).map(|c| c.row.clone()).collect();
        rows.dedup();
        rows
    };
    let (ours, published) = (rows(|cell| cell.ours), rows(|cell| cell.published));
    CompareError::Disjoint { figure: panel.figure.clone(), ours, published }
}

/// The cells of both sides: published rows first, columns sorted.
fn align(grid: &Grid, panel: &Panel) -> Result<Vec<Cell>, CompareError> {
    let labels = labels(grid, panel)?;
    if grid.column_name != panel.column_name {
        let (figure, found) = (panel.figure.clone(), grid.column_name.clone());
        return Err(CompareError::Columns { figure, found, expected: panel.column_name });
    }
    let last = grid.columns.iter().rev().find(|column| is_epoch(column)).map_or(FINAL, String::as_str);
    let column_of =
        |cell: &Published| if cell.column == FINAL { last.to_owned() } else { cell.column.clone() };

    let mut rows: Vec<&String> = Vec::new();
    for row in panel.cells.iter().map(|cell| &cell.row).chain(&labels) {
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let mut columns: Vec<_> = panel.cells.iter().map(column_of).chain(grid.columns.iter().cloned()).collect();
    columns.sort_by(|a, b| order::headings(a, b));
    columns.dedup();

    let cell = |(row, column): (&String, &String)| {
        let published = panel.cells.iter().find(|cell| cell.row == *row && column_of(cell) == *column);
        let ours = labels.iter().position(|label| label == row);
        let ours = ours.and_then(|at| grid.get(&grid.rows[at], column));
        (ours.is_some() || published.is_some()).then(|| Cell {
            row: row.clone(),
            column: column.clone(),
            ours: ours.map(|summary| summary.mean),
            half_width: ours.and_then(Summary::half_width),
            published: published.map(|cell| cell.value),
            spread: published.and_then(|cell| cell.spread),
        })
    };
    let places = rows.iter().flat_map(|row| columns.iter().map(move |column| (*row, column)));
    Ok(places.filter_map(cell).collect())
}

/// The label of each of our rows, as the catalogue spells it.
fn labels(grid: &Grid, panel: &Panel) -> Result<Vec<String>, CompareError> {
    let names: Vec<&str> = grid.row_names.iter().map(String::as_str).collect();
    let labels = grid.rows.iter();
    match (panel.row_name, names.as_slice()) {
        (expected, names) if names.join(", ") == expected => Ok(labels.map(|row| row.join(", ")).collect()),
        // The depths of a family of models.
        ("model", [family @ ("vgg" | "resnet")]) => {
            Ok(labels.map(|row| format!("{family}{}", row[0])).collect())
        }
        ("model", ["depth", "width"]) => Ok(labels.map(|row| format!("fcn{}x{}", row[0], row[1])).collect()),
        (expected, _) => {
            let (figure, found) = (panel.figure.clone(), grid.row_names.clone());
            Err(CompareError::Rows { figure, found, expected })
        }
    }
}

/// Whether columns are what layers are reset to.
fn is_source(column_name: &&'static str) -> bool {
    *column_name == SOURCE
}

impl Comparison {
    /// Every cell: `figure`, the row, what it is reset to (`source`, `epoch`) or the column, `ours`, `published`, `difference`. A value
    /// that one side lacks is empty.
    pub fn to_tidy(&self) -> Tidy {
        let of_column: &[&str] =
            if is_source(&self.column_name) { &["source", "epoch"] } else { &[self.column_name] };
        let (of_row, of_values) = (self.row_name.split(", "), ["ours", "published", "difference"]);
        let columns = ["figure"].into_iter().chain(of_row).chain(of_column.iter().copied()).chain(of_values);
        let text = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let row = |cell: &Cell| {
            let column = cell.column.as_str();
            let of_column = match column {
                _ if !is_source(&self.column_name) => vec![column],
                epoch if is_epoch(epoch) => vec!["reinit", epoch],
                source => vec![source, ""],
            };
            let names = [self.figure.as_str()].into_iter().chain(cell.row.split(", ")).chain(of_column);
            let numbers = [cell.ours, cell.published, cell.difference()].map(text);
            names.map(str::to_owned).chain(numbers).collect()
        };
        Tidy { columns: columns.map(str::to_owned).collect(), rows: self.cells.iter().map(row).collect() }
    }
}
