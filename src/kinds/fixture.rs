//! What the tests of kinds work with: a small run, a small dataset, and a stage run by hand.

use std::io::Write;
use std::path::PathBuf;

use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::base::{fsx, rng};
use crate::data::catalogue;
use crate::data::examples::DESCRIPTION;
use crate::kinds::testing;
use crate::nn::run::{self, Description, TrainingRow};
use crate::nn::zoo::{Arch, Fcn};
use crate::stage::{Artifact, Inputs, Kind, StageError};

/// A folder per artifact.
pub(super) struct Bench(TempDir);

impl Bench {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.0.path().join(name);
        fsx::create_dir_all(&folder).unwrap();
        folder
    }

    /// A run of a 2×8 network on 2×3 pixels in four classes, with checkpoints 0, 1, 3, 4 and 12, none of them trained.
    pub(super) fn run(&self, seed: u64) -> Artifact {
        let folder = self.folder(&format!("run{seed}"));
        let arch = Arch::Fcn(Fcn { depth: 2, width: 8 });
        let network = arch.network([1, 2, 3], 4);
        let checkpoints = vec![0, 1, 3, 4, 12];
        for epoch in &checkpoints {
            let params = if *epoch == 0 { network.init(seed) } else { network.draw(seed + 1000, *epoch) };
            run::write_checkpoint(&folder, *epoch, &params).unwrap();
        }
        let (shape, dataset) = ([1, 2, 3], Some("toy".to_owned()));
        let description =
            Description { version: 1, arch, seed, shape, classes: 4, dataset, epochs: 12, checkpoints };
        run::write_description(&folder, &description).unwrap();
        let row = TrainingRow { epoch: 12, split: "test".into(), metric: "error".into(), value: 0.5 };
        run::write_training(&folder, &[row]).unwrap();
        testing::of_folder(&folder)
    }

    /// A dataset for it: 700 training and 30 test examples of noise.
    pub(super) fn dataset(&self) -> Artifact {
        let folder = self.folder("dataset");
        let mut dataset = catalogue::find("mnist").unwrap().clone();
        (dataset.name, dataset.shape, dataset.classes) = ("toy".to_owned(), [1, 2, 3], 4);
        for (file, (header, values, below)) in dataset.files.iter().zip([
            (vec![0, 0, 8, 3, 0, 0, 2, 188, 0, 0, 0, 2, 0, 0, 0, 3], 4200, 256),
            (vec![0, 0, 8, 1, 0, 0, 2, 188], 700, 4),
            (vec![0, 0, 8, 3, 0, 0, 0, 30, 0, 0, 0, 2, 0, 0, 0, 3], 180, 256),
            (vec![0, 0, 8, 1, 0, 0, 0, 30], 30, 4),
        ]) {
            let mut numbers = rng::stream(0, &[&file.name]);
            let values: Vec<u8> = (0..values).map(|_| numbers.below(below) as u8).collect();
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&[header, values].concat()).unwrap();
            fsx::write_atomic(&folder.join(&file.name), &encoder.finish().unwrap()).unwrap();
        }
        fsx::write_atomic(&folder.join(DESCRIPTION), &serde_json::to_vec(&dataset).unwrap()).unwrap();
        testing::of_folder(&folder)
    }

    /// Runs a stage; its output is in a folder of this name.
    pub(super) fn stage(
        &self,
        name: &str,
        kind: &'static Kind,
        parameters: &Value,
        inputs: &[(&'static str, &Artifact)],
    ) -> Result<Artifact, StageError> {
        let (out, scratch) = (self.folder(name), self.folder(&format!("{name}.scratch")));
        let inputs =
            inputs.iter().map(|(slot, artifact)| ((*slot).to_owned(), vec![(*artifact).clone()])).collect();
        let stage = kind.parse(parameters).unwrap();
        testing::execute(&*stage, &Inputs(inputs), (&out, &scratch), false)
    }
}

/// What a failed stage says, and its hint.
pub(super) fn complaint(result: Result<Artifact, StageError>) -> (String, String) {
    match result {
        Err(StageError::Failed { cause, hint, .. }) => (cause.to_string(), hint.unwrap_or_default()),
        other => panic!("it did not fail: {other:?}"),
    }
}
