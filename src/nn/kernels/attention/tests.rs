//! Attention and its gradient against plain loops in f64.

use super::*;
use crate::base::rng;

/// Positions, heads, depth, examples: one of everything, groups that are not full, heads across panels, more keys than a panel.
const SHAPES: [[usize; 4]; 9] = [
    [1, 1, 1, 1],
    [2, 1, 16, 3],
    [5, 3, 7, 5],
    [16, 2, 32, 4],
    [65, 1, 64, 2],
    [17, 3, 40, 9],
    [64, 2, 48, 1],
    [3, 2, 100, 6],
    [130, 1, 33, 2],
];

fn numbers(name: &str, count: usize) -> Vec<f32> {
    let mut stream = rng::stream(0, &[name]);
    (0..count).map(|_| 2.0 * stream.normal() as f32).collect()
}

/// What an attention gives, and the gradient at its input: row-major.
struct Plain {
    output: Vec<f64>,
    gradient: Vec<f64>,
}

fn plain([positions, heads, depth, examples]: [usize; 4], input: &[f32], slope: &[f32]) -> Plain {
    let width = heads * depth;
    let [mut output, mut gradient] = [width, 3 * width].map(|width| vec![0.0; positions * examples * width]);
    let scale = 1.0 / (depth as f64).sqrt();
    for (example, head) in (0..examples).flat_map(|example| (0..heads).map(move |head| (example, head))) {
        let row = |position: usize| position * examples + example;
        let of = |which: usize, p: usize, c: usize| row(p) * 3 * width + which * width + head * depth + c;
        let into = |p: usize, c: usize| row(p) * width + head * depth + c;
        let x = |which, p, c| f64::from(input[of(which, p, c)]);
        let g = |p, c| f64::from(slope[into(p, c)]);
        let dot = |f: &dyn Fn(usize) -> f64| (0..depth).map(f).sum::<f64>();
        for i in 0..positions {
            let scores: Vec<f64> =
                (0..positions).map(|j| scale * dot(&|c| x(0, i, c) * x(1, j, c))).collect();
            let largest = scores.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
            let p: Vec<f64> = scores.iter().map(|score| (score - largest).exp() / sum).collect();
            let dp: Vec<f64> = (0..positions).map(|j| dot(&|c| g(i, c) * x(2, j, c))).collect();
            let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            for j in 0..positions {
                let ds = scale * p[j] * (dp[j] - mean);
                for c in 0..depth {
                    output[into(i, c)] += p[j] * x(2, j, c);
                    gradient[of(0, i, c)] += ds * x(1, j, c);
                    gradient[of(1, j, c)] += ds * x(0, i, c);
                    gradient[of(2, j, c)] += p[j] * g(i, c);
                }
            }
        }
    }
    Plain { output, gradient }
}

fn assert_close(ours: &Matrix, theirs: &[f64], what: &str) {
    let rows = ours.to_rows();
    assert_eq!(Matrix::from_rows(ours.rows(), ours.columns(), &rows), *ours, "{what}: padding is zero");
    let scale = theirs.iter().fold(1e-30_f64, |scale, value| scale.max(value.abs()));
    for (a, b) in rows.iter().zip(theirs) {
        assert!((f64::from(*a) - b).abs() < 2e-6 * scale, "{what}: {a} {b}, of {scale}");
    }
}

#[test]
fn all_paths_agree_with_plain_loops() {
    for shape in SHAPES {
        let [positions, heads, depth, examples] = shape;
        let (rows, width) = (positions * examples, heads * depth);
        let [input, slope] = [numbers("input", rows * 3 * width), numbers("slope", rows * width)];
        let expected = plain(shape, &input, &slope);
        let input = Matrix::from_rows(rows, 3 * width, &input);
        let slope = Matrix::from_rows(rows, width, &slope);
        for path in Path::available() {
            let what = format!("{path:?} {shape:?}");
            let attention = Attention { positions, heads, depth, path };
            let [mut out, mut alone] = [0; 2].map(|_| Matrix::zeros(rows, width));
            attention.forward(&input, examples, &mut out);
            attention.forward_on_this_thread(&input, examples, &mut alone);
            assert_eq!(out, alone, "{what}");
            assert_close(&out, &expected.output, &what);
            let mut gradient = Matrix::zeros(rows, 3 * width);
            attention.backward(&input, examples, &slope, &mut gradient);
            assert_close(&gradient, &expected.gradient, &format!("gradient, {what}"));
        }
    }
}

#[test]
fn an_example_does_not_depend_on_the_others() {
    let [positions, heads, depth, examples] = [7, 2, 20, 6];
    let width = heads * depth;
    let input = numbers("input", positions * examples * 3 * width);
    for path in Path::available() {
        let attention = Attention { positions, heads, depth, path };
        let give = |examples: usize, input: &[f32]| {
            let mut out = Matrix::zeros(positions * examples, width);
            let input = Matrix::from_rows(positions * examples, 3 * width, input);
            attention.forward_on_this_thread(&input, examples, &mut out);
            out.to_rows()
        };
        let all = give(examples, &input);
        for example in 0..examples {
            let own = |rows: &[f32], width: usize| -> Vec<f32> {
                rows.chunks(width).skip(example).step_by(examples).flatten().copied().collect()
            };
            assert_eq!(give(1, &own(&input, 3 * width)), own(&all, width), "{path:?}");
        }
    }
}
