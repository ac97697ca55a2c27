//! Speed of training and evaluation, on random examples of MNIST's shape in batches of 128.
//!
//! `cargo bench --profile dev --bench train -- [--threads N] [--seconds S]` prints a line per model and phase:
//! `model,phase,threads,median ms per batch,images per second`. (`dev` is optimised, and built already.)
//! `benches/peers/compare.py` runs it alternately with the same work in `PyTorch`.
#![expect(clippy::print_stdout, reason = "what a bench is for")]

use std::time::Instant;

use layerwise::nn::evaluate;
use layerwise::nn::examples::Labelled;
use layerwise::nn::learner::Learner;
use layerwise::nn::optimizer::{Optimizer, Sgd};
use layerwise::nn::zoo::{Arch, Fcn};

const BATCH: usize = 128;
const FEATURES: usize = 784;
/// Batches that are evaluated at once.
const BATCHES: usize = 16;

fn main() {
    let option = |name: &str, default: f64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
        arguments.next().map_or(default, |value| value.parse().expect("a number after the option"))
    };
    let threads = option("--threads", 2.0) as usize;
    let seconds = option("--seconds", 3.0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    for (depth, width) in [(3, 256), (5, 512)] {
        let arch = Arch::Fcn(Fcn { depth, width });
        let [train, evaluate] = pool.install(|| measure(&arch, seconds));
        for (phase, milliseconds) in [("train", train), ("eval", evaluate)] {
            let speed = BATCH as f64 / milliseconds * 1e3;
            println!("{},{phase},{threads},{milliseconds:.4},{speed:.0}", arch.name());
        }
    }
}

/// Median milliseconds per batch of training and of evaluation.
fn measure(arch: &Arch, seconds: f64) -> [f64; 2] {
    let network = arch.network([1, 28, 28], 10);
    let params = network.init(0);
    let mut stream = layerwise::base::rng::stream(0, &["bench"]);
    let rows: Vec<f32> = (0..BATCH * FEATURES).map(|_| stream.normal() as f32).collect();
    let labels: Vec<u8> = (0..BATCH * BATCHES).map(|_| stream.below(10) as u8).collect();
    let mut learner = Learner::new(&network, &params);
    let update = Optimizer::Sgd(Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.0 }).update(0.01);
    let train = median(seconds, || {
        learner.step(&rows, &labels[..BATCH], &update);
    });
    let fill = |indices: &[u32], out: &mut [f32]| out.copy_from_slice(&rows[..indices.len() * FEATURES]);
    let examples = Labelled { labels: &labels, fill: &fill };
    let evaluate = median(seconds, || {
        evaluate::score(&network, &params, &examples);
    });
    [train, evaluate / BATCHES as f64]
}

/// Median milliseconds of a call, measured for so many seconds.
fn median(seconds: f64, mut call: impl FnMut()) -> f64 {
    (0..20).for_each(|_| call());
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds {
        let call_start = Instant::now();
        call();
        times.push(call_start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
