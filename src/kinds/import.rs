//! `import`: a network that was trained elsewhere, as a run: its weights are the final checkpoint, and all that is done with a trained run
//! can be done with it.
//!
//! The content of the files is in the key. A run counts its epochs, which are not known here: the final checkpoint is that of epoch 1, the
//! initial values are those of epoch 0 where they are given. Without them, layers can only be re-randomized: from the initial distributions
//! of our model, by the draws of a run of seed 0. Deliberately not here: learning curves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::kinds::{RUN, parameters};
use crate::nn::import::{self, Names};
use crate::nn::problem::Problem;
use crate::nn::run::{self, Description};
use crate::nn::zoo::Arch;
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// The epoch that the final checkpoint counts as.
const FINAL: u32 = 1;

/// Parameters of `import`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The weights: a safetensors file of the project, or an absolute path.
    file: String,
    /// The weights before training, likewise, if they are known.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    init: Option<String>,
    /// Architecture.
    model: Arch,
    /// Channels, height and width of an example.
    shape: [usize; 3],
    /// Number of classes.
    classes: usize,
    /// Whose names the tensors have in the files: `own`, as in our checkpoints, `torchvision` or `timm`.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    names: Names,
}

impl Import {
    /// The files, with the epochs that they count as.
    fn files(&self) -> impl Iterator<Item = (u32, &str)> {
        let init = self.init.iter().map(|file| (0, file.as_str()));
        init.chain([(FINAL, self.file.as_str())])
    }
}

impl Stage for Import {
    const KIND: &'static str = "import";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "take the weights of a network that was trained elsewhere";
    const SLOTS: &'static [Slot] = &[];
    const OUTPUT: ArtifactType = RUN;
    const LOCAL: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        let at = |path: &str, message: &str, hint| Err(ParameterError::new(path, message, hint));
        if self.shape.contains(&0) {
            return at("shape", "the examples are empty", "give channels, height and width");
        }
        if self.classes == 0 {
            return at("classes", "there is no class", "give 1 or more");
        }
        let problem = self.model.problem().or_else(|| self.model.misfit(self.shape));
        if let Some(Problem { path, message, hint }) = problem {
            return at(&format!("model.{path}"), message, hint);
        }
        if self.model.prefixes(self.names).is_none() {
            let (names, model) = (self.names.as_str(), self.model.name());
            let message = format!("{names} has no network like '{model}'");
            return at("names", &message, "rename the tensors as ours, and leave 'names' out");
        }
        Ok(())
    }

    fn sources(&self) -> Vec<String> {
        self.files().map(|(_, file)| file.to_owned()).collect()
    }

    fn run(&self, _: &Inputs, context: &Context) -> Result<(), StageError> {
        let network = self.model.network(self.shape, self.classes);
        let prefixes = self.model.prefixes(self.names).expect("the names were checked");
        for (epoch, file) in self.files() {
            context.check_cancelled()?;
            let bytes = fsx::read(&context.root.join(file))?;
            let params = import::params(&network, &prefixes, &bytes)
                .map_err(|error| StageError::with_hint(format!("'{file}' {error}"), error.hint()))?;
            run::write_checkpoint(context.out, epoch, &params)?;
        }
        let description = Description {
            version: run::VERSION,
            arch: self.model.clone(),
            seed: 0,
            shape: self.shape,
            classes: self.classes,
            dataset: None,
            epochs: FINAL,
            checkpoints: self.files().map(|(epoch, _)| epoch).collect(),
        };
        Ok(run::write_description(context.out, &description)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::stage::{Kind, ParseError};

    static KIND: Kind = Kind::of::<Import>();

    fn parameters() -> Value {
        json!({"file": "net.safetensors", "model": {"resnet_v1": {"depth": 18}}, "shape": [3, 32, 32],
            "classes": 10, "names": "torchvision"})
    }

    #[test]
    fn its_files_are_those_of_the_project_that_it_names() {
        let mut parameters = parameters();
        assert_eq!(KIND.parse(&parameters).unwrap().sources(), ["net.safetensors"]);
        parameters["init"] = json!("init.safetensors");
        assert_eq!(KIND.parse(&parameters).unwrap().sources(), ["init.safetensors", "net.safetensors"]);
    }

    #[test]
    fn defaults_are_not_in_the_key() {
        let mut plain = parameters();
        plain["names"] = json!("own");
        plain["init"] = json!(null);
        plain["model"]["resnet_v1"]["stem"] = json!("imagenet");
        let written = KIND.parse(&plain).unwrap().parameters();
        let kept = json!({"file": "net.safetensors", "model": {"resnet_v1": {"depth": 18}}, "shape": [3, 32, 32],
            "classes": 10});
        assert_eq!(written, kept);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let refused = |change: fn(&mut Value)| {
            let mut parameters = parameters();
            change(&mut parameters);
            match KIND.parse(&parameters) {
                Err(ParseError::Value(error)) => error.path,
                Err(ParseError::Shape { path, .. }) => format!("{path}?"),
                Ok(_) => "none".to_owned(),
            }
        };
        assert_eq!(refused(|_| ()), "none");
        assert_eq!(refused(|p| p["file"] = json!(3)), "file?");
        assert_eq!(refused(|p| p["shape"] = json!([3, 0, 32])), "shape");
        assert_eq!(refused(|p| p["shape"] = json!([32, 32])), "shape?");
        assert_eq!(refused(|p| p["classes"] = json!(0)), "classes");
        assert_eq!(refused(|p| p["model"]["resnet_v1"]["depth"] = json!(20)), "model.resnet_v1.depth");
        assert_eq!(refused(|p| p["names"] = json!("keras")), "names?");
        assert_eq!(refused(|p| p["model"] = json!({"resnet": {"depth": 18}})), "names");
        assert_eq!(refused(|p| p["model"] = json!({"vit": {"depth": 1, "width": 2, "heads": 1}})), "names");
        assert_eq!(
            refused(|p| {
                p["model"] = json!({"vgg": {"depth": 11}});
                p["shape"] = json!([3, 28, 28]);
            }),
            "model.vgg"
        );
    }
}
