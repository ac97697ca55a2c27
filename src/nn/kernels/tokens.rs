//! Positions of a batch as tokens: one more before them, a row of a table for each, and their exchange with the channels.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::matrix::{LANES, Matrix, PANEL};

/// What is put before the positions, and what is added to them.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// One row.
    pub token: &'a Matrix,
    /// A row for the token, then one for each position.
    pub table: &'a Matrix,
}

impl Tokens<'_> {
    /// Writes the token's rows, then the input's, each plus its row of the table, in parallel. `out` has its shape already.
    pub fn embed(&self, input: &Matrix, out: &mut Matrix) {
        let rows = out.rows().max(1);
        out.values_mut().par_chunks_mut(PANEL * rows).enumerate().for_each(|(panel, values)| {
            let block = values.len() / self.table.rows();
            let blocks = values.par_chunks_mut(block).enumerate();
            blocks.for_each(|(position, out)| self.place(input, panel, position, out));
        });
    }

    /// The same, on this thread.
    pub fn embed_on_this_thread(&self, input: &Matrix, out: &mut Matrix) {
        let rows = out.rows().max(1);
        for (panel, values) in out.values_mut().chunks_mut(PANEL * rows).enumerate() {
            let block = values.len() / self.table.rows();
            for (position, out) in values.chunks_mut(block).enumerate() {
                self.place(input, panel, position, out);
            }
        }
    }

    /// Writes the rows of a position, one per example.
    fn place(&self, input: &Matrix, panel: usize, position: usize, out: &mut [f32]) {
        let ((table, width), (token, _)) = (self.table.panel(panel), self.token.panel(panel));
        let table = &table[position * width..][..width];
        if position == 0 {
            for out in out.chunks_exact_mut(width) {
                out.copy_from_slice(token);
            }
        } else {
            out.copy_from_slice(&input.panel(panel).0[(position - 1) * out.len()..][..out.len()]);
        }
        for out in out.chunks_exact_mut(width) {
            out.iter_mut().zip(table).for_each(|(out, place)| *out += place);
        }
    }
}

