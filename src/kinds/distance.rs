//! `distance`: how far each reset moves its layers from a reference checkpoint.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{DISTANCES, PATCHES, RUN, parameters, rows};
use crate::nn::distance::{self, Distance};
use crate::nn::reset::{self, FULL_MODEL, Patches};
use crate::nn::run::Run;
use crate::stage::{ArtifactType, Context, Inputs, Slot, Stage, StageError};

/// Parameters of `distance`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distances {
    /// Which distances.
    #[serde(deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<Distance>")]
    metrics: BTreeSet<Distance>,
    /// Epoch of the reference checkpoint: the initialisation, as in the study, unless told otherwise.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    from: u32,
}

impl Stage for Distances {
    const KIND: &'static str = "distance";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "measure how far each reset moves its layers from a checkpoint";
    const SLOTS: &'static [Slot] = &[Slot::one("run", RUN), Slot::one("patches", PATCHES)];
    const OUTPUT: ArtifactType = DISTANCES;

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
        let mut patches =
            Patches::open(&inputs.one("patches").files, &run).map_err(parameters::reset_error)?;
        patches.patches.retain(|patch| patch.layer != FULL_MODEL); // the study has no such row
        let results = self.results(&run, &patches, context)?;
        Ok(fsx::write_atomic(&context.out.join("distances.csv"), &self.table(&patches, &results)?)?)
    }
}

impl Distances {
    /// Per patch, per metric.
    fn results(&self, run: &Run, patches: &Patches, context: &Context) -> Result<Vec<Vec<f64>>, StageError> {
        let metrics: Vec<_> = self.metrics.iter().copied().collect();
        let reference = run.params(self.from).map_err(parameters::run_error)?;
        let mut results = vec![Vec::new(); patches.patches.len()];
        for (source, indices) in reset::by_source(&patches.patches) {
            context.check_cancelled()?;
            let values = source.values(run, patches.rerand_seed).map_err(parameters::run_error)?;
            for index in indices {
                results[index] = distance::distances(&patches.patches[index], &values, &reference, &metrics);
            }
        }
        Ok(results)
    }

    fn table(&self, patches: &Patches, results: &[Vec<f64>]) -> Result<Vec<u8>, csv::Error> {
        let row = |(metric, value): (&Distance, &f64)| vec![metric.as_str().to_owned(), value.to_string()];
        let measurements = |index: usize| self.metrics.iter().zip(&results[index]).map(row).collect();
        rows::of_patches(patches, &["metric", "value"], measurements)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::kinds::reset::Reset;
    use crate::kinds::testing;
    use crate::stage::{Artifact, Kind};

    static KIND: Kind = Kind::of::<Distances>();
    static RESET: Kind = Kind::of::<Reset>();

    fn patches(bench: &Bench, run: &Artifact) -> Artifact {
        let parameters =
            json!({"layers": "each", "reinit": [0, 3], "rerand": {"draws": 1}, "full_model": true});
        bench.stage("patches", &RESET, &parameters, &[("run", run)]).unwrap()
    }

    #[test]
    fn distances_are_from_the_initialisation_unless_told_otherwise() {
        let bench = Bench::new();
        let run = bench.run(0);
        let inputs = [("run", &run), ("patches", &patches(&bench, &run))];
        let table = |name, parameters| {
            testing::read(&bench.stage(name, &KIND, &parameters, &inputs).unwrap(), "distances.csv")
        };
        let from_0 = table("from0", json!({"metrics": ["linf", "rms"]}));
        let lines: Vec<_> = from_0.lines().collect();
        assert_eq!(lines.len(), 1 + 3 * 3 * 2, "no row for the full model");
        assert_eq!(lines[0], "model,layer,source,epoch,draw,metric,value");
        assert!(lines[1].starts_with("fcn2x8,layer1,rerand,,0,rms,0."), "{}", lines[1]);
        assert_eq!(lines[3], "fcn2x8,layer1,reinit,0,,rms,0");
        assert!(lines[6].starts_with("fcn2x8,layer1,reinit,3,,linf,0."), "{}", lines[6]);
        let from_3 = table("from3", json!({"metrics": ["rms"], "from": 3}));
        assert_eq!(from_3.lines().nth(3), Some("fcn2x8,layer1,reinit,3,,rms,0"));
        let (message, _) =
            complaint(bench.stage("none", &KIND, &json!({"metrics": "l2", "from": 2}), &inputs));
        assert_eq!(message, "the run has no checkpoint of epoch 2, only of 0, 1, 3, 4, 12");
    }

    #[test]
    fn the_default_reference_leaves_the_key_alone() {
        let stage = KIND.parse(&json!({"metrics": "paper_l2", "from": 0})).unwrap();
        assert_eq!(stage.parameters(), json!({"metrics": ["paper_l2"]}));
    }
}
