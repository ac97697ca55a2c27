//! PLAIN
use crate::nn::kernels::matrix::Matrix;
use crate::nn::kernels::{Finish, Path};
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
}
impl Window {
    pub fn output(&self, map: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|i| (map[i] + 2 * self.padding[i] - self.kernel[i]) / self.stride[i] + 1)
    }
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    pairs: Vec<Vec<(usize, usize)>>,
    count: usize,
    inputs: usize,
}
impl Taps {
    pub fn new(map: [usize; 2], window: &Window) -> Self {
        let out = window.output(map);
        let mut pairs = vec![];
        for y in 0..out[0] {
            for x in 0..out[1] {
                let mut p = vec![];
                for ky in 0..window.kernel[0] {
                    for kx in 0..window.kernel[1] {
                        let (iy, ix) = (y * window.stride[0] + ky, x * window.stride[1] + kx);
                        if iy >= window.padding[0]
                            && ix >= window.padding[1]
                            && iy - window.padding[0] < map[0]
                            && ix - window.padding[1] < map[1]
                        {
                            p.push((
                                ky * window.kernel[1] + kx,
                                (iy - window.padding[0]) * map[1] + ix - window.padding[1],
                            ));
                        }
                    }
                }
                pairs.push(p);
            }
        }
        Self { pairs, count: window.kernel[0] * window.kernel[1], inputs: map[0] * map[1] }
    }
    pub fn flipped(&self) -> Self {
        let mut pairs = vec![vec![]; self.inputs];
        for (out, p) in self.pairs.iter().enumerate() {
            for (tap, input) in p {
                pairs[*input].push((*tap, out));
            }
        }
        pairs.iter_mut().for_each(|p| p.sort());
        Self { pairs, count: self.count, inputs: self.outputs() }
    }
    pub fn count(&self) -> usize {
        self.count
    }
    pub fn inputs(&self) -> usize {
        self.inputs
    }
    pub fn outputs(&self) -> usize {
        self.pairs.len()
    }
    pub fn of(&self, position: usize) -> impl Iterator<Item = (usize, usize)> {
        self.pairs[position].iter().copied()
    }
}
pub struct Convolution<'a> {
    pub input: &'a Matrix,
    pub examples: usize,
    pub taps: &'a Taps,
    pub weight: &'a Matrix,
    pub finish: Finish<'a>,
    pub path: Path,
}
impl Convolution<'_> {
    pub fn into_panels(&self, out: &mut Matrix) {
        self.on_this_thread(out)
    }
    pub fn on_this_thread(&self, out: &mut Matrix) {
        let (x, w, n, c) =
            (self.input.to_rows(), self.weight.to_rows(), self.weight.columns(), self.input.columns());
        let mask = match self.finish {
            Finish::Mask(m) => m.to_rows(),
            _ => vec![],
        };
        for p in 0..self.taps.outputs() {
            for e in 0..self.examples {
                let mut row = vec![0.0_f32; n];
                for (tap, i) in self.taps.of(p) {
                    for k in 0..c {
                        for (o, row) in row.iter_mut().enumerate() {
                            *row = x[(i * self.examples + e) * c + k].mul_add(w[(tap * c + k) * n + o], *row);
                        }
                    }
                }
                for (o, v) in row.iter_mut().enumerate() {
                    match self.finish {
                        Finish::Store => {}
                        Finish::Mask(_) => {
                            if !(mask[(p * self.examples + e) * n + o] > 0.0) {
                                *v = 0.0
                            }
                        }
                        Finish::Bias { bias, relu } => {
                            *v += bias.panel(o / 64).0[o % 64];
                            if relu && *v < 0.0 {
                                *v = 0.0
                            }
                        }
                    }
                }
                out.set_row(p * self.examples + e, &row);
            }
        }
    }
}
pub struct WeightGradient<'a> {
    pub input: &'a Matrix,
    pub output_gradient: &'a Matrix,
    pub examples: usize,
    pub taps: &'a Taps,
    pub path: Path,
}
impl WeightGradient<'_> {
    pub fn compute(&self, _: &mut Vec<Matrix>, out: &mut Matrix) {
        let (x, g, n, c) = (
            self.input.to_rows(),
            self.output_gradient.to_rows(),
            self.output_gradient.columns(),
            self.input.columns(),
        );
        let mut w = vec![0.0_f32; self.taps.count() * c * n];
        for p in 0..self.taps.outputs() {
            for (tap, i) in self.taps.of(p) {
                for e in 0..self.examples {
                    for k in 0..c {
                        for o in 0..n {
                            w[(tap * c + k) * n + o] +=
                                x[(i * self.examples + e) * c + k] * g[(p * self.examples + e) * n + o];
                        }
                    }
                }
            }
        }
        *out = Matrix::from_rows(self.taps.count() * c, n, &w);
    }
}
pub fn transpose_taps(weight: &Matrix, taps: usize, out: &mut Matrix) {
    let (c, n, w) = (weight.rows() / taps, weight.columns(), weight.to_rows());
    let mut t = vec![0.0; w.len()];
    for tap in 0..taps {
        for k in 0..c {
            for o in 0..n {
                t[(tap * n + o) * c + k] = w[(tap * c + k) * n + o];
            }
        }
    }
    *out = Matrix::from_rows(taps * n, c, &t);
}
