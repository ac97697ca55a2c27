//! Speed of the convolution kernels, on layers of VGG and `ResNet` for 32×32 images in batches of 128.
//!
//! `cargo bench --profile dev --bench kernels -- [--threads N] [--seconds S]` prints a line per layer and kernel:
//! `layer,kernel,threads,GFLOP/s,share of the peak`, the best of all calls within the seconds. Only taps on the map
//! count. The peak is measured too: the same tile of sums, with operands in registers, on every thread at once.
#![expect(clippy::print_stdout, reason = "what a bench is for")]

use std::time::Instant;

use layerwise::nn::kernels::{
    Convolution, Finish, Matrix, Path, Size, Taps, Tiles, WeightGradient, Window, Winograd, WinogradGradient,
    peak, transform_weight, transpose_taps,
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

/// What the kernels of a layer work on.
struct Layer {
    taps: Taps,
    side: usize,
    input: Matrix,
    output: Matrix,
    weight: Matrix,
    /// That of the gradient at the input.
    transposed: Matrix,
    /// Of each kernel, in 1e9.
    operations: f64,
    seconds: f64,
}

/// GFLOP/s of each kernel of a layer.
fn measure([channels, outputs, side]: [usize; 3], seconds: f64) -> Vec<(&'static str, f64)> {
    let taps = Taps::new([side, side], &WINDOW);
    let rows = side * side * EXAMPLES;
    let layer = &mut Layer {
        side,
        input: random(rows, channels),
        output: random(rows, outputs),
        weight: random(taps.count() * channels, outputs),
        transposed: random(taps.count() * outputs, channels),
        operations: (2 * taps.pairs() * EXAMPLES * channels * outputs) as f64 / 1e9,
        taps,
        seconds,
    };
    [in_tiles(layer), by_taps(layer)].concat()
}

/// Those that compute a convolution in tiles.
fn in_tiles(layer: &mut Layer) -> Vec<(&'static str, f64)> {
    let Layer { side, input, output, weight, transposed, operations, seconds, .. } = layer;
    let (path, examples, finish) = (Path::detect(), EXAMPLES, Finish::Store);
    let tiles = |size| Tiles::new([*side, *side], &WINDOW, size).expect("3×3");
    let mut transformed = Matrix::default();
    let [two, four] = [Size::Two, Size::Four].map(|size| {
        let transform = best(*seconds, || transform_weight(weight, false, size, path, &mut transformed));
        let (tiles, weight) = (&tiles(size), &transformed);
        let forward = best(*seconds, || {
            Winograd { input, examples, tiles, weight, finish, path }.into_panels(output);
        });
        (forward, transform)
    });
    let (tiles, parts) = (&tiles(Size::Two), &mut Vec::new());
    let weight_gradient = best(*seconds, || {
        WinogradGradient { input, output_gradient: output, examples, tiles, path }.into(parts, weight);
    });
    transform_weight(transposed, true, Size::Two, path, &mut transformed);
    let input_gradient = best(*seconds, || {
        Winograd { input: output, examples, tiles, weight: &transformed, finish, path }.into_panels(input);
    });
    vec![
        ("evaluation in tiles of 4×4", *operations / four.0),
        ("evaluation in tiles of 4×4 with transform", *operations / (four.0 + four.1)),
        ("Winograd forward", *operations / two.0),
        ("Winograd forward with transform", *operations / (two.0 + two.1)),
        ("Winograd input gradient", *operations / input_gradient),
        ("Winograd weight gradient", *operations / weight_gradient),
    ]
}

/// Those of the plain way.
fn by_taps(layer: &mut Layer) -> Vec<(&'static str, f64)> {
    let Layer { taps, input, output, weight, transposed, operations, seconds, .. } = layer;
    let (path, examples, finish) = (Path::detect(), EXAMPLES, Finish::Store);
    let forward = best(*seconds, || {
        Convolution { input, examples, taps, weight, finish, path }.into_panels(output);
    });
    let mut parts = Vec::new();
    let weight_gradient = best(*seconds, || {
        WeightGradient { input, output_gradient: output, examples, taps, path }.into(&mut parts, weight);
    });
    let transpose = best(*seconds, || transpose_taps(weight, taps.count(), transposed));
    let flipped = &taps.flipped();
    let input_gradient = best(*seconds, || {
        Convolution { input: output, examples, taps: flipped, weight: transposed, finish, path }
            .into_panels(input);
    });
    vec![
        ("forward", *operations / forward),
        ("input gradient", *operations / input_gradient),
        ("input gradient with transposition", *operations / (input_gradient + transpose)),
        ("weight gradient", *operations / weight_gradient),
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
