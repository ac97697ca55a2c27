//! Convolutions and their gradients against plain loops in f64.

use std::ops::Range;

use super::*;
use crate::base::rng;

/// A convolution's shape.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::kernels) struct Shape {
    pub(in crate::nn::kernels) map: [usize; 2],
    pub(in crate::nn::kernels) window: Window,
    pub(in crate::nn::kernels) channels: usize,
    pub(in crate::nn::kernels) outputs: usize,
    pub(in crate::nn::kernels) examples: usize,
}

pub(in crate::nn::kernels) const fn shape(
    map: [usize; 2],
    [kernel, stride, padding]: [[usize; 2]; 3],
    [channels, outputs, examples]: [usize; 3],
) -> Shape {
    Shape { map, window: Window { kernel, stride, padding }, channels, outputs, examples }
}

/// Those at the edges: one of everything, channels beside multiples of 16 and 64, padding that no tap leaves, a window
/// larger than the map, a 1×1 convolution that skips positions.
const SHAPES: [Shape; 10] = [
    shape([1, 1], [[1, 1], [1, 1], [0, 0]], [1, 1, 1]),
    shape([5, 4], [[3, 3], [1, 1], [1, 1]], [3, 65, 7]),
    shape([3, 3], [[3, 3], [1, 1], [1, 1]], [130, 10, 6]),
    shape([7, 5], [[3, 2], [2, 3], [1, 0]], [65, 16, 5]),
    shape([5, 5], [[1, 1], [2, 2], [0, 0]], [27, 130, 6]),
    shape([2, 3], [[5, 5], [1, 1], [2, 2]], [17, 3, 70]),
    shape([2, 2], [[1, 1], [1, 1], [2, 2]], [3, 3, 5]),
    shape([6, 6], [[2, 2], [2, 2], [0, 0]], [64, 64, 1]),
    shape([9, 1], [[3, 1], [3, 1], [2, 0]], [10, 70, 70]),
    shape([1, 2], [[3, 3], [1, 1], [1, 1]], [66, 3, 131]),
];

/// The fixed shapes, and random ones.
fn shapes() -> Vec<Shape> {
    let mut stream = rng::stream(0, &["shapes"]);
    let mut below = |bound: usize| stream.below(bound as u64) as usize;
    let random = (0..12).map(|_| {
        let map = [1 + below(6), 1 + below(6)];
        let kernel = [1 + below(3), 1 + below(3)];
        let padding = [below(3), below(3)];
        let stride = [1 + below(3), 1 + below(3)];
        let channels = [1, 3, 16, 65][below(4)];
        let outputs = [1, 10, 64, 130][below(4)];
        shape(map, [kernel, stride, padding], [channels, outputs, [1, 5, 6, 7][below(4)]])
    });
    let fits = |shape: &Shape| shape.window.output(shape.map) != [0, 0];
    SHAPES.into_iter().chain(random.filter(fits)).collect()
}

/// What a test computes with.
pub(in crate::nn::kernels) struct Setting {
    pub(in crate::nn::kernels) shape: Shape,
    taps: Taps,
    flipped: Taps,
    pub(in crate::nn::kernels) input: Matrix,
    pub(in crate::nn::kernels) weight: Matrix,
    pub(in crate::nn::kernels) gradient: Matrix,
}

pub(in crate::nn::kernels) fn numbers(name: &str, rows: usize, columns: usize) -> Matrix {
    let mut stream = rng::stream(0, &[name]);
    let values: Vec<f32> = (0..rows * columns).map(|_| stream.normal() as f32).collect();
    Matrix::from_rows(rows, columns, &values)
}

/// A result of this one's shape, before it is computed.
pub(in crate::nn::kernels) fn blank(like: &Matrix) -> Matrix {
    let mut out = like.clone();
    out.values_mut().fill(f32::NAN);
    out
}

impl Setting {
    pub(in crate::nn::kernels) fn new(shape: Shape) -> Self {
        let taps = Taps::new(shape.map, &shape.window);
        Self {
            shape,
            input: numbers("input", taps.inputs() * shape.examples, shape.channels),
            weight: numbers("weight", taps.count() * shape.channels, shape.outputs),
            gradient: numbers("gradient", taps.outputs() * shape.examples, shape.outputs),
            flipped: taps.flipped(),
            taps,
        }
    }

    fn forward<'a>(&'a self, finish: Finish<'a>, path: Path) -> Convolution<'a> {
        let Self { input, taps, weight, .. } = self;
        Convolution { input, examples: self.shape.examples, taps, weight, finish, path }
    }

