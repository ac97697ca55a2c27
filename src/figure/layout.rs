//! Where everything in a heatmap goes, in pixels from the top left.

use crate::figure::font::{self, Weight};
use crate::figure::heatmap::Heatmap;

/// Around everything.
pub(super) const MARGIN: f64 = 16.0;
/// Size of the title.
pub(super) const TITLE: f64 = 14.0;
/// Size of labels, headings and their titles.
pub(super) const LABEL: f64 = 11.0;
/// Size of the marks of the colour bar.
pub(super) const TICK: f64 = 9.5;
/// Between cells.
pub(super) const SEAM: f64 = 1.5;
/// Before a row or a column that stands apart.
const BREAK: f64 = 5.0;
/// Between a text and what it labels.
pub(super) const SPACE: f64 = 8.0;
/// Width of the colour bar.
pub(super) const BAR: f64 = 11.0;
/// Least height between two marks of the colour bar.
const TICK_SPACE: f64 = 24.0;
/// From the cells to the colour bar.
const BAR_SPACE: f64 = 22.0;

/// Places and sizes.
pub(super) struct Layout {
    /// Of the picture.
    pub width: f64,
    /// Of the picture.
    pub height: f64,
    /// Left edge of each column.
    pub columns: Vec<f64>,
    /// Upper edge of each row.
    pub rows: Vec<f64>,
    /// Left and upper edge of the first cell.
    pub corner: (f64, f64),
    /// Width and height of a cell.
    pub cell: (f64, f64),
    /// Size of the numbers in the cells.
    pub number: f64,
    /// Middle of the columns that stand together at the right.
    pub middle: f64,
    /// Left edge of the colour bar; its upper edge is that of the first row.
    pub bar: f64,
    /// Height of the colour bar.
    pub bar_height: f64,
    /// How many marks of the colour bar there is room for.
    pub ticks: usize,
}

impl Layout {
    pub(super) fn new(map: &Heatmap) -> Self {
        let widest = |texts: &[String], size| {
            texts.iter().map(|text| font::width(text, size, Weight::Regular)).fold(0.0, f64::max)
        };
        let (number, height) = match map.rows.len() {
            ..=12 => (10.5, 27.0),
            13..=24 => (10.0, 22.0),
            _ => (9.0, 17.0),
        };
        let cell_width =
            (widest(&map.texts(), number) + 14.0).max(widest(&map.columns, LABEL) + 12.0).max(46.0);
        let (columns, right) = edges(cell_width, map.columns.len(), &map.column_breaks);
        let (rows, bottom) = edges(height, map.rows.len(), &map.row_breaks);
        let last_group = map.column_breaks.last().and_then(|column| columns.get(*column));
        let middle = f64::midpoint(last_group.copied().unwrap_or(0.0), right);

        let wide = |text: &str| font::width(text, LABEL, Weight::Regular);
        let labels = widest(&map.rows, LABEL).max(wide(&map.row_title)) + SPACE;
        let left = MARGIN + labels.max(wide(&map.column_title) / 2.0 - middle);
        let title = if map.title.is_empty() { 0.0 } else { TITLE + 14.0 };
        let column_title = if map.column_title.is_empty() { 0.0 } else { LABEL + SPACE };
        let top = MARGIN + title + column_title + LABEL + SPACE;

        let bar = right + BAR_SPACE;
        let bar_height = bottom.clamp(70.0, 210.0);
        let ticks = (bar_height / TICK_SPACE) as usize;
        let tick_texts: Vec<_> = map.scale.marks(ticks).into_iter().map(|(_, text)| text).collect();
        let bar_end = bar + (BAR + 7.0 + widest(&tick_texts, TICK)).max(wide(&map.value_title));
        let end = (left + bar_end.max(middle + wide(&map.column_title) / 2.0))
            .max(MARGIN + font::width(&map.title, TITLE, Weight::Bold));
        Self {
            width: end + MARGIN,
            height: top + bottom.max(bar_height) + MARGIN,
            columns: columns.into_iter().map(|x| left + x).collect(),
            rows: rows.into_iter().map(|y| top + y).collect(),
            corner: (left, top),
            cell: (cell_width, height),
            number,
            middle: left + middle,
            bar: left + bar,
            bar_height,
            ticks,
        }
    }
}

/// The near edge of each of some strips in a row, and the far edge of the last.
fn edges(size: f64, count: usize, breaks: &[usize]) -> (Vec<f64>, f64) {
    let gaps = |i: usize| breaks.iter().filter(|b| (1..=i).contains(*b)).count() as f64;
    let near: Vec<f64> = (0..count).map(|i| i as f64 * (size + SEAM) + gaps(i) * BREAK).collect();
    let far = near.last().map_or(0.0, |last| last + size);
    (near, far)
}
