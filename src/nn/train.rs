//! Training, epoch by epoch: a chain of states, each a function of the one before it.
//!
//! The order of an epoch's examples is a function of (seed, epoch), the learning rate of the epoch, so a training that is
//! continued from a [`State`] gives the bits of one that was not interrupted.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use serde::Serialize;

use crate::base::name::LayerName;
use crate::base::rng;
use crate::nn::evaluate;
use crate::nn::examples::Labelled;
use crate::nn::learner::Learner;
use crate::nn::loss::Score;
use crate::nn::network::Network;
use crate::nn::optimizer::Optimizer;
use crate::nn::params::Params;
use crate::nn::run::TrainingRow;
use crate::nn::schedule::Schedule;
use crate::nn::state::State;

/// What a training does, beside the network and the data.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Examples per step; an epoch's last step takes those that are left.
    pub batch: usize,
    /// Seed of the initialisation and of the order of examples.
    pub seed: u64,
    /// How gradients become steps.
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    pub schedule: Option<Schedule>,
    /// Layers that stay as they were initialised.
    pub frozen: Vec<LayerName>,
}

/// What acts in one epoch, beside the examples, the seed and the state before it: equal for two trainings, it takes both from
/// one state to the same next one.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Acting {
    /// Examples per step.
    batch: usize,
    /// How gradients become steps, with the learning rate of the epoch.
    pub(super) optimizer: Optimizer,
    /// Layers that stay as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frozen: Vec<LayerName>,
}

impl Settings {
    /// What acts in an epoch; the first is 1.
    pub fn acting(&self, epoch: u32) -> Acting {
        let lr = self.optimizer.lr();
        let lr = self.schedule.as_ref().map_or(lr, |schedule| schedule.lr(lr, epoch));
        let optimizer = self.optimizer.with_lr(lr);
        Acting { batch: self.batch, optimizer, frozen: self.frozen.clone() }
    }
}

/// Why an epoch did not end.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The user wanted to stop.
    #[error("interrupted")]
    Cancelled,
    /// The loss is no number any more.
    #[error("the loss became {loss} in batch {batch} of epoch {epoch}")]
    Diverged {
        /// The first is 1.
        epoch: u32,
        /// The first is 1.
        batch: usize,
        /// NaN or infinite.
        loss: f64,
    },
}

impl TrainError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        matches!(self, Self::Diverged { .. }).then_some("lower the learning rate 'lr'")
    }
}

/// How far an epoch is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Batches done in this epoch.
    pub batches: usize,
    /// Of how many.
    pub of: usize,
    /// Their examples' losses and errors, each when its batch was seen.
    pub score: Score,
}

/// A network in training. Works on the threads of the current rayon pool; the bits do not depend on how many.
pub struct Trainer<'a> {
    network: &'a Network,
    settings: &'a Settings,
    learner: Learner,
    epoch: u32,
    rows: Vec<TrainingRow>,
    /// The batch that is trained on, and the next one, which is made meanwhile.
    batches: [Batch; 2],
}

/// Examples of one step.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) input: Vec<f32>,
    pub(super) labels: Vec<u16>,
}

impl Batch {
    pub(super) fn load(&mut self, examples: &Labelled, indices: &[u32], features: usize) {
        const TASK: usize = 16;
        self.input.resize(indices.len() * features, 0.0);
        let rows = self.input.par_chunks_mut(TASK * features);
        rows.zip(indices.par_chunks(TASK)).for_each(|(rows, indices)| (examples.fill)(indices, rows));
        self.labels.clear();
        self.labels.extend(indices.iter().map(|index| examples.labels[*index as usize]));
    }
}

impl<'a> Trainer<'a> {
    /// Before the first epoch: the initialisation, scored on both splits.
    pub fn new(network: &'a Network, settings: &'a Settings, train: &Labelled, test: &Labelled) -> Self {
        let params = network.init(settings.seed);
        let mut trainer = Self::with(network, settings, &params);
        trainer.record("test", &evaluate::score(network, &params, test));
        trainer.record("train", &evaluate::score(network, &params, train));
        trainer
    }

    /// Where an interrupted training was; the state is of the same network and settings.
    pub fn resume(network: &'a Network, settings: &'a Settings, state: State) -> Self {
        let mut trainer = Self::with(network, settings, &state.params);
        trainer.learner.set_momenta(&state.momenta);
        Self { epoch: state.epoch, rows: state.rows, ..trainer }
    }

    fn with(network: &'a Network, settings: &'a Settings, params: &Params) -> Self {
        let mut learner = Learner::new(network, params);
        learner.freeze(&settings.frozen);
        Self { network, settings, learner, epoch: 0, rows: Vec::new(), batches: Default::default() }
    }

    /// Epochs done.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The current parameters.
    pub fn params(&self) -> Params {
        self.learner.params()
    }

    /// The learning curves so far: per epoch and split, error and mean loss.
    ///
    /// On the test split they are of the network at the end of the epoch. On the training split they are means over the
    /// epoch's examples, each as it was seen in training (so of a network in motion); for epoch 0 they are of θ⁰.
    pub fn rows(&self) -> &[TrainingRow] {
        &self.rows
    }

    /// All that is needed to continue from here.
    pub fn state(&self) -> State {
        let (params, momenta) = (self.params(), self.learner.momenta());
        State { epoch: self.epoch, params, momenta, rows: self.rows.clone() }
    }

    /// Trains for one epoch, and scores the network on the test split. `tick` is called after each batch, and says whether
    /// to go on.
    pub fn train_epoch(
        &mut self,
        train: &Labelled,
        test: &Labelled,
        tick: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), TrainError> {
        let epoch = self.epoch + 1;
        let order =
            rng::stream(self.settings.seed, &["shuffle", &epoch.to_string()]).permutation(train.labels.len());
        let Acting { batch, optimizer, .. } = self.settings.acting(epoch);
        let update = optimizer.update(optimizer.lr());
        let mut progress = Progress { batches: 0, of: order.len().div_ceil(batch), score: Score::default() };
        let features = self.network.features();
        let mut following = order.chunks(batch);
        if let Some(indices) = following.next() {
            self.batches[0].load(train, indices, features);
        }
        while progress.batches < progress.of {
            let Self { learner, batches: [batch, next], .. } = self;
            let (score, ()) = rayon::join(
                || learner.step(&batch.input, &batch.labels, &update),
                || following.next().into_iter().for_each(|indices| next.load(train, indices, features)),
            );
            std::mem::swap(batch, next);
            progress.batches += 1;
            progress.score.add(score);
            if !score.loss.is_finite() {
                return Err(TrainError::Diverged { epoch, batch: progress.batches, loss: score.loss });
            }
            if !tick(progress) {
                return Err(TrainError::Cancelled);
            }
        }
        self.epoch = epoch;
        self.record("test", &evaluate::score(self.network, &self.params(), test));
        self.record("train", &progress.score);
        Ok(())
    }

    fn record(&mut self, split: &str, score: &Score) {
        for (metric, value) in [("error", score.error()), ("loss", score.mean_loss())] {
            let (split, metric) = (split.to_owned(), metric.to_owned());
            self.rows.push(TrainingRow { epoch: self.epoch, split, metric, value });
        }
    }
}