    pub(in crate::nn::kernels) fn result(&self, finish: Finish, path: Path) -> Matrix {
        let mut out = blank(&self.gradient);
        self.forward(finish, path).into_panels(&mut out);
        out
    }

    fn input_gradient(&self, path: Path) -> Matrix {
        let mut weight = Matrix::default();
        transpose_taps(&self.weight, self.taps.count(), &mut weight);
        let mut out = blank(&self.input);
        Convolution {
            input: &self.gradient,
            examples: self.shape.examples,
            taps: &self.flipped,
            weight: &weight,
            finish: Finish::Store,
            path,
        }
        .into_panels(&mut out);
        out
    }

    fn weight_gradient(&self, parts: &mut Vec<Matrix>, path: Path) -> Matrix {
        let mut out = blank(&self.weight);
        WeightGradient {
            input: &self.input,
            output_gradient: &self.gradient,
            examples: self.shape.examples,
            taps: &self.taps,
            path,
        }
        .into(parts, &mut out);
        out
    }

    /// Calls with (output row, input row, first weight row) for all that a convolution multiplies.
    fn visit(&self, mut call: impl FnMut(usize, usize, usize)) {
        let Shape { map, window, channels, examples, .. } = self.shape;
        let [height, width] = window.output(map);
        for (y, x) in (0..height * width).map(|at| (at / width, at % width)) {
            for (ky, kx) in (0..self.taps.count()).map(|at| (at / window.kernel[1], at % window.kernel[1])) {
                // Counted from the corner of the padding.
                let place = |axis: usize, at, tap| at * window.stride[axis] + tap;
                let (padded_y, padded_x) = (place(0, y, ky), place(1, x, kx));
                let [top, left] = window.padding;
                if !(top..top + map[0]).contains(&padded_y) || !(left..left + map[1]).contains(&padded_x) {
                    continue;
                }
                let from = (padded_y - top) * map[1] + padded_x - left;
                for example in 0..examples {
                    call(
                        (y * width + x) * examples + example,
                        from * examples + example,
                        (ky * window.kernel[1] + kx) * channels,
                    );
                }
            }
        }
    }
}

/// Sums in f64, and of the magnitudes of the terms, to which rounding errors are proportional.
pub(in crate::nn::kernels) struct Plain(Vec<[f64; 2]>);

impl Plain {
    fn zeros(count: usize) -> Self {
        Self(vec![[0.0; 2]; count])
    }

    fn add(&mut self, at: usize, left: f32, right: f32) {
        let term = f64::from(left) * f64::from(right);
        self.0[at][0] += term;
        self.0[at][1] += term.abs();
    }

    /// `tolerance` says how far a number may be off, from the magnitudes of its terms.
    pub(in crate::nn::kernels) fn check(&self, result: &Matrix, about: &str, tolerance: impl Fn(f64) -> f64) {
        let rows = result.to_rows();
        assert_eq!(self.0.len(), rows.len(), "{about}");
        assert_eq!(&Matrix::from_rows(result.rows(), result.columns(), &rows), result, "{about}: padding");
        for (value, [sum, size]) in rows.iter().zip(&self.0) {
            assert!((f64::from(*value) - sum).abs() <= tolerance(*size), "{about}: {value} {sum}");
        }
    }

    /// How far a result is off at most, relative to the largest number.
    pub(in crate::nn::kernels) fn difference(&self, result: &Matrix) -> f64 {
        let rows = result.to_rows();
        assert_eq!(self.0.len(), rows.len());
        let largest = self.0.iter().fold(0.0, |largest, [sum, _]| sum.abs().max(largest));
        let far = rows.iter().zip(&self.0).map(|(value, [sum, _])| (f64::from(*value) - sum).abs());
        far.fold(0.0, f64::max) / largest
    }

    /// The largest magnitude of terms.
    pub(in crate::nn::kernels) fn largest(&self) -> f64 {
        self.0.iter().fold(0.0, |largest, [_, size]| size.max(largest))
    }
}

/// The result, the gradient at the input, and the gradient at the weight.
pub(in crate::nn::kernels) fn plain(setting: &Setting) -> [Plain; 3] {
    let Shape { channels, outputs, .. } = setting.shape;
    let (input, weight) = (setting.input.to_rows(), setting.weight.to_rows());
    let gradient = setting.gradient.to_rows();
    let mut forward = Plain::zeros(gradient.len());
    let mut at_input = Plain::zeros(input.len());
    let mut at_weight = Plain::zeros(weight.len());
    setting.visit(|row, from, first| {
        for (c, o) in (0..channels * outputs).map(|at| (at / outputs, at % outputs)) {
            let (x, w) = (from * channels + c, (first + c) * outputs + o);
            let z = row * outputs + o;
            forward.add(z, input[x], weight[w]);
            at_input.add(x, gradient[z], weight[w]);
            at_weight.add(w, input[x], gradient[z]);
        }
    });
    [forward, at_input, at_weight]
}

