//! `checkpoint`: a run with some of its checkpoints.
//!
//! The final one is always kept: it is the host of every probe. Another one may take its place.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{RUN, parameters};
use crate::nn::run::{self, Run, RunError};
use crate::stage::{ArtifactType, Context, Inputs, Slot, Stage, StageError};

/// Parameters of `checkpoint`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Epochs to keep, beside the last.
    #[serde(deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<u32>")]
    epochs: BTreeSet<u32>,
    /// The epoch whose checkpoint takes the place of the final one, as the host of every probe; absent: the last.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    host: Option<u32>,
}

impl Stage for Checkpoint {
    const KIND: &'static str = "checkpoint";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "select checkpoints of a run; the final one is always kept";
    const SLOTS: &'static [Slot] = &[Slot::one("run", RUN)];
    const OUTPUT: ArtifactType = RUN;
    const LOCAL: bool = true;

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let files = &inputs.one("run").files;
        let mut description = Run::open(files).map_err(parameters::run_error)?.description;
        let present = std::mem::take(&mut description.checkpoints);
        description.epochs = self.host.unwrap_or(description.epochs);
        let wanted = self.epochs.iter().copied().chain(self.host);
        if let Some(epoch) = wanted.into_iter().find(|epoch| !present.contains(epoch)) {
            return Err(parameters::run_error(RunError::NoCheckpoint { epoch, present }));
        }
        let kept = |epoch: &u32| *epoch == description.epochs || self.epochs.contains(epoch);
        let (kept, dropped): (Vec<_>, Vec<_>) = present.into_iter().partition(kept);
        let dropped: BTreeSet<_> = dropped.into_iter().map(run::checkpoint_name).collect();
        for (name, path) in files.0.iter().filter(|(name, _)| !dropped.contains(*name)) {
            fsx::link_or_copy(path, &context.out.join(name))?;
        }
        description.checkpoints = kept;
        Ok(run::write_description(context.out, &description)?) // takes the place of the link
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::stage::Kind;

    static KIND: Kind = Kind::of::<Checkpoint>();

    #[test]
    fn keeps_what_is_asked_for_and_the_final_one() {
        let bench = Bench::new();
        let whole = bench.run(0);
        let some = bench.stage("some", &KIND, &json!({"epochs": [3, 0]}), &[("run", &whole)]).unwrap();
        let names: Vec<_> = some.files.0.keys().map(String::as_str).collect();
        let tensors =
            ["checkpoint-0000", "checkpoint-0003", "checkpoint-0012"].map(|n| format!("{n}.safetensors"));
        assert_eq!(names[..3], tensors);
        assert_eq!(names[3..], ["run.json", "training.csv"]);
        let (whole, some) = (Run::open(&whole.files).unwrap(), Run::open(&some.files).unwrap());
        assert_eq!(some.description.checkpoints, [0, 3, 12]);
        assert_eq!(some.params(3).unwrap(), whole.params(3).unwrap());
        assert_eq!(some.final_params().unwrap(), whole.final_params().unwrap());
    }

    /// Also of later checkpoints: what a layer of epoch 3 is worth with the others of epoch 12, and the other way round.
    #[test]
    fn another_host_takes_the_place_of_the_final_one() {
        let bench = Bench::new();
        let whole = bench.run(0);
        let parameters = json!({"epochs": [0, 12], "host": 3});
        let early = bench.stage("early", &KIND, &parameters, &[("run", &whole)]).unwrap();
        let (whole, early) = (Run::open(&whole.files).unwrap(), Run::open(&early.files).unwrap());
        assert_eq!((early.description.epochs, &early.description.checkpoints[..]), (3, &[0, 3, 12][..]));
        assert_eq!(early.final_params().unwrap(), whole.params(3).unwrap());
        assert_eq!(early.params(12).unwrap(), whole.final_params().unwrap());
        let none = json!({"epochs": [0], "host": 2});
        let (message, _) = complaint(bench.stage("none", &KIND, &none, &[("run", &bench.run(0))]));
        assert_eq!(message, "the run has no checkpoint of epoch 2, only of 0, 1, 3, 4, 12");
    }

    #[test]
    fn says_which_there_are() {
        let bench = Bench::new();
        let result = bench.stage("none", &KIND, &json!({"epochs": [1, 2]}), &[("run", &bench.run(0))]);
        let (message, hint) = complaint(result);
        assert_eq!(message, "the run has no checkpoint of epoch 2, only of 0, 1, 3, 4, 12");
        assert!(hint.contains("'checkpoints' of the 'train' stage"), "{hint}");
    }
}
