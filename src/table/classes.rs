//! Robust or critical.

use serde::Serialize;

use crate::table::comparison::Cell;
use crate::table::order::{self, FULL_MODEL, RERAND, is_epoch};

/// Robust or critical, by a threshold that the user chose: a reset is critical if it raises the error of the full
/// model by more than the threshold. Each side is judged by its own full model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classes {
    /// The threshold.
    pub threshold: f64,
    /// Per row and way of resetting (`0`, `rerand`) that both sides have.
    pub resets: Vec<Reset>,
    /// How many cells, of all sources but the final epoch, both sides put in the same class.
    pub cells_agree: usize,
    /// Of how many.
    pub cells_compared: usize,
}

/// What a reset costs: error with the reset − error of the full model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reset {
    /// The row.
    pub row: String,
    /// `0` or `rerand`.
    pub column: String,
    /// What it costs our model.
    pub ours: f64,
    /// What it costs the published one.
    pub published: f64,
    /// Whether it is critical to ours.
    pub critical_ours: bool,
    /// Whether it is critical to the published one.
    pub critical_published: bool,
}

/// The ways of resetting that a row is judged by.
pub(super) const JUDGED: [&str; 2] = ["0", RERAND];

/// Judges every reset that both sides have.
pub(super) fn classify(cells: &[Cell], threshold: f64) -> Classes {
    let (ours, published) = (Side::new(cells, |cell| cell.ours), Side::new(cells, |cell| cell.published));
    let mut classes = Classes { threshold, resets: Vec::new(), cells_agree: 0, cells_compared: 0 };
    for cell in cells.iter().filter(|cell| cell.row != FULL_MODEL) {
        let Some((ours, published)) = ours.cost(cell).zip(published.cost(cell)) else { continue };
        let (critical_ours, critical_published) = (ours > threshold, published > threshold);
        classes.cells_compared += 1;
        classes.cells_agree += usize::from(critical_ours == critical_published);
        if JUDGED.contains(&cell.column.as_str()) {
            let (row, column) = (cell.row.clone(), cell.column.clone());
            classes.resets.push(Reset { row, column, ours, published, critical_ours, critical_published });
        }
    }
    classes
}

/// The values of one side, and which column holds its full model.
struct Side<'a> {
    cells: &'a [Cell],
    value: fn(&Cell) -> Option<f64>,
    last: Option<&'a str>,
}

impl<'a> Side<'a> {
    fn new(cells: &'a [Cell], value: fn(&Cell) -> Option<f64>) -> Self {
        let epochs = cells.iter().filter(|cell| value(cell).is_some() && is_epoch(&cell.column));
        let last = epochs.map(|cell| cell.column.as_str()).max_by(|a, b| order::natural(a, b));
        Self { cells, value, last }
    }

    /// What the reset costs; `None` of the full model itself. A layer reset to the final epoch is the full model, so
    /// the row's own last cell is the base, and the row of the full model where that is missing.
    fn cost(&self, cell: &Cell) -> Option<f64> {
        let last = self.last.filter(|last| *last != cell.column)?;
        let base = |row: &str| {
            let base = self.cells.iter().find(|other| other.row == row && other.column == last)?;
            (self.value)(base)
        };
        Some((self.value)(cell)? - base(&cell.row).or_else(|| base(FULL_MODEL))?)
    }
}