#[test]
fn all_paths_compute_convolutions_and_their_gradients() {
    let mut parts = Vec::new();
    for setting in shapes().into_iter().map(Setting::new) {
        let expected = plain(&setting);
        for path in Path::available() {
            let about = format!("{} {:?}", path.name(), setting.shape);
            let results = [
                setting.result(Finish::Store, path),
                setting.input_gradient(path),
                setting.weight_gradient(&mut parts, path),
            ];
            for (expected, result) in expected.iter().zip(results) {
                expected.check(&result, &about, |size| 1e-6 * size);
            }
        }
    }
}

#[test]
fn sums_are_finished() {
    for (setting, path) in
        SHAPES.map(Setting::new).iter().flat_map(|s| Path::available().into_iter().map(move |p| (s, p)))
    {
        let outputs = setting.shape.outputs;
        let (bias, mask) = (numbers("bias", 1, outputs), numbers("mask", setting.gradient.rows(), outputs));
        let sums = setting.result(Finish::Store, path).to_rows();
        let with_bias: Vec<_> =
            sums.iter().zip(bias.to_rows().iter().cycle()).map(|(sum, b)| sum + b).collect();
        let rectified: Vec<_> = with_bias.iter().map(|sum| sum.max(0.0)).collect();
        let masked = |(sum, mask): (&f32, f32)| if mask > 0.0 { *sum } else { 0.0 };
        let masked: Vec<_> = sums.iter().zip(mask.to_rows()).map(masked).collect();
        for (finish, expected) in [
            (Finish::Bias { bias: &bias, relu: false }, with_bias),
            (Finish::Bias { bias: &bias, relu: true }, rectified),
            (Finish::Mask(&mask), masked),
        ] {
            let out = setting.result(finish, path);
            assert_eq!(out.to_rows(), expected);
            let mut alone = blank(&setting.gradient);
            setting.forward(finish, path).on_this_thread(&mut alone);
            assert_eq!(out, alone);
        }
    }
}

#[test]
fn reading_ahead_stays_within_the_input() {
    for setting in SHAPES.map(Setting::new) {
        let convolution = setting.forward(Finish::Store, Path::detect());
        for position in 0..setting.taps.outputs() {
            convolution.fetch(position);
        }
    }
}

/// A matrix of fewer examples.
pub(in crate::nn::kernels) fn some(matrix: &Matrix, examples: usize, range: &Range<usize>) -> Matrix {
    let (columns, rows, positions) = (matrix.columns(), matrix.to_rows(), matrix.rows() / examples);
    let rows = (0..positions).flat_map(|position| {
        rows[(position * examples + range.start) * columns..][..range.len() * columns].to_vec()
    });
    Matrix::from_rows(positions * range.len(), columns, &rows.collect::<Vec<_>>())
}

#[test]
fn an_example_does_not_depend_on_the_others() {
    let whole = Setting::new(shape([4, 3], [[3, 3], [1, 1], [1, 1]], [130, 74, 70]));
    let some = |matrix: &Matrix, range: &Range<usize>| some(matrix, whole.shape.examples, range);
    for path in Path::available() {
        let all = whole.result(Finish::Store, path);
        for range in [0..1, 69..70, 3..9, 5..70, 10..23, 0..35] {
            let part = Shape { examples: range.len(), ..whole.shape };
            let part = Setting { input: some(&whole.input, &range), ..Setting::new(part) };
            assert_eq!(part.result(Finish::Store, path), some(&all, &range), "{path:?} {range:?}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let pools = [1, 4].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for setting in SHAPES.map(Setting::new) {
        for path in Path::available() {
            let [one, four] = pools.each_ref().map(|pool| {
                pool.install(|| {
                    [
                        setting.result(Finish::Store, path),
                        setting.input_gradient(path),
                        setting.weight_gradient(&mut Vec::new(), path),
                    ]
                })
            });
            assert_eq!(one, four, "{path:?} {:?}", setting.shape);
        }
    }
}

#[test]
fn memory_for_parts_may_have_served_another_convolution() {
    let mut parts: Vec<Matrix> = Vec::new();
    for setting in SHAPES.map(Setting::new) {
        for path in Path::available() {
            let fresh = setting.weight_gradient(&mut Vec::new(), path);
            assert_eq!(setting.weight_gradient(&mut parts, path), fresh);
            for part in &mut parts {
                part.values_mut().fill(f32::NAN);
            }
        }
    }
}
