//! The same as plain convolutions, up to rounding.

use super::*;
use crate::base::rng;
use crate::nn::kernels::convolution::tests::{Plain, Setting, Shape, blank, numbers, plain, shape, some};
use crate::nn::kernels::{Window, transpose_taps};

const SIZES: [Size; 2] = [Size::Two, Size::Four];

/// One of everything, odd maps, channels beside multiples of 16 and 64, examples beside those that are transformed at once, no
/// padding, as much as there may be.
const SHAPES: [([usize; 2], usize, [usize; 3]); 9] = [
    ([1, 1], 1, [1, 1, 1]),
    ([4, 4], 1, [3, 65, 7]),
    ([5, 3], 1, [130, 10, 6]),
    ([3, 7], 0, [65, 16, 5]),
    ([2, 3], 2, [17, 130, 6]),
    ([8, 8], 1, [64, 64, 1]),
    ([9, 6], 1, [20, 33, 3]),
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

/// A setting with each size of tiles and each path.
fn ways(setting: &Setting) -> impl Iterator<Item = (&Setting, Size, Path)> {
    SIZES
        .into_iter()
        .flat_map(move |size| Path::available().into_iter().map(move |path| (setting, size, path)))
}

fn result(setting: &Setting, finish: Finish, size: Size, path: Path) -> [Matrix; 2] {
    let Shape { map, window, examples, .. } = setting.shape;
    let (tiles, mut weight) = (Tiles::new(map, &window, size).unwrap(), Matrix::default());
    transform_weight(&setting.weight, false, size, path, &mut weight);
    let all = Winograd { input: &setting.input, examples, tiles: &tiles, weight: &weight, finish, path };
    let (mut out, mut alone) = (blank(&setting.gradient), blank(&setting.gradient));
    all.into_panels(&mut out);
    all.on_this_thread(&mut alone);
    [out, alone]
}

fn input_gradient(setting: &Setting, size: Size, path: Path) -> Matrix {
    let Shape { map, window, examples, .. } = setting.shape;
    let back = Window { padding: window.padding.map(|padding| 2 - padding), ..window };
    let tiles = &Tiles::new(window.output(map), &back, size).unwrap();
    let (mut transposed, mut weight, mut out) = (Matrix::default(), Matrix::default(), blank(&setting.input));
    transpose_taps(&setting.weight, 9, &mut transposed);
    transform_weight(&transposed, true, size, path, &mut weight);
    Winograd { input: &setting.gradient, examples, tiles, weight: &weight, finish: Finish::Store, path }
        .into_panels(&mut out);
    out
}

fn weight_gradient(setting: &Setting, parts: &mut Vec<Matrix>, path: Path) -> Matrix {
    let Shape { map, window, examples, .. } = setting.shape;
    let (tiles, mut out) = (&Tiles::new(map, &window, Size::Two).unwrap(), blank(&setting.weight));
    WinogradGradient { input: &setting.input, output_gradient: &setting.gradient, examples, tiles, path }
        .into(parts, &mut out);
    out
}

#[test]
fn all_paths_compute_convolutions_and_their_gradients() {
    let mut parts: Vec<Matrix> = Vec::new();
    for setting in settings() {
        let [forward, at_input, at_weight] = plain(&setting);
        // A transformed tile mixes positions: an output has a share in the rounding of its neighbours.
        let check = |expected: &Plain, result: &Matrix, path: Path| {
            let tolerance = 1e-6 * expected.largest();
            expected.check(result, &format!("{} {:?}", path.name(), setting.shape), |_| tolerance);
        };
        for (setting, size, path) in ways(&setting) {
            let [out, alone] = result(setting, Finish::Store, size, path);
            assert_eq!(out, alone);
            check(&forward, &out, path);
            check(&at_input, &input_gradient(setting, size, path), path);
        }
        for path in Path::available() {
            // Memory that served another convolution may hold anything.
            for part in &mut parts {
                part.values_mut().fill(f32::NAN);
            }
            check(&at_weight, &weight_gradient(&setting, &mut parts, path), path);
        }
    }
}

/// How far the plain way, tiles of 2×2 and tiles of 4×4 are from the exact sums, relative to the largest. Measured: 0.7e-6, 0.3e-6 and
/// 1.6e-6 with 64 channels; 3.5e-6, 1.0e-6 and 4.8e-6 with 512. (With the usual points 0, ±1 and ±2, tiles of 4×4 are four times farther.)
#[test]
fn larger_tiles_keep_the_digits_of_plain_convolutions() {
    for (channels, bounds) in [(64, [2e-6, 1e-6, 3e-6]), (512, [6e-6, 2e-6, 8e-6])] {
        let setting = Setting::new(shape([8, 8], [[3, 3], [1, 1], [1, 1]], [channels, 16, 8]));
        let [exact, ..] = plain(&setting);
        for path in Path::available() {
            let of_tiles = |size| exact.difference(&result(&setting, Finish::Store, size, path)[0]);
            let [two, four] = SIZES.map(of_tiles);
            let far = [exact.difference(&setting.result(Finish::Store, path)), two, four];
            assert!(far.iter().zip(bounds).all(|(far, bound)| *far < bound), "{channels} {path:?}: {far:?}");
        }
    }
}

#[test]
fn sums_are_finished() {
    for (setting, size, path) in settings().iter().flat_map(ways) {
        let outputs = setting.shape.outputs;
        let (bias, mask) = (numbers("bias", 1, outputs), numbers("mask", setting.gradient.rows(), outputs));
        let sums = result(setting, Finish::Store, size, path)[0].to_rows();
        let added = bias.to_rows();
        let rectified: Vec<_> =
            sums.iter().zip(added.iter().cycle()).map(|(sum, b)| (sum + b).max(0.0)).collect();
        let masked = |(sum, mask): (&f32, f32)| if mask > 0.0 { *sum } else { 0.0 };
        let masked: Vec<_> = sums.iter().zip(mask.to_rows()).map(masked).collect();
        let bias = Finish::Bias { bias: &bias, relu: true };
        for (finish, expected) in [(bias, rectified), (Finish::Mask(&mask), masked)] {
            assert_eq!(result(setting, finish, size, path)[0].to_rows(), expected);
        }
    }
}

#[test]
fn an_example_does_not_depend_on_the_others() {
    let whole = Setting::new(shape([4, 3], [[3, 3], [1, 1], [1, 1]], [130, 74, 70]));
    let some = |matrix: &Matrix, range: &Range<usize>| some(matrix, whole.shape.examples, range);
    for (_, size, path) in ways(&whole) {
        let [all, _] = result(&whole, Finish::Store, size, path);
        for range in [0..1, 69..70, 3..9, 5..70, 10..23, 0..35] {
            let part = Shape { examples: range.len(), ..whole.shape };
            let mut part = Setting::new(part);
            part.input = some(&whole.input, &range);
            let [part, _] = result(&part, Finish::Store, size, path);
            assert_eq!(part, some(&all, &range), "{size:?} {path:?} {range:?}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let pools = [1, 4].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for (setting, size, path) in settings().iter().flat_map(ways) {
        let [one, four] = pools.each_ref().map(|pool| {
            pool.install(|| {
                let [out, _] = result(setting, Finish::Store, size, path);
                [out, input_gradient(setting, size, path), weight_gradient(setting, &mut Vec::new(), path)]
            })
        });
        assert_eq!(one, four, "{size:?} {path:?} {:?}", setting.shape);
    }
}