/// Computes the gradients at the table, in parallel, and at the token: sums over the examples.
pub fn gradients(gradient: &Matrix, of_token: &mut Matrix, of_table: &mut Matrix) {
    let positions = of_table.rows();
    of_table.values_mut().par_chunks_mut(PANEL * positions).enumerate().for_each(|(panel, sums)| {
        let (values, width) = gradient.panel(panel);
        let blocks = values.chunks(values.len() / positions);
        for (sums, block) in sums.chunks_exact_mut(width).zip(blocks) {
            sums.fill(0.0);
            for row in block.chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
    });
    take(of_table, 0, of_token);
}

/// Copies neighbouring rows, from `first` on, as many as `out` has.
pub fn take(rows: &Matrix, first: usize, out: &mut Matrix) {
    for panel in 0..out.columns().div_ceil(PANEL) {
        let (out, width) = out.panel_mut(panel);
        out.copy_from_slice(&rows.panel(panel).0[first * width..][..out.len()]);
    }
}

/// Copies all rows over the first ones of `out`; the others become 0.
pub fn put(rows: &Matrix, out: &mut Matrix) {
    for panel in 0..out.columns().div_ceil(PANEL) {
        let (from, (to, _)) = (rows.panel(panel).0, out.panel_mut(panel));
        let (to, others) = to.split_at_mut(from.len());
        to.copy_from_slice(from);
        others.fill(0.0);
    }
}

/// Channels that a task transposes: a line of the cache is read once.
const CHANNELS: usize = LANES;

/// Exchanges positions and channels of each example, in parallel: (positions · examples) × channels to (channels · examples) × positions.
/// `out` has its shape already.
pub fn transpose(input: &Matrix, examples: usize, out: &mut Matrix) {
    let tasks = out.pieces_mut(input.columns() * examples, CHANNELS * examples).into_par_iter().enumerate();
    tasks.for_each(|(task, pieces)| transpose_channels(input, examples, task * CHANNELS, pieces));
}

/// The same, on this thread.
pub fn transpose_on_this_thread(input: &Matrix, examples: usize, out: &mut Matrix) {
    let tasks = out.pieces_mut(input.columns() * examples, CHANNELS * examples).into_iter().enumerate();
    tasks.for_each(|(task, pieces)| transpose_channels(input, examples, task * CHANNELS, pieces));
}

/// Writes the rows of neighbouring channels, from `first` on: a piece per panel.
fn transpose_channels(input: &Matrix, examples: usize, first: usize, pieces: Vec<&mut [f32]>) {
    let (values, stride) = input.panel(first / PANEL);
    let positions = input.rows() / examples;
    for (panel, piece) in pieces.into_iter().enumerate() {
        let width = (positions - panel * PANEL).min(PANEL).next_multiple_of(LANES);
        for example in 0..examples {
            for column in 0..width {
                let position = panel * PANEL + column;
                let line = values.get((position * examples + example) * stride + first % PANEL..);
                let line = line.filter(|_| position < positions).unwrap_or(&[0.0; CHANNELS]);
                let rows = piece[example * width + column..].iter_mut().step_by(examples * width);
                rows.zip(line).for_each(|(out, value)| *out = *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    #[test]
    fn a_transposition_is_that_of_a_plain_loop() {
        for (examples, positions, channels) in [(1, 1, 1), (3, 4, 70), (5, 65, 64), (2, 100, 17)] {
            let mut stream = rng::stream(0, &["transpose"]);
            let values: Vec<f32> =
                (0..positions * examples * channels).map(|_| stream.normal() as f32).collect();
            let input = Matrix::from_rows(positions * examples, channels, &values);
            let [mut out, mut alone] = [f32::NAN; 2].map(|held| {
                let mut matrix = Matrix::zeros(channels * examples, positions);
                matrix.values_mut().fill(held);
                matrix
            });
            transpose(&input, examples, &mut out);
            transpose_on_this_thread(&input, examples, &mut alone);
            let mut expected = vec![0.0; values.len()];
            for (at, value) in values.iter().enumerate() {
                let (row, channel) = (at / channels, at % channels);
                let (position, example) = (row / examples, row % examples);
                expected[(channel * examples + example) * positions + position] = *value;
            }
            assert_eq!(out, Matrix::from_rows(channels * examples, positions, &expected));
            assert_eq!(out, alone);
        }
    }

    #[test]
    fn tokens_and_gradients_are_those_of_plain_loops() {
        for (examples, positions, channels) in [(1, 1, 1), (3, 4, 70), (5, 2, 64)] {
            let numbers = |name: &str, rows: usize| {
                let mut stream = rng::stream(0, &[name]);
                let values: Vec<f32> = (0..rows * channels).map(|_| stream.normal() as f32).collect();
                (Matrix::from_rows(rows, channels, &values), values)
            };
            let (input, x) = numbers("input", positions * examples);
            let ((token, t), (table, p)) = (numbers("token", 1), numbers("table", positions + 1));
            let rows = (positions + 1) * examples;
            let [mut out, mut alone] = [0; 2].map(|_| Matrix::zeros(rows, channels));
            let tokens = Tokens { token: &token, table: &table };
            tokens.embed(&input, &mut out);
            tokens.embed_on_this_thread(&input, &mut alone);
            assert_eq!(out, alone);
            let expected = (0..rows * channels).map(|at| {
                let (row, channel) = (at / channels, at % channels);
                let before = if row < examples { t[channel] } else { x[at - examples * channels] };
                before + p[row / examples * channels + channel]
            });
            assert_eq!(out.to_rows(), expected.collect::<Vec<_>>());

            let [mut of_token, mut of_table] = [1, positions + 1].map(|rows| Matrix::zeros(rows, channels));
            gradients(&out, &mut of_token, &mut of_table);
            let given = out.to_rows();
            for (at, sum) in of_table.to_rows().into_iter().enumerate() {
                let first = at / channels * examples * channels + at % channels;
                let terms = given[first..].iter().step_by(channels).take(examples);
                assert!((sum - terms.sum::<f32>()).abs() < 1e-5);
            }
            assert_eq!(of_token.to_rows(), of_table.to_rows()[..channels]);

            let mut first = Matrix::zeros(examples, channels);
            take(&out, 0, &mut first);
            assert_eq!(first.to_rows(), given[..examples * channels]);
            put(&first, &mut out);
            assert_eq!(out.to_rows()[..examples * channels], given[..examples * channels]);
            assert!(out.to_rows()[examples * channels..].iter().all(|value| *value == 0.0));
        }
    }
}
