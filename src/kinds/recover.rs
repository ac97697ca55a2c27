//! `recover`: how fast the final model learns again what a reset took from it.
//!
//! What is measured of a reset is kept (`evaluate::cells`), so an interruption costs at most one.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::canonical;
use crate::base::digest::{Digest, Fields};
use crate::base::fsx;
use crate::data::{self, Examples, Split};
use crate::kinds::evaluate::{self, cells::Cells, names};
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{DATASET, PATCHES, PROBES, RUN, parameters, rows};
use crate::nn::evaluate::score;
use crate::nn::examples::Labelled;
use crate::nn::optimizer::Optimizer;
use crate::nn::params::Params;
use crate::nn::problem::Problem;
use crate::nn::recover;
use crate::nn::reset::{self, Patch, Patches};
use crate::nn::run::Run;
use crate::nn::train::{Settings, TrainError};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `recover`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recover {
    /// After how many steps to measure error and loss; 0 is right after the reset.
    #[serde(deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<u32>")]
    steps: BTreeSet<u32>,
    /// What learns: the reset `layers` alone, or the whole `network`. The running means and variances of norms follow in either case.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    learns: Learns,
    /// Examples per step.
    batch: usize,
    /// How gradients become steps.
    optimizer: Optimizer,
    /// Of the order of examples: that of a training with this seed.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    seed: u64,
    /// On which examples to measure.
    #[serde(deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<Split>")]
    split: BTreeSet<Split>,
}

/// What is trained after a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Learns {
    /// The layers that were reset.
    #[default]
    Layers,
    /// All layers.
    Network,
}

/// What is measured: after which step, on which split, which metric.
type At = (u32, Split, &'static str);
const METRICS: [&str; 2] = ["error", "loss"];

impl Stage for Recover {
    const KIND: &'static str = "recover";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "train the final model on after each reset, and measure it after some steps";
    const SLOTS: &'static [Slot] =
        &[Slot::one("run", RUN), Slot::one("patches", PATCHES), Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = PROBES;
    const NUMERIC: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        if let Some(Problem { path, message, hint }) = self.optimizer.problem() {
            return Err(ParameterError::new(format!("optimizer.{path}"), message, hint));
        }
        let empty = ParameterError::new("batch", "the batches are empty", "give 1 or more");
        if self.batch == 0 { Err(empty) } else { Ok(()) }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
        let patches = Patches::open(&inputs.one("patches").files, &run).map_err(parameters::reset_error)?;
        let mut cells = Cells::open(context.parts, self.key(&run, inputs)?)?;
        let called =
            |patch: &Patch| names::patch(patch, &patches, &run, inputs).map_err(parameters::run_error);
        let called = patches.patches.iter().map(called).collect::<Result<Vec<_>, _>>()?;
        let is_known =
            |index: &usize| self.measured().all(|at| cells.get(cell(called[*index], at)).is_some());
        let missing: Vec<usize> = (0..called.len()).filter(|index| !is_known(index)).collect();
        if !missing.is_empty() {
            let files = &inputs.one("data").files;
            let [train, test] = [data::load(files, Split::Train)?, data::load(files, Split::Test)?];
            evaluate::check(&run, &train)?;
            let work = Work { stage: self, run: &run, patches: &patches, train, test, context };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?;
            pool.install(|| work.measure(&missing, &called, &mut cells))?;
        }
        Ok(fsx::write_atomic(&context.out.join("probes.csv"), &self.table(&patches, &called, &cells)?)?)
    }
}

impl Recover {
    /// Where the cells are: those of one host that learns again from the same examples in the same way.
    fn key(&self, run: &Run, inputs: &Inputs) -> Result<Digest, StageError> {
        let settings = Self { steps: BTreeSet::new(), split: BTreeSet::new(), ..self.clone() };
        let settings =
            serde_json::to_value(settings).expect("parameters have string keys and finite numbers");
        let mut fields = Fields::new("layerwise recoveries v1");
        fields.add("version", &Self::VERSION.to_le_bytes());
        names::host(&mut fields, run, inputs).map_err(parameters::run_error)?;
        fields.add("settings", &canonical::bytes(&settings));
        Ok(fields.finish())
    }

    /// What is measured of each reset, in the order of the table's rows.
    fn measured(&self) -> impl Iterator<Item = At> {
        let splits = |step: &u32| {
            let step = *step;
            self.split.iter().flat_map(move |split| METRICS.map(|metric| (step, *split, metric)))
        };
        self.steps.iter().flat_map(splits)
    }

    fn table(&self, patches: &Patches, called: &[Digest], cells: &Cells) -> Result<Vec<u8>, csv::Error> {
        let measurements = |index: usize| {
            let row = |at: At| {
                let value = cells.get(cell(called[index], at)).expect("what was missing has been measured");
                let (step, split, metric) = at;
                vec![step.to_string(), split.as_str().to_owned(), metric.to_owned(), value.to_string()]
            };
            self.measured().map(row).collect()
        };
        rows::of_patches(patches, &["step", "split", "metric", "value"], measurements)
    }
}

/// What a cell is called.
fn cell(patch: Digest, (step, split, metric): At) -> Digest {
    let mut fields = Fields::new("layerwise recovery v1");
    fields.add("patch", patch.bytes());
    fields.add("step", &step.to_le_bytes());
    fields.add("split", split.as_str().as_bytes());
    fields.add("metric", metric.as_bytes());
    fields.finish()
}

/// What an execution works with.
struct Work<'a> {
    stage: &'a Recover,
    run: &'a Run,
    patches: &'a Patches,
    train: Examples,
    test: Examples,
    context: &'a Context<'a>,
}

