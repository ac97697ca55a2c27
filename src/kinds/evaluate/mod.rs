//! `evaluate`: the error and the loss of a run's final model under each reset.
//!
//! Single results are kept (`cells`): a layer, a draw, an epoch, a metric or a split more costs only the probes that it adds.

pub(super) mod cells;
pub(super) mod names;
mod recalibrated;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, Fields};
use crate::base::fsx;
use crate::data::{self, Examples, Split};
use crate::kinds::evaluate::cells::Cells;
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{DATASET, PATCHES, PROBES, RUN, parameters, rows};
use crate::nn::metric::Metric;
use crate::nn::probe::{ProbeError, Probes};
use crate::nn::reset::{self, Patch, Patches, Source};
use crate::nn::run::{Run, RunError};
use crate::stage::{ArtifactType, Context, Inputs, Slot, Stage, StageError};

/// How many patches are evaluated before their cells are stored: an interruption costs no more, and what the patches share (the
/// host's activations) is computed again for each batch.
const BATCH: usize = 256;

/// Parameters of `evaluate`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// On which examples.
    #[serde(deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<Split>")]
    split: BTreeSet<Split>,
    /// What to measure.
    #[serde(deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<Metric>")]
    metrics: BTreeSet<Metric>,
}

/// The dataset is not what the run's network takes.
#[derive(Debug, thiserror::Error)]
#[error("the examples are {data:?} in {classes} classes, the run's network takes {run:?} in {run_classes}")]
struct OtherData {
    data: [usize; 3],
    classes: usize,
    run: [usize; 3],
    run_classes: usize,
}

impl Stage for Evaluate {
    const KIND: &'static str = "evaluate";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "measure the final model of a run under each reset";
    const SLOTS: &'static [Slot] =
        &[Slot::one("run", RUN), Slot::one("patches", PATCHES), Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = PROBES;
    const NUMERIC: bool = true;

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
        let patches = Patches::open(&inputs.one("patches").files, &run).map_err(parameters::reset_error)?;
        let work = Work::new(run, patches, &self.metrics, inputs, context).map_err(parameters::run_error)?;
        let splits = self.split.iter().map(|split| work.known(*split));
        let mut splits = splits.collect::<Result<Vec<_>, _>>()?;
        if splits.iter().any(|probed| !probed.missing.is_empty()) {
            work.evaluate(&mut splits)?;
        }
        Ok(fsx::write_atomic(&context.out.join("probes.csv"), &work.table(&splits)?)?)
    }
}

/// Refuses examples that the run's network does not take.
pub(super) fn check(run: &Run, examples: &Examples) -> Result<(), StageError> {
    let description = &run.description;
    if (examples.shape, examples.classes) == (description.shape, description.classes) {
        return Ok(());
    }
    let (data, classes) = (examples.shape, examples.classes);
    let error = OtherData { data, classes, run: description.shape, run_classes: description.classes };
    let hint = match &description.dataset {
        Some(dataset) => format!("connect 'data' to the dataset '{dataset}'"),
        None => {
            "connect 'data' to examples of the 'shape' and 'classes' that were given to 'import'".to_owned()
        }
    };
    Err(StageError::with_hint(error, hint))
}

/// A split has fewer examples than are asked for.
#[derive(Debug, thiserror::Error)]
#[error("{wanted} examples are asked for, and the {} split has {present}", split.as_str())]
struct TooFewExamples {
    wanted: usize,
    split: Split,
    present: usize,
}

/// Refuses to take more examples than there are; the parameter is called `examples`.
pub(super) fn check_count(examples: &Examples, split: Split, wanted: usize) -> Result<(), StageError> {
    let present = examples.len();
    if wanted <= present {
        return Ok(());
    }
    let (error, hint) =
        (TooFewExamples { wanted, split, present }, format!("give 'examples: {present}' at most"));
    Err(StageError::of_parameter(error, hint, "examples", None))
}

/// One metric on one split, patch by patch.
pub(super) fn measure(
    patches: Patches,
    metric: Metric,
    split: Split,
    inputs: &Inputs,
    context: &Context,
) -> Result<Vec<f64>, StageError> {
    let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
    let work = Work::new(run, patches, &[metric].into(), inputs, context).map_err(parameters::run_error)?;
    let mut probed = [work.known(split)?];
    work.evaluate(&mut probed)?;
    let [Probed { cells, .. }] = &probed;
    let value = |names: &BTreeMap<Metric, Digest>| {
        cells.get(names[&metric]).expect("what was missing has been evaluated")
    };
    Ok(work.names.iter().map(value).collect())
}

/// What an execution works with.
struct Work<'a> {
    run: Run,
    patches: Patches,
    /// Of the cells on one split: per patch, per metric.
    names: Vec<BTreeMap<Metric, Digest>>,
    inputs: &'a Inputs,
    context: &'a Context<'a>,
}

/// The probes on one split.
struct Probed<'a> {
    split: Split,
    cells: Cells<'a>,
    /// Indices of the patches that lack a cell; those of one source are neighbours.
    missing: Vec<usize>,
    /// Metrics that any of them lacks.
    metrics: Vec<Metric>,
}

