//! Layer normalisation: each row of a batch over its channels.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::nn::kernels::Path;
use crate::nn::kernels::matrix::{Matrix, PANEL};
use crate::nn::kernels::vector::{self, LANES, Loop, multiply_add};

/// Added to the variance: the usual value of vision transformers.
pub const EPSILON: f32 = 1e-6;
/// Rows of a task, over which a sum in `f32` runs; sums of these are in `f64`.
const BLOCK: usize = 64;

/// Mean and 1/√(variance + ε) of a row.
pub type Moments = [f32; 2];

/// Computes γ·(x − mean)/√(variance + ε) + β of each row, in parallel, and writes the rows' moments. `out` has its shape already.
pub fn forward(
    [gamma, beta]: [&Matrix; 2],
    input: &Matrix,
    path: Path,
    moments: &mut Vec<Moments>,
    out: &mut Matrix,
) {
    moments.resize(input.rows(), [0.0; 2]);
    let pieces = out.pieces_mut(input.rows(), BLOCK);
    pieces.into_par_iter().zip(moments.par_chunks_mut(BLOCK)).enumerate().for_each(
        |(block, (out, moments))| {
            vector::run(path, Forward { gamma, beta, input, first: block * BLOCK, moments, out });
        },
    );
}

/// The same, on this thread and without the moments.
pub fn forward_on_this_thread([gamma, beta]: [&Matrix; 2], input: &Matrix, path: Path, out: &mut Matrix) {
    let mut moments = [[0.0; 2]; BLOCK];
    for (block, out) in out.pieces_mut(input.rows(), BLOCK).into_iter().enumerate() {
        let first = block * BLOCK;
        let moments = &mut moments[..BLOCK.min(input.rows() - first)];
        vector::run(path, Forward { gamma, beta, input, first, moments, out });
    }
}

/// What the gradients are made from.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// The scale, a matrix of one row.
    pub gamma: &'a Matrix,
    /// What the forward pass was given.
    pub input: &'a Matrix,
    /// What it wrote.
    pub moments: &'a [Moments],
    /// The gradient at its output.
    pub gradient: &'a Matrix,
    /// The instructions to use.
    pub path: Path,
}

impl Backward<'_> {
    /// Computes the gradients at γ and β, each a matrix of one row, in parallel.
    pub fn of_variables(&self, of_gamma: &mut Matrix, of_beta: &mut Matrix) {
        let width = of_gamma.values().len();
        let mut parts = vec![0.0; self.moments.len().div_ceil(BLOCK) * 2 * width];
        parts.par_chunks_mut(2 * width).zip(self.moments.par_chunks(BLOCK)).enumerate().for_each(
            |(block, (sums, moments))| {
                let (of_gamma, of_beta) = sums.split_at_mut(width);
                let first = block * BLOCK;
                vector::run(self.path, Sums { of: self, first, moments, of_gamma, of_beta });
            },
        );
        for (which, out) in [of_gamma, of_beta].into_iter().enumerate() {
            for (channel, out) in out.values_mut().iter_mut().enumerate() {
                let parts = parts[which * width + channel..].iter().step_by(2 * width);
                *out = parts.map(|part| f64::from(*part)).sum::<f64>() as f32;
            }
        }
    }

    /// Computes the gradient at the input, in parallel. `out` has its shape already.
    pub fn of_input(&self, out: &mut Matrix) {
        let pieces = out.pieces_mut(self.input.rows(), BLOCK);
        pieces.into_par_iter().zip(self.moments.par_chunks(BLOCK)).enumerate().for_each(
            |(block, (out, moments))| {
                vector::run(self.path, OfInput { of: self, first: block * BLOCK, moments, out });
            },
        );
    }
}

/// A row of a panel with its padding, and how wide it is without.
#[inline(always)]
fn row(matrix: &Matrix, panel: usize, row: usize) -> (&[f32], usize) {
    let (values, stride, width) = matrix.strip(panel);
    (&values[row * stride..][..stride], width)
}