impl Work<'_> {
    /// Measures these resets, one after the other.
    fn measure(&self, missing: &[usize], called: &[Digest], cells: &mut Cells) -> Result<(), StageError> {
        let host = self.run.final_params().map_err(parameters::run_error)?;
        let mut done = 0;
        for (source, indices) in reset::by_source(&self.patches.patches) {
            let values = source.values(self.run, self.patches.rerand_seed).map_err(parameters::run_error)?;
            for index in indices.into_iter().filter(|index| missing.contains(index)) {
                let patch = &self.patches.patches[index];
                let mut start = host.clone();
                patch.apply(&mut start, &values);
                let measured = self.recover(patch, &start, [done, missing.len()])?;
                let named = measured.into_iter().map(|(at, value)| (cell(called[index], at), value));
                cells.add(&named.collect::<Vec<_>>())?;
                done += 1;
            }
        }
        Ok(())
    }

    /// What is measured of one reset, which is the `done`-th `of` so many.
    fn recover(
        &self,
        patch: &Patch,
        start: &Params,
        [done, of]: [usize; 2],
    ) -> Result<Vec<(At, f64)>, StageError> {
        let Self { stage, run, train, test, context, .. } = self;
        let (network, last) = (run.network(), stage.steps.last().copied().unwrap_or(0));
        let frozen = match stage.learns {
            Learns::Layers => recover::others(network, &patch.layers),
            Learns::Network => Vec::new(),
        };
        let Recover { batch, seed, optimizer, steps, .. } = stage;
        let (batch, seed, optimizer) = (*batch, *seed, optimizer.clone());
        let settings = Settings { batch, seed, optimizer, schedule: None, frozen };
        let of_train = Labelled { labels: &train.labels, fill: &|indices, rows| train.fill(indices, rows) };
        let of_test = Labelled { labels: &test.labels, fill: &|indices, rows| test.fill(indices, rows) };
        let mut measured = Vec::new();
        let mut show = |step: u32, params: Option<&Params>| {
            let steps = (done as u64) * u64::from(last) + u64::from(step);
            context.progress(steps, of as u64 * u64::from(last), "steps", patch.layer.as_str());
            for (split, params) in stage.split.iter().filter_map(|split| Some((*split, params?))) {
                let examples = if split == Split::Train { &of_train } else { &of_test };
                let score = score(network, params, examples);
                let values = METRICS.into_iter().zip([score.error(), score.mean_loss()]);
                measured.extend(values.map(|(metric, value)| ((step, split, metric), value)));
            }
            context.check_cancelled().is_ok()
        };
        let recovered = recover::recover(network, start, &settings, &of_train, steps, &mut show);
        train.check()?;
        test.check()?;
        recovered.map_err(|error| match error.hint() {
            _ if matches!(error, TrainError::Cancelled) => StageError::Cancelled,
            Some(hint) => StageError::with_hint(format!("reset of {}: {error}", patch.layer), hint),
            None => error.into(),
        })?;
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::fixture::Bench;
    use crate::kinds::reset::Reset;
    use crate::kinds::testing;
    use crate::kinds::train::Train;
    use crate::stage::parts::Memory;
    use crate::stage::{Artifact, Kind, ParseError};

    static KIND: Kind = Kind::of::<Recover>();
    static RESET: Kind = Kind::of::<Reset>();
    static TRAIN: Kind = Kind::of::<Train>();

    fn parameters(steps: &[u32]) -> Value {
        json!({"steps": steps, "batch": 128, "optimizer": {"sgd": {"lr": 0.1}}, "split": "test"})
    }

    fn execute(
        parameters: &Value,
        inputs: &[(&str, &Artifact)],
        parts: &Memory,
        is_cancelled: bool,
    ) -> Result<Vec<Vec<String>>, StageError> {
        let folder = tempfile::tempdir().unwrap();
        let inputs = inputs.iter().map(|(slot, artifact)| ((*slot).to_owned(), vec![(*artifact).clone()]));
        let folders = (folder.path(), folder.path());
        let stage = KIND.parse(parameters).unwrap();
        let output = testing::execute_with(&*stage, &Inputs(inputs.collect()), folders, is_cancelled, parts)?;
        let rows = testing::read(&output, "probes.csv");
        Ok(rows.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect())
    }

    /// All layers, from their initial values, with the seed of the training: its learning curve, to the bit.
    #[test]
    fn a_network_that_begins_anew_is_trained() {
        let bench = Bench::new();
        let data = bench.dataset();
        let training = json!({"model": {"fcn": {"depth": 2, "width": 9}}, "epochs": 2, "batch": 128, "seed": 4,
            "optimizer": {"sgd": {"lr": 0.1}}});
        let run = bench.stage("run", &TRAIN, &training, &[("data", &data)]).unwrap();
        let reset = json!({"layers": ["layer2"], "reinit": [0], "full_model": true});
        let patches = bench.stage("patches", &RESET, &reset, &[("run", &run)]).unwrap();
        let inputs = [("run", &run), ("patches", &patches), ("data", &data)];
        let mut recovery = parameters(&[0, 6, 12]);
        (recovery["seed"], recovery["learns"]) = (json!(4), json!("network"));
        let rows = execute(&recovery, &inputs, &Memory::default(), false).unwrap();
        assert_eq!(rows[0].join(","), "model,layer,source,epoch,draw,step,split,metric,value");
        assert_eq!(rows.len(), 1 + 2 * 3 * 2);
        let curve = testing::read(&run, "training.csv");
        let curve: Vec<&str> = curve.lines().filter(|line| line.contains(",test,")).collect();
        for (row, epoch) in rows[7..].iter().zip([0, 0, 1, 1, 2, 2]) {
            assert_eq!(row[1], "fullmodel");
            assert!(
                curve.contains(&format!("{epoch},test,{},{}", row[7], row[8]).as_str()),
                "{row:?} {curve:?}"
            );
        }
    }

    #[test]
    fn only_the_reset_layer_learns_and_what_is_known_is_not_made_again() {
        let bench = Bench::new();
        let (run, data, parts) = (bench.run(0), bench.dataset(), Memory::default());
        let reset = json!({"layers": ["layer1", "layer3"], "reinit": [0]});
        let patches = bench.stage("patches", &RESET, &reset, &[("run", &run)]).unwrap();
        let inputs = [("run", &run), ("patches", &patches), ("data", &data)];
        assert!(matches!(execute(&parameters(&[0, 9]), &inputs, &parts, true), Err(StageError::Cancelled)));
        let rows = execute(&parameters(&[0, 9]), &inputs, &parts, false).unwrap();
        assert_eq!(execute(&parameters(&[9, 0]), &inputs, &parts, true).unwrap(), rows);
        assert_eq!(execute(&parameters(&[9]), &inputs, &parts, true).unwrap().len(), 5);
        assert!(matches!(execute(&parameters(&[8]), &inputs, &parts, true), Err(StageError::Cancelled)));
        let loss = |layer: &str, step: &str| -> f64 {
            let is_it = |row: &&Vec<String>| row[1] == layer && row[5] == step && row[7] == "loss";
            rows.iter().find(is_it).unwrap()[8].parse().unwrap()
        };
        for layer in ["layer1", "layer3"] {
            assert_ne!(loss(layer, "0"), loss(layer, "9"));
        }
        let mut whole = parameters(&[9]);
        whole["learns"] = json!("network");
        let whole = execute(&whole, &inputs, &parts, false).unwrap();
        assert_ne!(whole[2][8], rows[4][8], "other layers learn too");
    }

    #[test]
    fn senseless_parameters_are_refused() {
        for (field, value, path) in
            [("batch", json!(0), "batch"), ("optimizer", json!({"sgd": {"lr": 0}}), "optimizer.sgd.lr")]
        {
            let mut parameters = parameters(&[1]);
            parameters[field] = value;
            let Err(ParseError::Value(error)) = KIND.parse(&parameters) else { panic!("{parameters}") };
            assert_eq!(error.path, path);
        }
    }
}
