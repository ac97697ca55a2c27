//! The aggregated table: rows × columns of summaries of one metric.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx::{self, FileError};
use crate::table::tidy::Tidy;
use crate::table::{label, order};

/// What may be said of a group of values, beside how many there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Arithmetic mean.
    #[default]
    Mean,
    /// Sample standard deviation (n − 1).
    Std,
    /// 95 % interval of the mean, by Student's t.
    Ci95,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mean, Self::Std, Self::Ci95];

    /// Names of its columns in the CSV file.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Mean => &["mean"],
            Self::Std => &["std"],
            Self::Ci95 => &["ci95_low", "ci95_high"],
        }
    }
}

/// What is known of a group of values. A statistic that was not asked for, or that one value cannot give, is `None`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Summary {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation.
    pub std: Option<f64>,
    /// Ends of the 95 % interval of the mean.
    pub ci95: Option<(f64, f64)>,
}

impl Summary {
    /// Half the width of the 95 % interval.
    pub fn half_width(&self) -> Option<f64> {
        self.ci95.map(|(low, high)| (high - low) / 2.0)
    }

    /// The value of a statistic; of an interval, half its width.
    pub fn get(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Mean => Some(self.mean),
            Statistic::Std => self.std,
            Statistic::Ci95 => self.half_width(),
        }
    }
}

/// Rows × columns of summaries of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Names of the columns that make up a row's key, as in `[layer]` or `[depth, width]`.
    pub row_names: Vec<String>,
    /// Name of the column that heads the columns, as in `source`.
    pub column_name: String,
    /// The metric.
    pub metric: String,
    /// Which statistics the grid holds.
    pub statistics: Vec<Statistic>,
    /// Keys of the rows, each as long as `row_names`.
    pub rows: Vec<Vec<String>>,
    /// Keys of the columns.
    pub columns: Vec<String>,
    /// The summaries, row by row: rows × columns. `None` where there was no value.
    pub cells: Vec<Option<Summary>>,
}

/// Why a file is no aggregated table.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum GridError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the table is not CSV: {0}")]
    Csv(#[from] csv::Error),
    #[error("the table has gathered rows, not aggregated ones: its columns are {}", columns.join(", "))]
    NotAggregated { columns: Vec<String> },
    #[error("row {row} of the table has '{text}' in the column '{column}', which is no number")]
    NotANumber { row: usize, column: String, text: String },
    #[error("the table has no row")]
    Empty,
}

impl GridError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAggregated { columns } => {
                let value = if columns.iter().any(|c| c == "layer") { "layer" } else { "…" };
                Some(format!("give the aggregate stage 'rows: {value}', 'columns' and 'value'"))
            }
            _ => None,
        }
    }
}

impl Grid {
    /// Names of the rows, short enough to head them.
    pub fn labels(&self) -> Vec<String> {
        let name =
            |row: &Vec<String>| row.iter().map(|name| label::short(name)).collect::<Vec<_>>().join(", ");
        self.rows.iter().map(name).collect()
    }

    /// Arranges summaries by their row and column keys: rows in order of first appearance, columns sorted.
    pub fn new(
        row_names: Vec<String>,
        column_name: String,
        metric: String,
        statistics: Vec<Statistic>,
        summaries: Vec<(Vec<String>, String, Summary)>,
    ) -> Self {
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for (row, column, _) in &summaries {
            if !rows.contains(row) {
                rows.push(row.clone());
            }
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        columns.sort_by(|a, b| order::headings(a, b));
        let cells = vec![None; rows.len() * columns.len()];
        let mut grid = Self { row_names, column_name, metric, statistics, rows, columns, cells };
        for (row, column, summary) in summaries {
            let cell = grid.index(&row, &column).expect("its keys were entered above");
            grid.cells[cell] = Some(summary);
        }
        grid
    }

    /// The summary of a row and a column.
    pub fn get(&self, row: &[String], column: &str) -> Option<&Summary> {
        self.cells[self.index(row, column)?].as_ref()
    }

    fn index(&self, row: &[String], column: &str) -> Option<usize> {
        let row = self.rows.iter().position(|key| key == row)?;
        let column = self.columns.iter().position(|key| key == column)?;
        Some(row * self.columns.len() + column)
    }

    /// The rows with their cells.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], &[Option<Summary>])> {
        self.rows.iter().map(Vec::as_slice).zip(self.cells.chunks(self.columns.len().max(1)))
    }