/// Mean and 1/√(variance + ε) of a row.
#[inline(always)]
fn moments(input: &Matrix, index: usize) -> Moments {
    let (panels, channels) = (input.columns().div_ceil(PANEL), input.columns() as f32);
    let mut sums = [0.0; LANES];
    for panel in 0..panels {
        for values in row(input, panel, index).0.as_chunks::<LANES>().0 {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
    let mean = vector::sum(sums) / channels;
    let mut squares = [0.0; LANES];
    let mut add = |values: &[f32]| {
        for (sum, value) in squares.iter_mut().zip(values) {
            *sum += (value - mean) * (value - mean);
        }
    };
    for panel in 0..panels {
        let (values, width) = row(input, panel, index);
        let (chunks, rest) = values[..width].as_chunks::<LANES>();
        for values in chunks {
            add(values);
        }
        add(rest);
    }
    [mean, 1.0 / (vector::sum(squares) / channels + EPSILON).sqrt()]
}

struct Forward<'a> {
    gamma: &'a Matrix,
    beta: &'a Matrix,
    input: &'a Matrix,
    first: usize,
    moments: &'a mut [Moments],
    out: Vec<&'a mut [f32]>,
}

impl Loop for Forward<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        for (index, kept) in self.moments.iter_mut().enumerate() {
            let [mean, inverse] = moments(self.input, self.first + index);
            *kept = [mean, inverse];
            for (panel, out) in self.out.iter_mut().enumerate() {
                let [input, gamma, beta] =
                    [(self.input, self.first + index), (self.gamma, 0), (self.beta, 0)]
                        .map(|(matrix, index)| row(matrix, panel, index).0);
                let out = out[index * input.len()..].iter_mut();
                for (((out, x), gamma), beta) in out.zip(input).zip(gamma).zip(beta) {
                    *out = multiply_add::<FMA>((x - mean) * inverse, *gamma, *beta);
                }
            }
        }
    }
}

/// Σ g·x̂ and Σ g over some rows.
struct Sums<'a> {
    of: &'a Backward<'a>,
    first: usize,
    moments: &'a [Moments],
    of_gamma: &'a mut [f32],
    of_beta: &'a mut [f32],
}

impl Loop for Sums<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (index, [mean, inverse]) in (self.first..).zip(self.moments) {
            let sums = self.of_gamma.chunks_mut(PANEL).zip(self.of_beta.chunks_mut(PANEL));
            for (panel, (of_gamma, of_beta)) in sums.enumerate() {
                let [input, gradient] =
                    [self.of.input, self.of.gradient].map(|matrix| row(matrix, panel, index).0);
                let sums = of_gamma.iter_mut().zip(of_beta);
                for (((of_gamma, of_beta), x), g) in sums.zip(input).zip(gradient) {
                    *of_gamma = multiply_add::<FMA>(*g, (x - mean) * inverse, *of_gamma);
                    *of_beta += g;
                }
            }
        }
    }
}

struct OfInput<'a> {
    of: &'a Backward<'a>,
    first: usize,
    moments: &'a [Moments],
    out: Vec<&'a mut [f32]>,
}