impl<'a> Work<'a> {
    fn new(
        run: Run,
        patches: Patches,
        metrics: &BTreeSet<Metric>,
        inputs: &'a Inputs,
        context: &'a Context,
    ) -> Result<Self, RunError> {
        let mut work = Self { run, patches, names: Vec::new(), inputs, context };
        work.names = work.names(metrics)?;
        Ok(work)
    }

    /// What each cell is called.
    fn names(&self, metrics: &BTreeSet<Metric>) -> Result<Vec<BTreeMap<Metric, Digest>>, RunError> {
        let name = |patch: &Patch| {
            let patch = names::patch(patch, &self.patches, &self.run, self.inputs)?;
            Ok(metrics.iter().map(|metric| (*metric, measured(patch, *metric))).collect())
        };
        self.patches.patches.iter().map(name).collect()
    }

    /// Where the cells on a split are: those of one host, measured on one set of examples.
    fn key(&self, split: Split) -> Result<Digest, RunError> {
        let mut fields = Fields::new("layerwise probes v1");
        fields.add("version", &Evaluate::VERSION.to_le_bytes());
        names::host(&mut fields, &self.run, self.inputs)?;
        fields.add("split", split.as_str().as_bytes());
        Ok(fields.finish())
    }

    /// What is known on a split, and what is not.
    fn known(&self, split: Split) -> Result<Probed<'a>, StageError> {
        let cells = Cells::open(self.context.parts, self.key(split).map_err(parameters::run_error)?)?;
        let (mut missing, mut metrics) = (Vec::new(), BTreeSet::new());
        for index in reset::by_source(&self.patches.patches).into_values().flatten() {
            let lacked = self.names[index].iter().filter(|(_, name)| cells.get(**name).is_none());
            let lacked: Vec<_> = lacked.map(|(metric, _)| *metric).collect();
            if !lacked.is_empty() {
                missing.push(index);
                metrics.extend(lacked);
            }
        }
        Ok(Probed { split, cells, missing, metrics: metrics.into_iter().collect() })
    }

    /// Makes what is missing, batch by batch.
    fn evaluate(&self, splits: &mut [Probed]) -> Result<(), StageError> {
        let total: usize = splits.iter().map(|probed| probed.missing.len()).sum();
        let host = self.run.final_params().map_err(parameters::run_error)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.context.threads).build()?;
        let mut done = 0;
        for Probed { split, cells, missing, metrics } in splits.iter_mut().filter(|p| !p.missing.is_empty()) {
            let examples = data::load(&self.inputs.one("data").files, *split)?;
            check(&self.run, &examples)?;
            for batch in missing.chunks(BATCH) {
                let progress = |now: usize| {
                    self.context.progress((done + now) as u64, total as u64, "probes", split.as_str());
                };
                let probes = Probes {
                    network: self.run.network(),
                    host: &host,
                    labels: &examples.labels,
                    rows: &|range, out| examples.rows(range, out),
                    metrics,
                    pool: &pool,
                    cancel: self.context.cancel,
                    progress: &progress,
                };
                let probed = self.batch(&probes, batch)?;
                examples.check()?;
                cells.add(&probed)?;
                done += batch.len();
            }
        }
        Ok(())
    }

    /// The cells of these patches.
    fn batch(&self, probes: &Probes, batch: &[usize]) -> Result<Vec<(Digest, f64)>, StageError> {
        let patches: Vec<_> = batch.iter().map(|index| self.patches.patches[*index].clone()).collect();
        let values = |source: Source| source.values(&self.run, self.patches.rerand_seed);
        let values = match self.patches.recalibrate {
            0 => probes.evaluate(&patches, values),
            batches => {
                let train = data::load(&self.inputs.one("data").files, Split::Train)?;
                let values = recalibrated::evaluate(probes, &patches, values, &train, batches);
                train.check()?;
                values
            }
        };
        let values = values.map_err(|error| match error {
            ProbeError::Cancelled => StageError::Cancelled,
            ProbeError::Run(error) => parameters::run_error(error),
        })?;
        let mut cells = Vec::new();
        for (index, values) in batch.iter().zip(values) {
            let names = probes.metrics.iter().map(|metric| self.names[*index][metric]);
            cells.extend(names.zip(values));
        }
        Ok(cells)
    }

    /// All cells by patch, split, metric.
    fn table(&self, splits: &[Probed]) -> Result<Vec<u8>, csv::Error> {
        let measurements = |index: usize| {
            let row = |(Probed { split, cells, .. }, (metric, name)): (&Probed, (&Metric, &Digest))| {
                let value = cells.get(*name).expect("what was missing has been evaluated");
                vec![split.as_str().to_owned(), metric.as_str().to_owned(), value.to_string()]
            };
            let names = &self.names[index];
            splits.iter().flat_map(|probed| names.iter().map(move |cell| row((probed, cell)))).collect()
        };
        rows::of_patches(&self.patches, &["split", "metric", "value"], measurements)
    }
}

