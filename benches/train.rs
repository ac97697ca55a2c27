//! Speed of training and evaluation, on random examples in batches of 128: of MNIST's shape for the fully connected, of CIFAR-10's for the
//! others.
//!
//! `cargo bench --profile dev --bench train -- [--models fcn3x256,vgg11,resnet18-bn] [--phases train,eval] [--threads N] [--seconds S]`
//! prints a line per model and phase: `model,phase,threads,median ms per batch,images per second`. (`dev` is optimised, and built already.)
//! `benches/peers/compare.py` runs it alternately with the same work in `PyTorch`.
#![expect(clippy::print_stdout, reason = "what a bench is for")]

use std::time::{Duration, Instant};

use layerwise::base::rng;
use layerwise::nn::evaluate;
use layerwise::nn::examples::{CHUNK, Labelled};
use layerwise::nn::learner::Learner;
use layerwise::nn::network::Network;
use layerwise::nn::optimizer::{Optimizer, Sgd};
use layerwise::nn::params::Params;
use layerwise::nn::zoo::Arch;

const BATCH: usize = 128;

/// What is measured, of each model.
struct Work {
    network: Network,
    params: Params,
    /// Random examples, as many as are evaluated at once at most.
    rows: Vec<f32>,
    labels: Vec<u16>,
    /// For how long each phase is repeated.
    seconds: f64,
}

fn main() {
    let option = |name: &str, default: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
        arguments.next().unwrap_or_else(|| default.to_owned())
    };
    let threads: usize = option("--threads", "2").parse().expect("a number of threads");
    let seconds: f64 = option("--seconds", "3").parse().expect("a number of seconds");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    for name in option("--models", "fcn3x256,fcn5x512").split(',') {
        let work = Work::new(name, threads, seconds);
        for phase in option("--phases", "train,eval").split(',') {
            let milliseconds = pool.install(|| if phase == "train" { work.train() } else { work.evaluate() });
            let speed = BATCH as f64 / milliseconds * 1e3;
            println!("{name},{phase},{threads},{milliseconds:.4},{speed:.0}");
        }
    }
}

impl Work {
    fn new(name: &str, threads: usize, seconds: f64) -> Self {
        let arch =
            arch(name).unwrap_or_else(|| panic!("'{name}' is no fcn3x256, vgg11, resnet18-bn or vit6x192"));
        let is_flat = matches!(arch, Arch::Fcn(_));
        let network = arch.network(if is_flat { [1, 28, 28] } else { [3, 32, 32] }, 10);
        // A chunk per thread: fewer would leave threads idle, and those of the large networks take seconds.
        let evaluated = if is_flat { 16 * BATCH } else { threads * CHUNK };
        let mut stream = rng::stream(0, &["bench"]);
        let rows = (0..CHUNK * network.features()).map(|_| stream.normal() as f32).collect();
        let labels = (0..evaluated).map(|_| stream.below(10) as u16).collect();
        Self { params: network.init(0), network, rows, labels, seconds }
    }

    /// Median milliseconds per batch of training.
    fn train(&self) -> f64 {
        let mut learner = Learner::new(&self.network, &self.params);
        let update = Optimizer::Sgd(Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.0 }).update(0.01);
        let rows = &self.rows[..BATCH * self.network.features()];
        median(self.seconds, || {
            learner.step(rows, &self.labels[..BATCH], &update);
        })
    }

    /// Likewise of evaluation.
    fn evaluate(&self) -> f64 {
        let fill = |_: &[u32], out: &mut [f32]| out.copy_from_slice(&self.rows[..out.len()]);
        let examples = Labelled { labels: &self.labels, fill: &fill };
        let milliseconds = median(self.seconds, || {
            evaluate::score(&self.network, &self.params, &examples);
        });
        milliseconds / self.labels.len() as f64 * BATCH as f64
    }
}

/// From a short name: `fcn3x256`, `vgg11`, `resnet18-bn`, `vit6x192`.
fn arch(name: &str) -> Option<Arch> {
    let text = if let Some(sizes) = name.strip_prefix("fcn") {
        let (depth, width) = sizes.split_once('x')?;
        format!(r#"{{"fcn": {{"depth": {depth}, "width": {width}}}}}"#)
    } else if let Some(sizes) = name.strip_prefix("vit") {
        let (depth, width) = sizes.split_once('x')?;
        let heads = width.parse::<usize>().ok()? / 64;
        format!(r#"{{"vit": {{"depth": {depth}, "width": {width}, "heads": {heads}}}}}"#)
    } else if let Some(depth) = name.strip_prefix("vgg") {
        format!(r#"{{"vgg": {{"depth": {depth}}}}}"#)
    } else {
        let depth = name.strip_prefix("resnet")?;
        let plain = depth.trim_end_matches("-bn");
        format!(r#"{{"resnet": {{"depth": {plain}, "bn": {}}}}}"#, plain != depth)
    };
    let arch: Arch = serde_json::from_str(&text).ok()?;
    arch.problem().is_none().then_some(arch)
}

/// Median milliseconds of a call, measured for so many seconds, and three times at least.
fn median(seconds: f64, mut call: impl FnMut()) -> f64 {
    let mut timed = || {
        let start = Instant::now();
        call();
        start.elapsed()
    };
    let (mut warming, mut calls) = (Duration::ZERO, 0);
    while calls < 20 && (warming.as_secs_f64() < 0.5 || calls == 0) {
        warming += timed();
        calls += 1;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || start.elapsed().as_secs_f64() < seconds {
        times.push(timed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
