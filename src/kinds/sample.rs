//! `sample`: the first examples of a dataset, to try a pipeline at a smaller size.
//!
//! The files stay as they are published; only the description says how many examples count. A smaller sample is the beginning of a
//! larger one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::data::catalogue::{self, Dataset};
use crate::data::examples::{self, Split};
use crate::kinds::{DATASET, parameters};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `sample`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// How many training examples.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    train: Count,
    /// How many test examples.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    test: Count,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected 'all' or a number of examples")]
enum Count {
    Word(All),
    Number(usize),
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum All {
    All,
}

impl Default for Count {
    fn default() -> Self {
        Self::Word(All::All)
    }
}

impl Count {
    fn number(self) -> Option<usize> {
        match self {
            Self::Word(All::All) => None,
            Self::Number(number) => Some(number),
        }
    }
}

impl Stage for Sample {
    const KIND: &'static str = "sample";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "take the first examples of a dataset";
    const SLOTS: &'static [Slot] = &[Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = DATASET;

    fn check(&self) -> Result<(), ParameterError> {
        for (path, count) in [("train", self.train), ("test", self.test)] {
            if count == Count::Number(0) {
                return Err(ParameterError::new(path, "there are 0 examples", "give 1 or more, or 'all'"));
            }
        }
        Ok(())
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let files = &inputs.one("data").files;
        let description = files.path(examples::DESCRIPTION)?;
        let mut dataset: Dataset = serde_json::from_slice(&fsx::read(description)?)?;
        // Of a sample, a sample is one of the whole.
        let before = dataset.sample;
        let count = |split, count: Count| count.number().or(before.and_then(|sample| sample.of(split)));
        let (train, test) = (count(Split::Train, self.train), count(Split::Test, self.test));
        dataset.sample = (train.is_some() || test.is_some()).then_some(catalogue::Sample { train, test });
        for (name, path) in &files.0 {
            fsx::link_or_copy(path, &context.out.join(name))?;
        }
        if dataset.sample == before {
            return Ok(());
        }
        let description = serde_json::to_vec_pretty(&dataset)?;
        Ok(fsx::write_atomic(&context.out.join(examples::DESCRIPTION), &description)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::{self, Examples};
    use crate::kinds::fixture::Bench;
    use crate::stage::{Kind, ParseError};

    static KIND: Kind = Kind::of::<Sample>();

    #[test]
    fn takes_the_first_examples() {
        let bench = Bench::new();
        let whole = bench.dataset();
        let load = |files: &crate::base::files::Files| {
            [Split::Train, Split::Test].map(|split| data::load(files, split).unwrap())
        };
        let [train, test] = load(&whole.files);
        let some = bench.stage("some", &KIND, &json!({"train": 7}), &[("data", &whole)]).unwrap();
        let is_beginning = |few: &Examples, many: &Examples, count: usize| {
            assert_eq!(few.labels, many.labels[..count]);
            let mut images = vec![0.0; 2 * count * many.features()];
            let (of_few, of_many) = images.split_at_mut(count * many.features());
            few.images(0..count, of_few);
            many.images(0..count, of_many);
            assert_eq!(of_few, of_many);
        };
        let [few, all] = load(&some.files);
        is_beginning(&few, &train, 7);
        is_beginning(&all, &test, test.len());
        let fewer = bench.stage("fewer", &KIND, &json!({"train": 3, "test": 2}), &[("data", &some)]).unwrap();
        let [few, less] = load(&fewer.files);
        is_beginning(&few, &train, 3);
        is_beginning(&less, &test, 2);
    }

    #[test]
    fn all_is_what_comes_in() {
        let bench = Bench::new();
        let whole = bench.dataset();
        let same = bench.stage("same", &KIND, &json!({"train": "all"}), &[("data", &whole)]).unwrap();
        assert_eq!(same.digest(), whole.digest());
        assert_eq!(KIND.parse(&json!({"test": "all"})).unwrap().parameters(), json!({}));
    }

    #[test]
    fn more_than_there_are_is_told() {
        let bench = Bench::new();
        let many =
            bench.stage("many", &KIND, &json!({"test": 1_000_000}), &[("data", &bench.dataset())]).unwrap();
        let error = data::load(&many.files, Split::Test).err().unwrap().to_string();
        assert!(error.starts_with("the sample is of 1000000 test images, and there are "), "{error}");
        let Err(ParseError::Value(error)) = KIND.parse(&json!({"train": 0})) else { panic!() };
        assert_eq!(error.path, "train");
    }
}