fn measured(patch: Digest, metric: Metric) -> Digest {
    let mut fields = Fields::new("layerwise cell v1");
    fields.add("patch", patch.bytes());
    fields.add("metric", metric.as_str().as_bytes());
    fields.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::kinds::reset::Reset;
    use crate::kinds::testing;
    use crate::stage::{Kind, ParseError};

    static KIND: Kind = Kind::of::<Evaluate>();
    static RESET: Kind = Kind::of::<Reset>();

    #[test]
    fn rows_are_in_order_and_complete() {
        let bench = Bench::new();
        let run = bench.run(0);
        let reset = json!({"layers": [["layer1", "layer3"]], "reinit": [0, 12], "rerand": {"draws": 1}, "full_model": true});
        let patches = bench.stage("patches", &RESET, &reset, &[("run", &run)]).unwrap();
        let inputs = [("run", &run), ("patches", &patches), ("data", &bench.dataset())];
        let parameters = json!({"split": ["test", "train"], "metrics": ["loss", "error"]});
        let table = testing::read(&bench.stage("probes", &KIND, &parameters, &inputs).unwrap(), "probes.csv");
        let mut lines = table.lines();
        assert_eq!(lines.next(), Some("model,layer,source,epoch,draw,split,metric,value"));
        let (mut heads, mut finals) = (Vec::new(), Vec::new());
        for line in lines {
            let (head, value) = line.rsplit_once(',').unwrap();
            let value: f64 = value.parse().unwrap();
            let is_error = head.ends_with("error");
            assert!(if is_error { (0.0..=1.0).contains(&value) } else { value > 0.0 }, "{line}");
            if head.contains("reinit,12,") {
                finals.push(value);
            }
            heads.push(head);
        }
        assert_eq!(heads.len(), 2 * 3 * 4);
        assert_eq!(heads[0], "fcn2x8,layer1+layer3,rerand,,0,train,error");
        assert_eq!(heads[7], "fcn2x8,layer1+layer3,reinit,0,,test,loss");
        assert_eq!(heads[23], "fcn2x8,fullmodel,reinit,12,,test,loss");
        assert_eq!(finals[..4], finals[4..], "a reset to the final checkpoint resets nothing");
    }

    /// The ends of a path are the reset and the full model; a model agrees with itself.
    #[test]
    fn a_path_has_a_column_and_two_known_ends() {
        let bench = Bench::new();
        let run = bench.run(0);
        let reset = json!({"layers": ["layer1"], "reinit": [0, 12], "path": {"alphas": [1, 0.5, 0]}, "matched": {"draws": 1}});
        let patches = bench.stage("patches", &RESET, &reset, &[("run", &run)]).unwrap();
        let inputs = [("run", &run), ("patches", &patches), ("data", &bench.dataset())];
        let metrics = ["loss", "disagreement", "prediction_distance"];
        let parameters = json!({"split": "test", "metrics": metrics});
        let table = testing::read(&bench.stage("probes", &KIND, &parameters, &inputs).unwrap(), "probes.csv");
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows[0].join(","), "model,layer,source,epoch,alpha,draw,split,metric,value");
        assert_eq!(rows.len(), 1 + 6 * 3);
        let value = |source: &str, epoch: &str, alpha: &str, metric: &str| -> f64 {
            let is_it = |row: &&Vec<&str>| row[2..5] == [source, epoch, alpha] && row[7] == metric;
            rows.iter().find(is_it).unwrap()[8].parse().unwrap()
        };
        for metric in metrics {
            assert_eq!(value("path", "0", "0", metric), value("reinit", "0", "", metric));
            assert_eq!(value("path", "0", "1", metric), value("reinit", "12", "", metric));
        }
        assert!(
            value("path", "0", "0.5", "prediction_distance") < value("path", "0", "0", "prediction_distance")
        );
        assert_eq!(value("reinit", "12", "", "disagreement"), 0.0);
        assert!(value("matched", "", "", "prediction_distance") > 0.0);
    }

    #[test]
    fn inputs_that_do_not_belong_together_are_refused() {
        let bench = Bench::new();
        let (run, other) = (bench.run(0), bench.run(1));
        let reset = json!({"layers": "each", "reinit": [0]});
        let patches = bench.stage("patches", &RESET, &reset, &[("run", &run)]).unwrap();
        let inputs = [("run", &other), ("patches", &patches), ("data", &bench.dataset())];
        let parameters = json!({"split": "test", "metrics": "error"});
        let (message, hint) = complaint(bench.stage("probes", &KIND, &parameters, &inputs));
        assert_eq!(message, "the resets are of 'fcn2x8' with seed 0, the run is of 'fcn2x8' with seed 1");
        assert_eq!(hint, "connect both slots to stages of the same run");
    }

    #[test]
    fn an_unknown_metric_is_refused() {
        let Err(ParseError::Shape { path, message }) =
            KIND.parse(&json!({"split": "test", "metrics": ["accuracy"]}))
        else {
            panic!()
        };
        assert_eq!((path.as_str(), &message[..26]), ("metrics", "unknown variant `accuracy`"));
        let stage = KIND.parse(&json!({"split": "test", "metrics": ["error"]})).unwrap();
        assert_eq!(stage.parameters(), json!({"split": ["test"], "metrics": ["error"]}));
    }
}