impl Loop for OfInput<'_> {
    /// With n channels, d = √(variance + ε), and h = γ·g: dx = (h − Σ h/n − x̂·Σ h·x̂/n)/d.
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        let Backward { gamma, input, gradient, .. } = self.of;
        let share = 1.0 / input.columns() as f32;
        for (index, [mean, inverse]) in self.moments.iter().enumerate() {
            let of_panel = |panel| {
                [(input, self.first + index), (gradient, self.first + index), (gamma, 0)]
                    .map(|(matrix, index)| row(matrix, panel, index).0)
            };
            let (mut plain, mut along) = ([0.0; LANES], [0.0; LANES]);
            for panel in 0..self.out.len() {
                let [input, gradient, gamma] = of_panel(panel).map(|row| row.as_chunks::<LANES>().0);
                for ((input, gradient), gamma) in input.iter().zip(gradient).zip(gamma) {
                    for lane in 0..LANES {
                        let scaled = gradient[lane] * gamma[lane];
                        plain[lane] += scaled;
                        along[lane] =
                            multiply_add::<FMA>(scaled, (input[lane] - mean) * inverse, along[lane]);
                    }
                }
            }
            let [plain, along] = [plain, along].map(|sums| vector::sum(sums) * share);
            for (panel, out) in self.out.iter_mut().enumerate() {
                let ([values, gradient, gamma], width) = (of_panel(panel), input.strip(panel).2);
                let out = &mut out[index * values.len()..][..values.len()];
                for (((out, x), g), gamma) in out.iter_mut().zip(values).zip(gradient).zip(gamma) {
                    let rest = multiply_add::<FMA>((mean - x) * inverse, along, -plain);
                    *out = inverse * multiply_add::<FMA>(*g, *gamma, rest);
                }
                out[width..].fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    fn numbers(name: &str, count: usize) -> Vec<f32> {
        let mut stream = rng::stream(0, &[name]);
        (0..count).map(|_| stream.normal() as f32 + 3.0).collect()
    }

    /// Output, gradients at γ and β, gradient at the input: plain loops in f64.
    fn plain(channels: usize, [input, gamma, beta, gradient]: [&[f32]; 4]) -> [Vec<f64>; 4] {
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
        let [gamma, beta] = [wide(gamma), wide(beta)];
        let n = channels as f64;
        let [mut out, mut of_input] = [Vec::new(), Vec::new()];
        let [mut of_gamma, mut of_beta] = [vec![0.0; channels], vec![0.0; channels]];
        for (x, g) in input.chunks(channels).zip(gradient.chunks(channels)) {
            let (x, g) = (wide(x), wide(g));
            let mean = x.iter().sum::<f64>() / n;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            let deviation = (variance + f64::from(EPSILON)).sqrt();
            let normal: Vec<f64> = x.iter().map(|x| (x - mean) / deviation).collect();
            let scaled: Vec<f64> = g.iter().zip(&gamma).map(|(g, gamma)| g * gamma).collect();
            let plain = scaled.iter().sum::<f64>() / n;
            let along = scaled.iter().zip(&normal).map(|(a, b)| a * b).sum::<f64>() / n;
            for c in 0..channels {
                out.push(normal[c] * gamma[c] + beta[c]);
                of_gamma[c] += g[c] * normal[c];
                of_beta[c] += g[c];
                of_input.push((scaled[c] - plain - normal[c] * along) / deviation);
            }
        }
        [out, of_gamma, of_beta, of_input]
    }

    fn assert_close(ours: &Matrix, theirs: &[f64], what: &str) {
        let rows = ours.to_rows();
        assert_eq!(Matrix::from_rows(ours.rows(), ours.columns(), &rows), *ours, "padding is zero");
        let scale = theirs.iter().fold(1.0_f64, |scale, value| scale.max(value.abs()));
        for (a, b) in rows.iter().zip(theirs) {
            assert!((f64::from(*a) - b).abs() < 1e-5 * scale, "{what}: {a} {b}");
        }
    }

    #[test]
    fn all_paths_agree_with_plain_loops() {
        for (rows, channels) in [(1, 2), (3, 16), (65, 17), (7, 64), (130, 65), (64, 192), (5, 200)] {
            let [x, g] = ["input", "gradient"].map(|name| numbers(name, rows * channels));
            let [scale, shift] = ["gamma", "beta"].map(|name| numbers(name, channels));
            let expected = plain(channels, [&x, &scale, &shift, &g]);
            let [input, gradient] = [x, g].map(|values| Matrix::from_rows(rows, channels, &values));
            let [gamma, beta] = [scale, shift].map(|values| Matrix::from_rows(1, channels, &values));
            for path in Path::available() {
                let what = format!("{path:?} {rows}x{channels}");
                let [mut out, mut alone, mut of_input] = [0; 3].map(|_| Matrix::zeros(rows, channels));
                of_input.values_mut().fill(f32::NAN);
                let [mut of_gamma, mut of_beta] = [0; 2].map(|_| Matrix::zeros(1, channels));
                let mut moments = Vec::new();
                forward([&gamma, &beta], &input, path, &mut moments, &mut out);
                forward_on_this_thread([&gamma, &beta], &input, path, &mut alone);
                assert_eq!(out, alone, "{what}");
                let pass =
                    Backward { gamma: &gamma, input: &input, moments: &moments, gradient: &gradient, path };
                pass.of_variables(&mut of_gamma, &mut of_beta);
                pass.of_input(&mut of_input);
                for (ours, theirs) in [out, of_gamma, of_beta, of_input].iter().zip(&expected) {
                    assert_close(ours, theirs, &what);
                }
            }
        }
    }
}
