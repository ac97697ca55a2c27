//! `evaluate`: the error and the loss of a run's final model under each reset.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::data::{self, Examples, Split};
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{DATASET, PATCHES, PROBES, RUN, parameters};
use crate::nn::metric::Metric;
use crate::nn::probe::{ProbeError, Probes};
use crate::nn::reset::Patches;
use crate::nn::run::Run;
use crate::stage::{ArtifactType, Context, Inputs, Slot, Stage, StageError};

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
        let mut results = Vec::new();
        for (index, split) in self.split.iter().enumerate() {
            let examples = data::load(&inputs.one("data").files, *split)?;
            check(&run, &examples)?;
            let count = patches.patches.len();
            let total = (count * self.split.len()) as u64;
            let note =
                |done| context.progress((index * count + done) as u64, total, "probes", split.as_str());
            results.push(self.results(&run, &patches, &examples, context, &note)?);
        }
        Ok(fsx::write_atomic(&context.out.join("probes.csv"), &self.table(&patches, &results)?)?)
    }
}

fn check(run: &Run, examples: &Examples) -> Result<(), StageError> {
    let description = &run.description;
    if (examples.shape, examples.classes) == (description.shape, description.classes) {
        return Ok(());
    }
    let (data, classes) = (examples.shape, examples.classes);
    let error = OtherData { data, classes, run: description.shape, run_classes: description.classes };
    Err(StageError::with_hint(error, format!("connect 'data' to the dataset '{}'", description.dataset)))
}

impl Evaluate {
    /// Per patch, per metric.
    fn results(
        &self,
        run: &Run,
        patches: &Patches,
        examples: &Examples,
        context: &Context,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<f64>>, StageError> {
        let probes = Probes {
            network: run.network(),
            host: &run.final_params().map_err(parameters::run_error)?,
            labels: &examples.labels,
            rows: &|range, out| examples.rows(range, out),
            metrics: &self.metrics.iter().copied().collect::<Vec<_>>(),
            pool: &rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?,
            cancel: context.cancel,
            progress,
        };
        let values = probes.evaluate(&patches.patches, |source| source.values(run, patches.rerand_seed));
        values.map_err(|error| match error {
            ProbeError::Cancelled => StageError::Cancelled,
            ProbeError::Run(error) => parameters::run_error(error),
        })
    }

    /// `results` by split, patch, metric.
    fn table(&self, patches: &Patches, results: &[Vec<Vec<f64>>]) -> Result<Vec<u8>, csv::Error> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["model", "layer", "source", "epoch", "draw", "split", "metric", "value"])?;
        for (index, patch) in patches.patches.iter().enumerate() {
            let [source, epoch, draw] = patch.source.columns();
            let head = [patches.model.as_str(), &patch.layer, &source, &epoch, &draw];
            for (split, results) in self.split.iter().zip(results) {
                for (metric, value) in self.metrics.iter().zip(&results[index]) {
                    let tail = [split.as_str(), metric.as_str(), &value.to_string()];
                    table.write_record(head.iter().chain(&tail))?;
                }
            }
        }
        table.into_inner().map_err(|e| e.into_error().into())
    }
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
