//! Matrices in column panels.
//!
//! A [`Matrix`] is cut into panels of 64 columns, the last one narrower (a multiple of 16, padded with zeros). A panel
//! is row-major and contiguous, and the panels follow each other:
//!
//! ```text
//!            columns 0..64        64..128      128..138, padded to 144
//! row 0     [ 0    ..  63 ]   [ 64n  ..   ]   [ 128n ..     ]
//! row n-1   [ 64n-64 ..   ]   [           ]   [             ]
//! ```
//!
//! So a tile of a product reads its right operand, and writes its result, as one stream without strides that are
//! powers of two (which would leave most sets of a cache unused), and a task owns a contiguous piece of the result.

use crate::nn::kernels::aligned::Aligned;

/// Columns of a panel.
pub const PANEL: usize = 64;
/// Columns of the last panel are a multiple of this: a line of the cache.
pub(super) const LANES: usize = 16;

/// A matrix of `f32` in column panels.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Aligned,
}

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: Aligned::zeros(rows * columns.next_multiple_of(LANES)) }
    }

    /// Copies a row-major matrix.
    pub fn from_rows(rows: usize, columns: usize, values: &[f32]) -> Self {
        let mut matrix = Self::zeros(rows, columns);
        for (row, values) in values.chunks_exact(columns).enumerate() {
            matrix.set_row(row, values);
        }
        matrix
    }

    /// Copies it as a row-major matrix.
    pub fn to_rows(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.columns];
        for row in 0..self.rows {
            self.copy_row(row, &mut values[row * self.columns..][..self.columns]);
        }
        values
    }

    /// Copies one row.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        for (panel, out) in out.chunks_mut(PANEL).enumerate() {
            let (values, stride) = self.panel(panel);
            out.copy_from_slice(&values[row * stride..][..out.len()]);
        }
    }

    /// Overwrites one row, with its padding.
    pub fn set_row(&mut self, row: usize, values: &[f32]) {
        let rows = self.rows;
        for (panel, values) in values.chunks(PANEL).enumerate() {
            let stride = values.len().next_multiple_of(LANES);
            let target = &mut self.values_mut()[panel * PANEL * rows + row * stride..][..stride];
            let (target, padding) = target.split_at_mut(values.len());
            target.copy_from_slice(values);
            padding.fill(0.0);
        }
    }

    /// Gives it another shape; what it holds is then meaningless. Allocates only beyond the largest so far.
    pub fn set_shape(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        self.values.set_length(rows * columns.next_multiple_of(LANES));
    }

    /// Becomes several batches of maps in one, with the examples of the first one first. Their rows are position by position.
    pub fn join_examples(&mut self, batches: &[&Self], positions: usize) {
        let columns = batches[0].columns;
        self.set_shape(batches.iter().map(|batch| batch.rows).sum(), columns);
        let of_position = self.rows / positions;
        for panel in 0..columns.div_ceil(PANEL) {
            let (to, width) = self.panel_mut(panel);
            let mut first = 0;
            for batch in batches {
                assert_eq!(batch.columns, columns, "channels of a batch");
                let count = batch.rows / positions;
                for (position, from) in batch.panel(panel).0.chunks(count * width).enumerate() {
                    to[(position * of_position + first) * width..][..from.len()].copy_from_slice(from);
                }
                first += count;
            }
        }
    }

    /// Writes the zeros behind the last column that whoever wrote single columns left out.
    pub fn clear_padding(&mut self) {
        let used = self.columns % PANEL;
        if used.is_multiple_of(LANES) {
            return;
        }
        let (values, width) = self.panel_mut(self.columns / PANEL);
        values.chunks_exact_mut(width).for_each(|row| row[used..].fill(0.0));
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns, without padding.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All numbers, in the order of the layout, with padding (zeros, which must stay).
    pub fn values(&self) -> &[f32] {
        self.values.values()
    }

    /// All numbers, in the order of the layout, with padding (zeros, which must stay).
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.values.values_mut()
    }

    /// A panel, and its width with padding.
    #[inline]
    pub fn panel(&self, index: usize) -> (&[f32], usize) {
        let width = (self.columns - index * PANEL).min(PANEL).next_multiple_of(LANES);
        (&self.values()[index * PANEL * self.rows..][..width * self.rows], width)
    }

    /// A panel to be written, and its width with padding.
    #[inline]
    pub fn panel_mut(&mut self, index: usize) -> (&mut [f32], usize) {
        let width = (self.columns - index * PANEL).min(PANEL).next_multiple_of(LANES);
        let range = index * PANEL * self.rows..(index * PANEL + width) * self.rows;
        (&mut self.values_mut()[range], width)
    }

    /// A panel as a left operand: its numbers, the distance between rows, and how many columns, without padding.
    #[inline]
    pub fn strip(&self, index: usize) -> (&[f32], usize, usize) {
        let (values, stride) = self.panel(index);
        (values, stride, (self.columns - index * PANEL).min(PANEL))
    }

    /// Cuts each panel into pieces for tasks: of each `cycle` of rows, task t gets the rows from `rows`·t on, `rows` at most. A task's
    /// pieces are in the order of the layout.
    pub fn pieces_mut(&mut self, cycle: usize, rows: usize) -> Vec<Vec<&mut [f32]>> {
        let mut tasks: Vec<_> = (0..cycle).step_by(rows).map(|_| Vec::new()).collect();
        let of_panel = (PANEL * self.rows).max(1);
        let height = self.rows;
        for panel in self.values_mut().chunks_mut(of_panel) {
            let width = panel.len() / height;
            for values in panel.chunks_mut(cycle * width) {
                tasks
                    .iter_mut()
                    .zip(values.chunks_mut(rows * width))
                    .for_each(|(task, piece)| task.push(piece));
            }
        }
        tasks
    }

    /// Writes the sum of all rows (added from the first on) into a matrix of one row.
    pub fn sum_rows_into(&self, out: &mut Self) {
        assert_eq!((1, self.columns), (out.rows, out.columns), "shape of a sum of rows");
        for (index, sums) in out.values_mut().chunks_mut(PANEL).enumerate() {
            let (panel, width) = self.panel(index);
            sums.fill(0.0);
            for row in panel.chunks(width) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
    }

    /// Writes the transpose.
    pub fn transpose_into(&self, out: &mut Self) {
        assert_eq!((self.rows, self.columns), (out.columns, out.rows), "shape of a transpose");
        for (first, target) in (0..).step_by(PANEL).zip(out.values.values_mut().chunks_mut(PANEL * out.rows))
        {
            let width = target.len() / self.columns;
            for (column, target) in target.chunks_mut(width).enumerate() {
                let (source, stride) = self.panel(column / PANEL);
                let source = &source[first * stride + column % PANEL..];
                for (value, source) in target.iter_mut().zip(source.iter().step_by(stride)) {
                    *value = *source;
                }
            }
        }
    }
}

