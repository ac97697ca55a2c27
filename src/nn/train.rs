//! Training: epochs of mini-batches, each a pure function of the state before it and the seed.
//!
//! The order of an epoch's examples is a permutation named by (seed, epoch); the last batch is smaller if the examples do not
//! divide. So a training that continues from a [`State`] gives the bytes of one that was never interrupted.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::rng;
use crate::data::{Examples, Split};
use crate::nn::chain::Chain;
use crate::nn::loss::Sums;
use crate::nn::metric::Metric;
use crate::nn::network::Network;
use crate::nn::optimizer::Optimizer;
use crate::nn::params::Params;
use crate::nn::probe::{ProbeError, Probes};
use crate::nn::reset::{FULL_MODEL, Patch, Source};
use crate::nn::run::TrainingRow;
use crate::nn::schedule::Schedule;
use crate::nn::state::State;

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Examples per step.
    pub batch: usize,
    /// Names the initialisation and the order of examples.
    pub seed: u64,
    /// How values follow their gradients.
    pub optimizer: &'a Optimizer,
    /// How the learning rate changes.
    pub schedule: Option<&'a Schedule>,
}

/// What a training works with; none of it but the data has a say in the result.
pub struct Bench<'a> {
    /// The network.
    pub network: &'a Network,
    /// What it learns from.
    pub train: &'a Examples,
    /// What it is measured on.
    pub test: &'a Examples,
    /// Its threads.
    pub pool: &'a rayon::ThreadPool,
    /// Set when the user wants to stop.
    pub cancelled: &'a AtomicBool,
    /// Is told, from time to time, the batches done in this epoch and the mean loss so far.
    pub progress: &'a (dyn Fn(usize, f64) + Sync),
}

/// Why a training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The user wanted to stop.
    #[error("interrupted")]
    Cancelled,
    /// The loss left the numbers.
    #[error("the loss is {loss} in epoch {epoch}, batch {batch}, at a learning rate of {lr}")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// The batch, from 1.
        batch: usize,
        /// The sum of losses: an infinity or not a number.
        loss: f64,
        /// The learning rate.
        lr: f64,
    },
}

/// Batches between two reports of progress.
const REPORT: usize = 20;

/// The state before the first epoch: the initialisation, measured on both splits.
pub fn start(bench: &Bench<'_>, seed: u64) -> Result<State, TrainError> {
    let params = bench.network.init(seed);
    let mut momentum = params.clone();
    momentum.0.iter_mut().for_each(|tensor| tensor.values.fill(0.0));
    let mut rows = Vec::new();
    for (split, examples) in [(Split::Train, bench.train), (Split::Test, bench.test)] {
        rows.extend(curve(0, split, measure(bench, &params, examples)?));
    }
    Ok(State { epoch: 0, rows, params, momentum })
}

/// Trains one epoch.
///
/// Its rows: loss and error on the training examples as they were met, each before the step that it made; loss and error on the test
/// examples after the epoch.
pub fn epoch(bench: &Bench<'_>, recipe: &Recipe<'_>, before: State) -> Result<State, TrainError> {
    let State { epoch: done, mut rows, params, momentum } = before;
    let base = recipe.optimizer.lr();
    let lr = recipe.schedule.map_or(base, |schedule| schedule.lr(base, done));
    let mut chain = Chain::new(bench.network, &params);
    chain.set_momentum(&momentum);
    let epoch = done + 1;
    let sums = bench.pool.install(|| steps(bench, recipe, &mut chain, epoch, lr))?;
    let [params, momentum] = chain.params();
    let count = bench.train.len() as f64;
    rows.extend(curve(epoch, Split::Train, [sums.errors / count, sums.loss / count]));
    rows.extend(curve(epoch, Split::Test, measure(bench, &params, bench.test)?));
    Ok(State { epoch, rows, params, momentum })
}

fn steps(
    bench: &Bench<'_>,
    recipe: &Recipe<'_>,
    chain: &mut Chain,
    epoch: u32,
    lr: f64,
) -> Result<Sums, TrainError> {
    let update = recipe.optimizer.update(lr);
    let examples = bench.train;
    let order = rng::stream(recipe.seed, &["shuffle", &epoch.to_string()]).permutation(examples.len());
    let mut inputs = vec![0.0; recipe.batch.min(order.len()) * examples.features()];
    let (mut total, mut seen) = (Sums::default(), 0);
    for (index, batch) in order.chunks(recipe.batch).enumerate() {
        if bench.cancelled.load(Ordering::Relaxed) {
            return Err(TrainError::Cancelled);
        }
        let inputs = &mut inputs[..batch.len() * examples.features()];
        examples.fill(batch, inputs);
        let labels: Vec<u8> = batch.iter().map(|example| examples.labels[*example as usize]).collect();
        let sums = chain.step(inputs, &labels, &update);
        if !sums.loss.is_finite() {
            return Err(TrainError::Diverged { epoch, batch: index + 1, loss: sums.loss, lr });
        }
        (total.loss, total.errors, seen) =
            (total.loss + sums.loss, total.errors + sums.errors, seen + batch.len());
        if index % REPORT == 0 {
            (bench.progress)(index, total.loss / seen as f64);
        }
    }
    Ok(total)
}

/// Error and loss of a network: the probe that takes every layer from `params`.
fn measure(bench: &Bench<'_>, params: &Params, examples: &Examples) -> Result<[f64; 2], TrainError> {
    let probes = Probes {
        network: bench.network,
        host: params,
        labels: &examples.labels,
        rows: &|range, out| examples.rows(range, out),
        metrics: &[Metric::Error, Metric::Loss],
        pool: bench.pool,
        cancelled: bench.cancelled,
        progress: &|_| {},
    };
    let layers = bench.network.layers().iter().map(|layer| layer.name.clone()).collect();
    let patch = Patch { layer: FULL_MODEL.to_owned(), layers, source: Source::Reinit { epoch: 0 } };
    match probes.evaluate(&[patch], |_| Ok(params.clone())) {
        Ok(means) => Ok([means[0][0], means[0][1]]),
        Err(ProbeError::Cancelled) => Err(TrainError::Cancelled),
        Err(ProbeError::Run(_)) => unreachable!("the values are in memory"),
    }
}

fn curve(epoch: u32, split: Split, [error, loss]: [f64; 2]) -> impl Iterator<Item = TrainingRow> {
    [(Metric::Error, error), (Metric::Loss, loss)].into_iter().map(move |(metric, value)| TrainingRow {
        epoch,
        split: split.as_str().to_owned(),
        metric: metric.as_str().to_owned(),
        value,
    })
}
