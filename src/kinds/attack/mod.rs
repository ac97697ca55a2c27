//! `attack`: the error of a run's final model on images that are moved so that it errs, and of the same model with random blocks.
//!
//! The rows are probes: what is evaluated is a modification of the final model or of its input. Each repetition of each attack is kept
//! (`kinds/evaluate/cells`), so an interruption costs at most one, and so does another repetition.

mod fraction;

use std::collections::BTreeSet;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::canonical;
use crate::base::digest::{Digest, Fields};
use crate::base::fsx;
use crate::data::{self, Examples, Split};
use crate::kinds::attack::fraction::Fraction;
use crate::kinds::evaluate::{self, cells::Cells};
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{DATASET, PROBES, RUN, parameters};
use crate::nn::attack::stochastic::Stochastic;
use crate::nn::attack::target::Target;
use crate::nn::attack::{Attack as Way, Cancelled, Limits, Trial};
use crate::nn::reset::Source;
use crate::nn::run::Run;
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `attack`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// How the images are moved.
    #[serde(default = "all", deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<Way>")]
    attacks: BTreeSet<Way>,
    /// How many test images: the first ones.
    #[serde(default = "examples")]
    examples: usize,
    /// How often, each time with other random numbers.
    #[serde(default = "repeats")]
    repeats: u32,
    /// How far a pixel may be moved, where white is 1; as a number, or as in `8/255`.
    #[serde(default = "radius")]
    radius: Fraction,
    /// Steps of PGD.
    #[serde(default = "steps")]
    steps: u32,
    /// How far a pixel is moved in each of them.
    #[serde(default = "step_size")]
    step_size: Fraction,
    /// Blocks with random weights, chosen anew at each inference.
    #[serde(default, skip_serializing_if = "Replacement::is_none")]
    stochastic: Replacement,
    /// Which network the attacker's gradients are of.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    attacker: Attacker,
    /// Of the weight sets, of which block is swapped when, and of where PGD starts.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    seed: u64,
}

/// How many stages swap one random block of theirs for one of how many weight sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Replacement {
    /// Stages that do at an inference; 0 for none.
    stages: usize,
    /// Sets of weights, drawn once from the blocks' initial distributions.
    sets: usize,
}

impl Replacement {
    fn is_none(&self) -> bool {
        self.stages == 0
    }

    /// As the study's table has it.
    fn label(self) -> String {
        if self.is_none() { "baseline".to_owned() } else { format!("r={} s={}", self.sets, self.stages) }
    }
}

/// Which network an attacker computes gradients of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Attacker {
    /// Of one with random blocks, sampled anew for each gradient: what the attacker can query is what is defended.
    #[default]
    Sampled,
    /// Of the final model as it is.
    Unmodified,
}

fn all() -> BTreeSet<Way> {
    [Way::Clean, Way::Fgsm, Way::Pgd].into()
}

fn examples() -> usize {
    1000
}

fn repeats() -> u32 {
    5
}

fn steps() -> u32 {
    20
}

fn radius() -> Fraction {
    Fraction(8.0 / 255.0)
}

fn step_size() -> Fraction {
    Fraction(2.0 / 255.0)
}

impl Stage for Attack {
    const KIND: &'static str = "attack";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "measure the final model of a run on images that are moved so that it errs";
    const SLOTS: &'static [Slot] = &[Slot::one("run", RUN), Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = PROBES;
    const NUMERIC: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        let length = |value: Fraction| (0.0..=1.0).contains(&value.0);
        let (message, of_length) = ("it is not a length of pixels", "give 0 to 1, as in '8/255'");
        let checks = [
            (self.examples > 0, "examples", "there are 0 images", "give 1 or more"),
            (self.repeats > 0, "repeats", "nothing is done", "give 1 or more"),
            (length(self.radius), "radius", message, of_length),
            (length(self.step_size), "step_size", message, of_length),
            (self.steps > 0, "steps", "PGD makes no step", "give 1 or more"),
            (
                self.stochastic.is_none() || self.stochastic.sets > 0,
                "stochastic.sets",
                "there are no weights to swap blocks for",
                "give 1 or more, or 'stages: 0'",
            ),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, path, message, hint)) => Err(ParameterError::new(path, message, hint)),
            None => Ok(()),
        }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
        let stochastic = self.stochastic(&run)?;
        let mut cells = Cells::open(context.parts, self.key(&run, inputs)?)?;
        let probes = self.attacks.iter().flat_map(|way| self.repeats(*way).map(|repeat| (*way, repeat)));
        let missing: Vec<_> =
            probes.filter(|(way, repeat)| cells.get(name(*way, *repeat)).is_none()).collect();
        if !missing.is_empty() {
            let examples = data::load(&inputs.one("data").files, Split::Test)?;
            evaluate::check(&run, &examples)?;
            evaluate::check_count(&examples, Split::Test, self.examples)?;
            let work = Work { stage: self, run: &run, stochastic, examples, context };
            work.measure(&missing, &mut cells)?;
        }
        Ok(fsx::write_atomic(&context.out.join("probes.csv"), &self.table(&run, &cells)?)?)
    }
}

