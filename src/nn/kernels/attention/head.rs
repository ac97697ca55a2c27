//! One head of one example.

use crate::nn::kernels::attention::Attention;
use crate::nn::kernels::matrix::PANEL;
use crate::nn::kernels::vector::{self, LANES, Lanes, Loop, exp, multiply_add};
use crate::nn::kernels::{Finish, Matrix, Path, Product};

/// One head of one example, a row per position; the memory serves one after the other.
pub(super) struct Head {
    /// Queries, keys and values.
    pub(super) input: [Matrix; 3],
    /// What the head gives; in the backward pass, the gradient there.
    pub(super) output: Matrix,
    /// Gradients at queries, keys and values.
    pub(super) gradients: [Matrix; 3],
    /// Keys or values, a column per position.
    transposed: Matrix,
    /// A row per query, a column per key.
    probabilities: Matrix,
    /// The gradient there.
    slopes: Matrix,
    /// For each row.
    lanes: Vec<Lanes>,
    scale: f32,
    path: Path,
}

impl Head {
    pub(super) fn new(of: &Attention) -> Self {
        let Attention { positions, depth, path, .. } = *of;
        let rows = || Matrix::zeros(positions, depth);
        let square = || Matrix::zeros(positions, positions);
        Self {
            input: [rows(), rows(), rows()],
            output: rows(),
            gradients: [rows(), rows(), rows()],
            transposed: Matrix::zeros(depth, positions),
            probabilities: square(),
            slopes: square(),
            lanes: vec![[0.0; LANES]; positions],
            scale: 1.0 / (depth as f32).sqrt(),
            path,
        }
    }

    /// Computes the output.
    pub(super) fn forward(&mut self) {
        self.attend();
        let [_, _, values] = &self.input;
        product(&self.probabilities, false, values, self.path, &mut self.output);
    }

    /// Computes the gradients.
    ///
    /// With P the probabilities, O = P·V and G the gradient there: dV = Pᵀ·G and dP = G·Vᵀ; of the scores q·kᵀ,
    /// dS = P∘(dP − Σ P∘dP)/√d, the sum over each row; dQ = dS·K and dK = dSᵀ·Q.
    pub(super) fn backward(&mut self) {
        self.attend();
        let Self { input, output, gradients, transposed, probabilities, slopes, lanes, scale, path } = self;
        let ([queries, keys, values], [of_queries, of_keys, of_values]) = (input, gradients);
        let (path, scale) = (*path, *scale);
        product(probabilities, true, output, path, of_values);
        values.transpose_into(transposed);
        product(output, false, transposed, path, slopes);
        vector::run(path, Slopes { probabilities, scale, lanes, gradient: slopes });
        product(slopes, false, keys, path, of_queries);
        product(slopes, true, queries, path, of_keys);
    }

    /// Computes the probabilities.
    fn attend(&mut self) {
        let Self { input: [queries, keys, _], transposed, probabilities, lanes, scale, path, .. } = self;
        keys.transpose_into(transposed);
        product(queries, false, transposed, *path, probabilities);
        vector::run(*path, Softmax { scores: probabilities, scale: *scale, lanes });
    }
}

fn product(left: &Matrix, transposed: bool, right: &Matrix, path: Path, out: &mut Matrix) {
    Product { left, transposed, right, finish: Finish::Store, path }.on_this_thread(out);
}

/// Overwrites each row of scores by exp(scale·(score − largest)), divided by the sum of these.
struct Softmax<'a> {
    scores: &'a mut Matrix,
    scale: f32,
    lanes: &'a mut [Lanes],
}

impl Loop for Softmax<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { scores, scale, lanes } = self;
        lanes.fill([f32::NEG_INFINITY; LANES]);
        each_row(scores, lanes, |row, width, largest| {
            // Its power is 0, and so padding is again.
            row.as_flattened_mut()[width..].fill(f32::NEG_INFINITY);
            for scores in row {
                for (largest, score) in largest.iter_mut().zip(scores) {
                    *largest = larger(*largest, *score);
                }
            }
        });
        join(lanes, |lanes| vector::fold(lanes, larger));
        each_row(scores, lanes, |row, _, largest| {
            for score in row.as_flattened_mut() {
                *score = exp::<FMA>(scale * (*score - largest[0]));
            }
        });
        lanes.fill([0.0; LANES]);
        each_row(scores, lanes, |row, _, sums| {
            for powers in row {
                sums.iter_mut().zip(powers).for_each(|(sum, power)| *sum += *power);
            }
        });
        join(lanes, |lanes| 1.0 / vector::sum(lanes));
        each_row(scores, lanes, |row, _, share| {
            row.as_flattened_mut().iter_mut().for_each(|power| *power *= share[0]);
        });
    }
}

/// Of two numbers, one of which may be none.
#[inline(always)]
fn larger(largest: f32, other: f32) -> f32 {
    if other > largest { other } else { largest }
}

/// Overwrites the lanes of each row by one number.
#[inline(always)]
fn join(lanes: &mut [Lanes], number: impl Fn(Lanes) -> f32) {
    for lanes in lanes {
        *lanes = [number(*lanes); LANES];
    }
}

/// Calls for each row of each panel, with its width without padding and the row's lanes.
#[inline(always)]
fn each_row(matrix: &mut Matrix, lanes: &mut [Lanes], mut call: impl FnMut(&mut [Lanes], usize, &mut Lanes)) {
    for panel in 0..matrix.columns().div_ceil(PANEL) {
        let width = matrix.strip(panel).2;
        let (values, stride) = matrix.panel_mut(panel);
        for (row, lanes) in values.chunks_exact_mut(stride).zip(&mut *lanes) {
            call(row.as_chunks_mut().0, width, lanes);
        }
    }
}

/// Overwrites the gradient at the probabilities by that at the scores.
struct Slopes<'a> {
    probabilities: &'a Matrix,
    scale: f32,
    lanes: &'a mut [Lanes],
    gradient: &'a mut Matrix,
}

impl Loop for Slopes<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { probabilities, scale, lanes, gradient: slopes } = self;
        lanes.fill([0.0; LANES]);
        for panel in 0..slopes.columns().div_ceil(PANEL) {
            let ((slopes, stride), (powers, _)) = (slopes.panel(panel), probabilities.panel(panel));
            let rows = slopes.chunks_exact(stride).zip(powers.chunks_exact(stride));
            for ((slopes, powers), sums) in rows.zip(&mut *lanes) {
                for (slopes, powers) in slopes.as_chunks::<LANES>().0.iter().zip(powers.as_chunks().0) {
                    for ((sum, slope), power) in sums.iter_mut().zip(slopes).zip::<&Lanes>(powers) {
                        *sum = multiply_add::<FMA>(*slope, *power, *sum);
                    }
                }
            }
        }
        join(lanes, vector::sum);
        for panel in 0..slopes.columns().div_ceil(PANEL) {
            let (powers, _) = probabilities.panel(panel);
            let (slopes, stride) = slopes.panel_mut(panel);
            let rows = slopes.chunks_exact_mut(stride).zip(powers.chunks_exact(stride));
            for ((slopes, powers), sum) in rows.zip(&*lanes) {
                for (slope, power) in slopes.iter_mut().zip(powers) {
                    *slope = scale * power * (*slope - sum[0]);
                }
            }
        }
    }
}
