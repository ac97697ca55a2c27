//! `similarity`: what each reset leaves of the final model's representations, layer by layer.
//!
//! The full model's reset to an epoch says how alike the whole network was then; another reset's rows behind its layer say whether what
//! follows makes up for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::data::{self, Examples, Split};
use crate::kinds::{DATASET, PATCHES, PROBES, RUN, evaluate, parameters, rows};
use crate::nn::network::Layer;
use crate::nn::params::Params;
use crate::nn::reset::{self, Patches};
use crate::nn::run::Run;
use crate::nn::similarity::{Likeness, likenesses};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `similarity`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Similarity {
    /// Of which examples.
    split: Split,
    /// How many: the first ones. Time and memory grow with their square.
    #[serde(default = "examples")]
    examples: usize,
}

fn examples() -> usize {
    500
}

impl Stage for Similarity {
    const KIND: &'static str = "similarity";
    const VERSION: u32 = 1;
    const ABOUT: &'static str =
        "compare the layers' outputs under each reset with the final model's, by linear CKA";
    const SLOTS: &'static [Slot] =
        &[Slot::one("run", RUN), Slot::one("patches", PATCHES), Slot::one("data", DATASET)];
    const OUTPUT: ArtifactType = PROBES;
    const NUMERIC: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        let message = "nothing can be compared";
        let few = ParameterError::new("examples", message, "give 2 examples or more; 500 is usual");
        if self.examples < 2 { Err(few) } else { Ok(()) }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let run = Run::open(&inputs.one("run").files).map_err(parameters::run_error)?;
        let patches = Patches::open(&inputs.one("patches").files, &run).map_err(parameters::reset_error)?;
        let examples = data::load(&inputs.one("data").files, self.split)?;
        evaluate::check(&run, &examples)?;
        evaluate::check_count(&examples, self.split, self.examples)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?;
        let similarities = pool.install(|| self.similarities(&run, &patches, &examples, context))?;
        examples.check()?;
        Ok(fsx::write_atomic(&context.out.join("probes.csv"), &self.table(&run, &patches, &similarities)?)?)
    }
}

impl Similarity {
    /// Per patch, per layer.
    fn similarities(
        &self,
        run: &Run,
        patches: &Patches,
        examples: &Examples,
        context: &Context,
    ) -> Result<Vec<Vec<f64>>, StageError> {
        let mut rows = vec![0.0; self.examples * run.network().features()];
        examples.rows(0..self.examples, &mut rows);
        let go_on = || context.check_cancelled().is_ok();
        let likenesses = |params: &Params| {
            let likenesses = likenesses(run.network(), params, &rows, self.examples, &go_on);
            likenesses.ok_or(StageError::Cancelled)
        };
        let host = run.final_params().map_err(parameters::run_error)?;
        let of_host = likenesses(&host)?;
        let (mut results, mut done) = (vec![Vec::new(); patches.patches.len()], 0);
        for (source, indices) in reset::by_source(&patches.patches) {
            let values = source.values(run, patches.rerand_seed).map_err(parameters::run_error)?;
            for index in indices {
                context.progress(done, patches.patches.len() as u64, "resets", "");
                let mut patched = host.clone();
                patches.patches[index].apply(&mut patched, &values);
                let pairs = likenesses(&patched)?;
                results[index] = pairs.iter().zip(&of_host).map(|(a, b): (&Likeness, _)| a.cka(b)).collect();
                done += 1;
            }
        }
        Ok(results)
    }

    fn table(&self, run: &Run, patches: &Patches, similarities: &[Vec<f64>]) -> Result<Vec<u8>, csv::Error> {
        let measurements = |index: usize| {
            let row = |(layer, value): (&Layer, &f64)| {
                vec![
                    layer.name.to_string(),
                    self.split.as_str().to_owned(),
                    "cka".to_owned(),
                    value.to_string(),
                ]
            };
            run.network().layers().iter().zip(&similarities[index]).map(row).collect()
        };
        rows::of_patches(patches, &["at", "split", "metric", "value"], measurements)
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

    static KIND: Kind = Kind::of::<Similarity>();
    static RESET: Kind = Kind::of::<Reset>();

    #[test]
    fn layers_before_a_reset_are_as_they_were() {
        let bench = Bench::new();
        let run = bench.run(0);
        let reset = json!({"layers": ["layer2"], "reinit": [0, 12], "full_model": true});
        let patches = bench.stage("patches", &RESET, &reset, &[("run", &run)]).unwrap();
        let inputs = [("run", &run), ("patches", &patches), ("data", &bench.dataset())];
        let compare = |name: &str, parameters| bench.stage(name, &KIND, &parameters, &inputs);
        let output = compare("similarity", json!({"split": "train", "examples": 300})).unwrap();
        let table = testing::read(&output, "probes.csv");
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows[0].join(","), "model,layer,source,epoch,draw,at,split,metric,value");
        assert_eq!(rows.len(), 1 + 4 * 3);
        for row in &rows[1..] {
            let value: f64 = row[8].parse().unwrap();
            let is_unchanged = row[3] == "12" || row[1] == "layer2" && row[5] == "layer1";
            assert_eq!((value - 1.0).abs() < 1e-12, is_unchanged, "{row:?}");
            assert!((0.0..1.0 + 1e-12).contains(&value), "{row:?}");
        }
        let (message, hint) = complaint(compare("many", json!({"split": "test", "examples": 31})));
        assert_eq!(message, "31 examples are asked for, and the test split has 30");
        assert_eq!(hint, "give 'examples: 30' at most");
        let Err(ParseError::Value(error)) = KIND.parse(&json!({"split": "test", "examples": 1})) else {
            panic!()
        };
        assert_eq!(error.path, "examples");
    }
}