/// Reads a line of the cache after the other, so that numbers which are far are near when they are needed.
pub(super) fn fetch(values: &[f32]) {
    std::hint::black_box(values.iter().step_by(LANES).fold(0, |bits, value| bits | value.to_bits()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_as_drawn() {
        let rows: Vec<f32> = (0..3 * 70).map(|i| i as f32).collect();
        let matrix = Matrix::from_rows(3, 70, &rows);
        assert_eq!(matrix.values().len(), 3 * 80);
        assert_eq!(matrix.values()[64], rows[70]);
        assert_eq!(matrix.panel(1).0[16..18], rows[134..136]);
        assert_eq!(matrix.to_rows(), rows);
    }

    #[test]
    fn batches_are_joined_position_by_position() {
        let batch = |examples: std::ops::Range<usize>, positions: usize| {
            let value = |place: usize| {
                let (row, column) = (place / 70, place % 70);
                (1000 * (row / examples.len()) + 100 * (examples.start + row % examples.len()) + column)
                    as f32
            };
            let rows = positions * examples.len();
            Matrix::from_rows(rows, 70, &(0..rows * 70).map(value).collect::<Vec<_>>())
        };
        let mut joined = Matrix::zeros(1, 1);
        joined.join_examples(&[&batch(0..2, 3), &batch(2..3, 3), &batch(3..7, 3)], 3);
        assert_eq!(joined, batch(0..7, 3));
    }

    #[test]
    fn pieces_are_the_whole() {
        let mut matrix = Matrix::zeros(2 * 5, 70);
        let tasks = matrix.pieces_mut(5, 2);
        let sizes: Vec<Vec<usize>> =
            tasks.iter().map(|pieces| pieces.iter().map(|p| p.len()).collect()).collect();
        assert_eq!(sizes, [[128, 128, 32, 32], [128, 128, 32, 32], [64, 64, 16, 16]]);
        for (task, pieces) in tasks.into_iter().enumerate() {
            pieces.into_iter().flatten().for_each(|value| *value = task as f32);
        }
        let column: Vec<f32> = matrix.to_rows().into_iter().step_by(70).collect();
        assert_eq!(column, [0.0, 0.0, 1.0, 1.0, 2.0].repeat(2));
        assert!(Matrix::zeros(0, 70).pieces_mut(0, 2).is_empty());
    }

    #[test]
    fn transposes() {
        for (rows, columns) in [(1, 1), (3, 70), (64, 64), (130, 17), (65, 129)] {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let matrix = Matrix::from_rows(rows, columns, &values);
            let mut out = Matrix::zeros(columns, rows);
            matrix.transpose_into(&mut out);
            let flipped = out.to_rows();
            assert!((0..rows * columns).all(|i| flipped[(i % columns) * rows + i / columns] == values[i]));
            let mut back = Matrix::zeros(rows, columns);
            out.transpose_into(&mut back);
            assert_eq!(back, matrix);
        }
    }
}
