//! Speed of the convolution kernels, on layers of VGG and `ResNet` for 32×32 images in batches of 128.
//!
//! `cargo bench --profile dev --bench kernels -- [--threads N] [--seconds S]` prints a line per layer and kernel:
//! `layer,kernel,threads,GFLOP/s,share of the peak`, the best of all calls within the seconds. Only taps on the map
//! count. The peak is measured too: the same tile of sums, with operands in registers, on every thread at once.
#![expect(clippy::print_stdout, reason = "what a bench is for")]

use std::time::Instant;

use layerwise::nn::kernels::{
    Convolution, Finish, Matrix, Path, Taps, Tiles, WeightGradient, Window, Winograd, WinogradGradient, peak,
    transform_weight, transpose_taps,
};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

const EXAMPLES: usize = 128;
const WINDOW: Window = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
/// Channels, output channels, height and width.
const LAYERS: [[usize; 3]; 5] = [[64, 64, 32], [64, 128, 16], [128, 256, 8], [256, 512, 4], [512, 512, 2]];

fn main() {
    let option = |name: &str, default: f64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
        arguments.next().map_or(default, |value| value.parse().expect("a number after the option"))
    };
    let threads = option("--threads", 2.0) as usize;
    let seconds = option("--seconds", 1.0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    pool.install(|| {
        let peak = peak(threads, seconds);
        println!("peak,,{threads},{peak:.1},1");
        for layer in LAYERS {
            for (kernel, speed) in measure(layer, seconds) {
                let [channels, outputs, side] = layer;
                let share = speed / peak;
                println!("{channels}→{outputs} at {side}×{side},{kernel},{threads},{speed:.1},{share:.3}");
            }
        }
    });
}

/// GFLOP/s of all threads together when nothing waits for memory.
fn peak(threads: usize, seconds: f64) -> f64 {
    const ROUNDS: usize = 1 << 20;
    let mut operations = 0;
    let best = best(seconds, || {
        operations = (0..threads)
            .into_par_iter()
            .map(|_| {
                let (operations, sum) = peak::busy(Path::detect(), ROUNDS);
                std::hint::black_box(sum);
                operations
            })
            .sum();
    });
    operations as f64 / best / 1e9
}

/// GFLOP/s of each kernel of a layer.
fn measure([channels, outputs, side]: [usize; 3], seconds: f64) -> [(&'static str, f64); 8] {
    let taps = Taps::new([side, side], &WINDOW);
    let flipped = taps.flipped();
    let (rows, path, examples) = (side * side * EXAMPLES, Path::detect(), EXAMPLES);
    let (mut input, mut output) = (random(rows, channels), random(rows, outputs));
    let mut weight = random(taps.count() * channels, outputs);
    let mut transposed = Matrix::zeros(taps.count() * outputs, channels);
    let mut parts = Vec::new();
    let operations = (2 * taps.pairs() * examples * channels * outputs) as f64;
    let forward = best(seconds, || {
        Convolution { input: &input, examples, taps: &taps, weight: &weight, finish: Finish::Store, path }
            .into_panels(&mut output);
    });
    let weight_gradient = best(seconds, || {
        WeightGradient { input: &input, output_gradient: &output, examples, taps: &taps, path }
            .into(&mut parts, &mut weight);
    });
    let transpose = best(seconds, || transpose_taps(&weight, taps.count(), &mut transposed));
    let input_gradient = best(seconds, || {
        Convolution {
            input: &output,
            examples,
            taps: &flipped,
            weight: &transposed,
            finish: Finish::Store,
            path,
        }
        .into_panels(&mut input);
    });
    let (tiles, mut transformed) = (Tiles::new([side, side], &WINDOW).expect("3×3"), Matrix::default());
    let transform = best(seconds, || transform_weight(&weight, false, path, &mut transformed));
    let finish = Finish::Store;
    let w_forward = best(seconds, || {
        Winograd { input: &input, examples, tiles: &tiles, weight: &transformed, finish, path }
            .into_panels(&mut output);
    });
    let w_weight_gradient = best(seconds, || {
        WinogradGradient { input: &input, output_gradient: &output, examples, tiles: &tiles, path }
            .into(&mut parts, &mut weight);
    });
    transform_weight(&transposed, true, path, &mut transformed);
    let w_input_gradient = best(seconds, || {
        Winograd { input: &output, examples, tiles: &tiles, weight: &transformed, finish, path }
            .into_panels(&mut input);
    });
    [
        ("Winograd forward", operations / w_forward / 1e9),
        ("Winograd forward with transform", operations / (w_forward + transform) / 1e9),
        ("Winograd input gradient", operations / w_input_gradient / 1e9),
        ("Winograd weight gradient", operations / w_weight_gradient / 1e9),
        ("forward", operations / forward / 1e9),
        ("input gradient", operations / input_gradient / 1e9),
        ("input gradient with transposition", operations / (input_gradient + transpose) / 1e9),
        ("weight gradient", operations / weight_gradient / 1e9),
    ]
}

fn random(rows: usize, columns: usize) -> Matrix {
    let mut stream = layerwise::base::rng::stream(0, &["bench"]);
    let values: Vec<f32> = (0..rows * columns).map(|_| stream.unit() as f32 - 0.5).collect();
    Matrix::from_rows(rows, columns, &values)
}

/// Seconds of the fastest call, of those that fit into so many seconds.
fn best(seconds: f64, mut call: impl FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed().as_secs_f64() < seconds {
        let call_start = Instant::now();
        call();
        best = best.min(call_start.elapsed().as_secs_f64());
    }
    best
}
