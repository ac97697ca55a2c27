//! Walks a chain of states: takes from the store what is there, and trains what is not.

use std::collections::BTreeSet;

use crate::base::fsx::{self, FileError};
use crate::data::DataError;
use crate::kinds::train::chain::Chain;
use crate::nn::examples::Labelled;
use crate::nn::network::Network;
use crate::nn::run::{self, TrainingRow};
use crate::nn::train::{Progress, Settings, TrainError, Trainer};
use crate::stage::{Context, StageError};

/// Multiplications between two reports, beside that at the end of each epoch: a fraction of a second.
const REPORT: usize = 1 << 31;
/// In the scratch folder: says that an interrupted training can be continued.
const MARK: &str = "stored";

/// Writes the rows of training examples with these indices as an epoch sees them.
pub(super) type Vary<'a> = Box<dyn Fn(u32, &[u32], &mut [f32]) + Sync + 'a>;

/// A training on its way.
pub(super) struct Walk<'a> {
    pub(super) network: &'a Network,
    pub(super) settings: &'a Settings,
    pub(super) train: Labelled<'a>,
    /// If the training examples are not seen as they are.
    pub(super) vary: Option<Vary<'a>>,
    pub(super) test: Labelled<'a>,
    /// Says whether all examples so far could be read.
    pub(super) check: &'a dyn Fn() -> Result<(), DataError>,
    pub(super) chain: &'a Chain<'a>,
    pub(super) context: &'a Context<'a>,
    /// How many epochs there are.
    pub(super) epochs: u32,
    /// Where it is; nowhere before it has to train.
    pub(super) trainer: Option<Trainer<'a>>,
    /// How many rows of the learning curves were told.
    pub(super) told: usize,
}

impl<'a> Walk<'a> {
    /// Writes the checkpoints of these epochs, and the learning curves. What an interrupted attempt left in the output does not
    /// count: its parts do.
    pub(super) fn write(mut self, saved: &BTreeSet<u32>) -> Result<(), StageError> {
        for name in fsx::list(self.context.out)? {
            fsx::remove_file(&self.context.out.join(name))?;
        }
        for epoch in saved {
            self.context.check_cancelled()?;
            self.write_checkpoint(*epoch)?;
        }
        let out = self.context.out;
        Ok(run::write_training(out, self.reach(self.epochs)?.rows())?)
    }

    /// Epochs are asked for in ascending order.
    fn write_checkpoint(&mut self, epoch: u32) -> Result<(), StageError> {
        let out = self.context.out;
        if epoch == 0 {
            return Ok(run::write_checkpoint(out, 0, &self.network.init(self.settings.seed))?);
        }
        let path = out.join(run::checkpoint_name(epoch));
        if !self.chain.place_checkpoint(epoch, &path)? {
            let bytes = run::checkpoint_to_bytes(&self.reach(epoch)?.params());
            self.chain.add_checkpoint(epoch, &bytes)?;
            if !self.chain.place_checkpoint(epoch, &path)? {
                fsx::write_atomic(&path, &bytes)?;
            }
        }
        Ok(())
    }

    /// Goes on to an epoch: from the latest stored state on the way if there is one, else from where it is.
    fn reach(&mut self, epoch: u32) -> Result<&Trainer<'a>, StageError> {
        let here = self.trainer.as_ref().map_or(0, Trainer::epoch);
        if let Some(state) = self.chain.latest(here + 1..=epoch)? {
            self.chain.pass(here)?;
            self.mark()?;
            self.trainer = Some(Trainer::resume(self.network, self.settings, state));
        }
        let start = || Trainer::new(self.network, self.settings, &self.train, &self.test);
        let mut trainer = self.trainer.take().unwrap_or_else(start);
        self.tell(trainer.rows());
        while trainer.epoch() < epoch {
            self.step(&mut trainer)?;
            self.tell(trainer.rows());
        }
        Ok(self.trainer.insert(trainer))
    }

    /// Trains for an epoch. Its state is stored before the one that it follows from may go.
    fn step(&self, trainer: &mut Trainer) -> Result<(), StageError> {
        let before = trainer.epoch();
        let interval = (REPORT / (trainer.params().count() * self.settings.batch)).max(1);
        let mut tick = |progress: Progress| {
            if progress.batches.is_multiple_of(interval) || progress.batches == progress.of {
                self.report(before, &progress);
            }
            self.context.check_cancelled().is_ok()
        };
        let varied = self
            .vary
            .as_ref()
            .map(|vary| move |indices: &[u32], rows: &mut [f32]| vary(before + 1, indices, rows));
        let train = match &varied {
            Some(fill) => Labelled { fill, ..self.train },
            None => self.train,
        };
        let trained = trainer.train_epoch(&train, &self.test, &mut tick);
        (self.check)()?;
        trained.map_err(stage_error)?;
        self.chain.add(&trainer.state())?;
        self.chain.pass(before)?;
        Ok(self.mark()?)
    }

    /// Tells what is new in the learning curves; of a stored state, also the epochs before it, so that the curves are whole.
    fn tell(&mut self, rows: &[TrainingRow]) {
        for rows in rows[self.told..].chunk_by(|a, b| a.epoch == b.epoch) {
            let values = rows.iter().map(|row| (row.curve(), row.value)).collect();
            self.context.scalars(rows[0].epoch.into(), values);
        }
        self.told = rows.len();
    }

    fn mark(&self) -> Result<(), FileError> {
        let path = self.context.scratch.join(MARK);
        if fsx::size(&path).is_some() {
            return Ok(());
        }
        fsx::write_atomic(&path, b"The states of this training are among the store's parts.\n")
    }

    fn report(&self, before: u32, progress: &Progress) {
        let (loss, error) = (progress.score.mean_loss(), progress.score.error());
        let note = format!("epoch {}/{}  loss {loss:.4}  error {error:.4}", before + 1, self.epochs);
        let of = progress.of as u64;
        let done = u64::from(before) * of + progress.batches as u64;
        self.context.progress(done, u64::from(self.epochs) * of, "batches", note);
    }
}

fn stage_error(error: TrainError) -> StageError {
    match error.hint() {
        _ if matches!(error, TrainError::Cancelled) => StageError::Cancelled,
        Some(hint) => StageError::with_hint(error, hint),
        None => error.into(),
    }
}
