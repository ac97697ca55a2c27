//! Learning curves for TensorBoard: `DIR/<pipeline>/<stage>/events.out.tfevents…`, a folder for each training.
//!
//! A training that runs tells its points as it goes; of one that was done before, the curves are read from its result.

mod format;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::base::fsx::{self, FileError};
use crate::cli::machine;
use crate::engine::{Event, Observer, Outcome};
use crate::kinds::train::Train;
use crate::nn::run::{self, TrainingRow};
use crate::stage::{Report, Stage};
use crate::store::{Store, Summary};

/// What every name of an event file begins with.
const PREFIX: &str = "events.out.tfevents.";

/// The observer.
pub(super) struct TensorBoard {
    /// Of the pipeline.
    folder: PathBuf,
    host: String,
    store: Store,
    /// Of the trainings that told something.
    files: BTreeMap<String, (PathBuf, File)>,
    /// The first failure is told, the run goes on without.
    is_broken: bool,
}

impl TensorBoard {
    /// Makes the folder, so that one that cannot be made is told before anything runs.
    pub(super) fn new(folder: &Path, pipeline: &str, store: &Store, host: String) -> Result<Self, FileError> {
        let folder = folder.join(pipeline);
        fsx::create_dir_all(&folder)?;
        Ok(Self { folder, host, store: store.clone(), files: BTreeMap::new(), is_broken: false })
    }

    fn write(&mut self, stage: &str, records: &[u8]) -> Result<(), FileError> {
        if !self.files.contains_key(stage) {
            let file = self.begin(&self.folder.join(stage))?;
            self.files.insert(stage.to_owned(), file);
        }
        let (path, file) = self.files.get_mut(stage).expect("it was inserted");
        fsx::write_all(file, path, records)
    }

    /// Begins the file of a training. Those of earlier runs go: TensorBoard would draw all as one curve.
    fn begin(&self, folder: &Path) -> Result<(PathBuf, File), FileError> {
        fsx::create_dir_all(folder)?;
        for name in fsx::list(folder)?.iter().filter(|name| name.starts_with(PREFIX)) {
            fsx::remove_file(&folder.join(name))?;
        }
        let time = machine::now();
        let path = folder.join(format!("{PREFIX}{}.{}", time as u64, self.host));
        let mut file = fsx::create(&path)?;
        fsx::write_all(&mut file, &path, &format::header(time))?;
        Ok((path, file))
    }

    /// Writes the curves of a training that was done before.
    fn write_done(&mut self, stage: &str, summary: &Summary) -> Result<(), FileError> {
        let rows = run::training_of(&self.store.files(&summary.outputs))?;
        let point = |row: &TrainingRow| (u64::from(row.epoch), row.curve(), row.value);
        self.write(stage, &records(rows.iter().map(point)))
    }
}

/// Points of curves, all at this moment.
fn records(points: impl Iterator<Item = (u64, String, f64)>) -> Vec<u8> {
    let time = machine::now();
    points.flat_map(|(step, curve, value)| format::scalar(time, step, &curve, value)).collect()
}

impl Observer for TensorBoard {
    fn event(&mut self, event: &Event<'_>) {
        if self.is_broken {
            return;
        }
        let written = match event {
            Event::Reported { node, report: Report::Scalars { step, values } } => {
                let points = values.iter().map(|(curve, value)| (*step, curve.clone(), *value));
                self.write(&node.node.to_string(), &records(points))
            }
            Event::Ended { node, outcome: Outcome::Cached(summary), .. }
                if node.node.work.kind().name == Train::KIND =>
            {
                self.write_done(&node.node.to_string(), summary)
            }
            _ => Ok(()),
        };
        if let Err(error) = written {
            self.is_broken = true;
            eprintln!("note: TensorBoard will not see the rest: {error}");
        }
    }
}