    /// The long form, one row per summary: row keys, column key, `metric`, `n`, and the statistics.
    pub fn to_tidy(&self) -> Tidy {
        let statistics = self.statistics.iter().flat_map(|statistic| statistic.columns()).copied();
        let keys = self.row_names.iter().map(String::as_str).chain([self.column_name.as_str()]);
        let columns = keys.chain(["metric", "n"]).chain(statistics).map(str::to_owned).collect();
        let mut rows = Vec::new();
        for (row, cells) in self.iter() {
            for (column, cell) in self.columns.iter().zip(cells) {
                let Some(summary) = cell else { continue };
                let keys = row.iter().chain([column, &self.metric]).cloned();
                rows.push(keys.chain(self.numbers(summary)).collect());
            }
        }
        Tidy { columns, rows }
    }

    fn numbers(&self, summary: &Summary) -> Vec<String> {
        let text = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let mut numbers = vec![summary.n.to_string()];
        for statistic in &self.statistics {
            match statistic {
                Statistic::Mean => numbers.push(summary.mean.to_string()),
                Statistic::Std => numbers.push(text(summary.std)),
                Statistic::Ci95 => {
                    numbers.extend([text(summary.ci95.map(|c| c.0)), text(summary.ci95.map(|c| c.1))]);
                }
            }
        }
        numbers
    }

    /// Reads the long form from a CSV file.
    pub fn read(path: &Path) -> Result<Self, GridError> {
        Self::from_tidy(&Tidy::parse(&fsx::read(path)?)?)
    }

    /// Reads the long form.
    pub fn from_tidy(tidy: &Tidy) -> Result<Self, GridError> {
        let metric = tidy.column("metric").filter(|metric| {
            *metric > 0 && tidy.columns[metric + 1..].starts_with(&["n".to_owned(), "mean".to_owned()])
        });
        let metric = metric.ok_or_else(|| GridError::NotAggregated { columns: tidy.columns.clone() })?;
        let numbers = |line: usize, name: &str| number(tidy, line, name);
        let mut summaries = Vec::new();
        for (line, row) in tidy.rows.iter().enumerate() {
            let needed = |name| numbers(line, name)?.ok_or_else(|| not_a_number(tidy, line, name));
            let ci95 = numbers(line, "ci95_low")?.zip(numbers(line, "ci95_high")?);
            let (n, mean, std) = (needed("n")? as usize, needed("mean")?, numbers(line, "std")?);
            let summary = Summary { n, mean, std, ci95 };
            summaries.push((row[..metric - 1].to_vec(), row[metric - 1].clone(), summary));
        }
        let has = |statistic: &Statistic| tidy.column(statistic.columns()[0]).is_some();
        Ok(Self::new(
            tidy.columns[..metric - 1].to_vec(),
            tidy.columns[metric - 1].clone(),
            tidy.rows.first().ok_or(GridError::Empty)?[metric].clone(),
            Statistic::ALL.into_iter().filter(has).collect(),
            summaries,
        ))
    }
}

/// A number of the table; `None` if the cell is empty or the column is not there.
fn number(tidy: &Tidy, line: usize, name: &str) -> Result<Option<f64>, GridError> {
    let text = tidy.column(name).map_or("", |column| tidy.rows[line][column].as_str());
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| not_a_number(tidy, line, name))
}

fn not_a_number(tidy: &Tidy, line: usize, name: &str) -> GridError {
    let text = tidy.column(name).map_or("", |column| tidy.rows[line][column].as_str());
    GridError::NotANumber { row: line + 1, column: name.to_owned(), text: text.to_owned() }
}