impl Attack {
    fn stochastic(&self, run: &Run) -> Result<Stochastic, StageError> {
        let Replacement { stages, sets } = self.stochastic;
        Stochastic::new(run.network(), stages, sets).map_err(|error| {
            let hint = match error.present {
                0 => "train 'identity_resnet', or leave 'stochastic' out".to_owned(),
                present => format!("give 'stages: {present}' at most"),
            };
            StageError::with_hint(error, hint)
        })
    }

    /// The repetitions of an attack that may differ; without any randomness, the first one stands for all.
    fn repeats(&self, way: Way) -> Range<u32> {
        if self.stochastic.is_none() && way != Way::Pgd { 0..1 } else { 0..self.repeats }
    }

    /// Where the cells are: those of one host, measured on one dataset with the same settings.
    fn key(&self, run: &Run, inputs: &Inputs) -> Result<Digest, StageError> {
        let settings = serde_json::to_value(Self { attacks: BTreeSet::new(), repeats: 0, ..*self });
        let settings = settings.expect("parameters have string keys and finite numbers");
        let mut fields = Fields::new("layerwise attacks v1");
        fields.add("version", &Self::VERSION.to_le_bytes());
        evaluate::names::host(&mut fields, run, inputs).map_err(parameters::run_error)?;
        fields.add("seed", &run.description.seed.to_le_bytes());
        fields.add("settings", &canonical::bytes(&settings));
        Ok(fields.finish())
    }

    fn limits(&self) -> Limits {
        let bytes = |length: Fraction| (length.0 * 255.0) as f32;
        Limits { radius: bytes(self.radius), steps: self.steps, step_size: bytes(self.step_size) }
    }

    /// All cells by attack and repetition.
    fn table(&self, run: &Run, cells: &Cells) -> Result<Vec<u8>, csv::Error> {
        let (model, setting) = (run.description.arch.name(), self.stochastic.label());
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["model", "setting", "attack", "repeat", "split", "metric", "value"])?;
        for way in &self.attacks {
            for repeat in 0..self.repeats {
                let measured = repeat.min(self.repeats(*way).end - 1);
                let value = cells.get(name(*way, measured)).expect("what was missing has been measured");
                let [repeat, value] = [repeat.to_string(), value.to_string()];
                table.write_record([&model, &setting, way.as_str(), &repeat, "test", "error", &value])?;
            }
        }
        table.into_inner().map_err(|e| e.into_error().into())
    }
}

/// What an execution works with.
struct Work<'a> {
    stage: &'a Attack,
    run: &'a Run,
    stochastic: Stochastic,
    examples: Examples,
    context: &'a Context<'a>,
}

impl Work<'_> {
    /// Attacks the images, one repetition after the other.
    fn measure(&self, missing: &[(Way, u32)], cells: &mut Cells) -> Result<(), StageError> {
        let Self { stage, run, stochastic, examples, context } = self;
        let mut target = self.target()?;
        let trial = Trial {
            labels: &examples.labels,
            features: examples.features(),
            images: &|range, out| examples.images(range, out),
            standardise: &|images, out| examples.standardise(images, out),
            limits: stage.limits(),
            stochastic,
            samples: stage.attacker == Attacker::Sampled,
            seed: stage.seed,
            cancel: context.cancel,
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?;
        let (count, at_once) = (stage.examples, run.network().at_once(stage.examples));
        for (index, (way, repeat)) in missing.iter().enumerate() {
            let mut errors = 0;
            for first in (0..count).step_by(at_once) {
                let done = index * count + first;
                context.progress(done as u64, (missing.len() * count) as u64, "images", way.as_str());
                let attack = || trial.errors(&mut target, *way, *repeat, first..count.min(first + at_once));
                errors += pool.install(attack).map_err(|Cancelled| StageError::Cancelled)?;
            }
            examples.check()?;
            cells.add(&[(name(*way, *repeat), errors as f64 / count as f64)])?;
        }
        Ok(())
    }

    /// The final model, with the weight sets for its blocks.
    fn target(&self) -> Result<Target, StageError> {
        let Self { stage, run, stochastic, .. } = self;
        let host = run.final_params().map_err(parameters::run_error)?;
        let draw = |draw| Source::Rerand { draw }.values(run, stage.seed);
        let sets = (0..stage.stochastic.sets as u32).map(draw).collect::<Result<Vec<_>, _>>();
        let sets = sets.map_err(parameters::run_error)?;
        Ok(Target::new(run.network(), &host, &sets, &stochastic.swappable()))
    }
}

