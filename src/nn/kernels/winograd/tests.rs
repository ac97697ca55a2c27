//! The same as plain convolutions, up to rounding.

use super::*;
use crate::base::rng;
use crate::nn::kernels::convolution::tests::{Setting, Shape, blank, numbers, plain, shape, some};
use crate::nn::kernels::transpose_taps;

/// One of everything, odd maps, channels beside multiples of 16 and 64, examples beside those that are transformed at once, no
/// padding, as much as there may be.
const SHAPES: [([usize; 2], usize, [usize; 3]); 8] = [
    ([1, 1], 1, [1, 1, 1]),
    ([4, 4], 1, [3, 65, 7]),
    ([5, 3], 1, [130, 10, 6]),
    ([3, 7], 0, [65, 16, 5]),
    ([2, 3], 2, [17, 130, 6]),
    ([8, 8], 1, [64, 64, 1]),
    ([1, 2], 1, [66, 3, 131]),
    ([4, 2], 1, [16, 16, 64]),
];

fn settings() -> Vec<Setting> {
    let mut stream = rng::stream(0, &["tiles"]);
    let mut below = |bound: usize| stream.below(bound as u64) as usize;
    let random = (0..8).map(|_| {
        let channels = [[1, 3, 16, 65][below(4)], [1, 10, 64, 130][below(4)], [1, 5, 65][below(3)]];
        ([3 + below(5), 3 + below(5)], below(3), channels)
    });
    let setting = |(map, padding, counts)| Setting::new(shape(map, [[3, 3], [1, 1], [padding; 2]], counts));
    SHAPES.into_iter().chain(random).map(setting).collect()
}

fn result(setting: &Setting, finish: Finish, path: Path) -> [Matrix; 2] {
    let Shape { map, window, examples, .. } = setting.shape;
    let (tiles, mut weight) = (Tiles::new(map, &window).unwrap(), Matrix::default());
    transform_weight(&setting.weight, false, path, &mut weight);
    let all = Winograd { input: &setting.input, examples, tiles: &tiles, weight: &weight, finish, path };
    let (mut out, mut alone) = (blank(&setting.gradient), blank(&setting.gradient));
    all.into_panels(&mut out);
    all.on_this_thread(&mut alone);
    [out, alone]
}

fn input_gradient(setting: &Setting, path: Path) -> Matrix {
    let Shape { map, window, examples, .. } = setting.shape;
    let back = Window { padding: window.padding.map(|padding| 2 - padding), ..window };
    let tiles = &Tiles::new(window.output(map), &back).unwrap();
    let (mut transposed, mut weight, mut out) = (Matrix::default(), Matrix::default(), blank(&setting.input));
    transpose_taps(&setting.weight, 9, &mut transposed);
    transform_weight(&transposed, true, path, &mut weight);
    Winograd { input: &setting.gradient, examples, tiles, weight: &weight, finish: Finish::Store, path }
        .into_panels(&mut out);
    out
}

fn weight_gradient(setting: &Setting, parts: &mut Vec<Matrix>, path: Path) -> Matrix {
    let Shape { map, window, examples, .. } = setting.shape;
    let (tiles, mut out) = (&Tiles::new(map, &window).unwrap(), blank(&setting.weight));
    WinogradGradient { input: &setting.input, output_gradient: &setting.gradient, examples, tiles, path }
        .into(parts, &mut out);
    out
}

#[test]
fn all_paths_compute_convolutions_and_their_gradients() {
    let mut parts: Vec<Matrix> = Vec::new();
    for setting in settings() {
        let expected = plain(&setting);
        for path in Path::available() {
            let [out, alone] = result(&setting, Finish::Store, path);
            assert_eq!(out, alone);
            // Memory that served another convolution may hold anything.
            for part in &mut parts {
                part.values_mut().fill(f32::NAN);
            }
            let results = [out, input_gradient(&setting, path), weight_gradient(&setting, &mut parts, path)];
            for (expected, result) in expected.iter().zip(results) {
                // A transformed tile mixes positions: an output has a share in the rounding of its neighbours.
                let tolerance = 1e-6 * expected.largest();
                expected.check(&result, &format!("{} {:?}", path.name(), setting.shape), |_| tolerance);
            }
        }
    }
}

#[test]
fn sums_are_finished() {
    for (setting, path) in settings().iter().flat_map(|s| Path::available().into_iter().map(move |p| (s, p)))
    {
        let outputs = setting.shape.outputs;
        let (bias, mask) = (numbers("bias", 1, outputs), numbers("mask", setting.gradient.rows(), outputs));
        let sums = result(setting, Finish::Store, path)[0].to_rows();
        let added = bias.to_rows();
        let rectified: Vec<_> =
            sums.iter().zip(added.iter().cycle()).map(|(sum, b)| (sum + b).max(0.0)).collect();
        let masked = |(sum, mask): (&f32, f32)| if mask > 0.0 { *sum } else { 0.0 };
        let masked: Vec<_> = sums.iter().zip(mask.to_rows()).map(masked).collect();
        let bias = Finish::Bias { bias: &bias, relu: true };
        for (finish, expected) in [(bias, rectified), (Finish::Mask(&mask), masked)] {
            assert_eq!(result(setting, finish, path)[0].to_rows(), expected);
        }
    }
}

#[test]
fn an_example_does_not_depend_on_the_others() {
    let whole = Setting::new(shape([4, 3], [[3, 3], [1, 1], [1, 1]], [130, 74, 70]));
    let some = |matrix: &Matrix, range: &Range<usize>| some(matrix, whole.shape.examples, range);
    for path in Path::available() {
        let [all, _] = result(&whole, Finish::Store, path);
        for range in [0..1, 69..70, 3..9, 5..70, 10..23, 0..35] {
            let part = Shape { examples: range.len(), ..whole.shape };
            let mut part = Setting::new(part);
            part.input = some(&whole.input, &range);
            assert_eq!(result(&part, Finish::Store, path)[0], some(&all, &range), "{path:?} {range:?}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let pools = [1, 4].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for setting in settings() {
        for path in Path::available() {
            let [one, four] = pools.each_ref().map(|pool| {
                pool.install(|| {
                    let [out, _] = result(&setting, Finish::Store, path);
                    [out, input_gradient(&setting, path), weight_gradient(&setting, &mut Vec::new(), path)]
                })
            });
            assert_eq!(one, four, "{path:?} {:?}", setting.shape);
        }
    }
}

#[test]
fn it_is_used_where_it_saves_multiplications() {
    let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
    let is_faster = |side, channels| is_faster([side; 2], &window, channels);
    assert!(is_faster(32, [64, 64]) && is_faster(4, [512, 512]));
    assert!(!is_faster(2, [512, 512]), "most taps fall on padding");
    assert!(!is_faster(32, [3, 64]) && !is_faster(32, [64, 10]), "few channels");
}