/// What a cell is called.
fn name(way: Way, repeat: u32) -> Digest {
    let mut fields = Fields::new("layerwise attack v1");
    fields.add("attack", way.as_str().as_bytes());
    fields.add("repeat", &repeat.to_le_bytes());
    fields.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::kinds::testing;
    use crate::stage::parts::Memory;
    use crate::stage::{Artifact, Kind};

    static KIND: Kind = Kind::of::<Attack>();

    /// On the 30 test images of the bench; as if the user wanted to stop, if that is wanted.
    fn attack(
        bench: &Bench,
        parameters: &Value,
        parts: &Memory,
        is_cancelled: bool,
    ) -> Result<String, StageError> {
        let folder = tempfile::tempdir().unwrap();
        let one = |slot: &str, artifact: Artifact| (slot.to_owned(), vec![artifact]);
        let inputs = Inputs([one("run", bench.run(0)), one("data", bench.dataset())].into());
        let stage = KIND.parse(parameters).unwrap();
        let folders = (folder.path(), folder.path());
        let output = testing::execute_with(&*stage, &inputs, folders, is_cancelled, parts)?;
        Ok(testing::read(&output, "probes.csv"))
    }

    #[test]
    fn a_row_for_each_repetition_of_each_attack() {
        let parameters =
            json!({"attacks": ["pgd", "clean"], "examples": 30, "repeats": 2, "radius": "64/255"});
        let table = attack(&Bench::new(), &parameters, &Memory::default(), false).unwrap();
        let rows: Vec<_> = table.lines().map(|line| line.rsplit_once(',').unwrap()).collect();
        let heads: Vec<_> = rows.iter().map(|(head, _)| *head).collect();
        let of = |attack: &str, repeat| format!("fcn2x8,baseline,{attack},{repeat},test,error");
        assert_eq!(heads[0], "model,setting,attack,repeat,split,metric");
        assert_eq!(heads[1..], [of("clean", 0), of("clean", 1), of("pgd", 0), of("pgd", 1)]);
        let errors: Vec<f64> = rows[1..].iter().map(|(_, value)| value.parse().unwrap()).collect();
        assert!(errors[0] == errors[1] && errors[2] > errors[0] && errors[3] > errors[0], "{errors:?}");
    }

    /// What is known needs no work, which a user who wants to stop would not allow.
    #[test]
    fn a_repetition_that_is_known_is_not_made_again() {
        let (bench, parts) = (Bench::new(), Memory::default());
        let with = |repeats: u32, steps: u32| json!({"examples": 30, "repeats": repeats, "steps": steps});
        assert!(matches!(attack(&bench, &with(3, 2), &parts, true), Err(StageError::Cancelled)));
        let table = attack(&bench, &with(3, 2), &parts, false).unwrap();
        assert_eq!(attack(&bench, &with(3, 2), &parts, true).unwrap(), table);
        let fewer = attack(&bench, &with(2, 2), &parts, true).unwrap();
        assert!(fewer.lines().all(|line| table.contains(line)) && fewer.len() < table.len());
        for other in [with(4, 2), with(3, 1)] {
            assert!(matches!(attack(&bench, &other, &parts, true), Err(StageError::Cancelled)));
        }
    }

    #[test]
    fn defaults_are_those_of_the_study() {
        let parameters = KIND.parse(&json!({})).unwrap().parameters();
        let all = json!({"attacks": ["clean", "fgsm", "pgd"], "examples": 1000, "repeats": 5, "radius": 8.0 / 255.0,
            "steps": 20, "step_size": 2.0 / 255.0});
        assert_eq!(parameters, all);
        let none = json!({"stochastic": {"stages": 0, "sets": 4}, "seed": 0, "attacker": "sampled"});
        assert_eq!(KIND.parse(&none).unwrap().parameters(), all);
    }

    #[test]
    fn more_images_or_blocks_than_there_are_are_refused() {
        let told = |parameters: Value| {
            let bench = Bench::new();
            let inputs = [("run", &bench.run(0)), ("data", &bench.dataset())];
            complaint(bench.stage("attacked", &KIND, &parameters, &inputs))
        };
        let (message, hint) = told(json!({"examples": 31}));
        assert_eq!(message, "31 examples are asked for, and the test split has 30");
        assert_eq!(hint, "give 'examples: 30' at most");
        let (message, hint) = told(json!({"examples": 30, "stochastic": {"stages": 1, "sets": 2}}));
        assert!(
            message.starts_with("a block is to be swapped in 1 of the network's stages, and 0 have"),
            "{message}"
        );
        assert_eq!(hint, "train 'identity_resnet', or leave 'stochastic' out");
    }
}
