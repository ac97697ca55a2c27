//! `download`: the published files of a dataset, verified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer, ser};

use crate::base::{fsx, suggest};
use crate::data::catalogue::{self, Dataset};
use crate::data::examples::DESCRIPTION;
use crate::data::fetch::{Fetch, FetchError, Patience};
use crate::kinds::DATASET;
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Parameters of `download`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// The word of the catalogue; in a key, the content that it stands for: names and digests, no places.
    #[serde(serialize_with = "content")]
    dataset: String,
}

fn content<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match catalogue::find(name) {
        Some(dataset) => dataset.serialize(serializer),
        None => Err(ser::Error::custom(format!("there is no dataset '{name}'"))),
    }
}

impl Download {
    fn find(&self) -> Result<&'static Dataset, ParameterError> {
        let name = &self.dataset;
        catalogue::find(name).ok_or_else(|| {
            let hint = suggest::hint(name, catalogue::names());
            ParameterError::new("dataset", format!("there is no dataset '{name}'"), hint)
        })
    }
}

impl Stage for Download {
    const KIND: &'static str = "download";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "get the published files of a dataset, and verify them";
    const SLOTS: &'static [Slot] = &[];
    const OUTPUT: ArtifactType = DATASET;
    const LOCAL: bool = true;
    const RESUMES: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        self.find().map(drop)
    }

    fn run(&self, _: &Inputs, context: &Context) -> Result<(), StageError> {
        let dataset = self.find().map_err(|e| StageError::with_hint(e.message, e.hint))?;
        let total = dataset.files.iter().map(|file| file.size).sum();
        let fetch = Fetch {
            dataset: &dataset.name,
            files: &dataset.files,
            sources: &dataset.sources,
            root: context.root,
            local: context.local,
            scratch: context.scratch,
            out: context.out,
            cancel: context.cancel,
            progress: &|done, note| context.progress(done, total, "bytes", note),
            note: &|text| context.note(text),
            patience: Patience::default(),
        };
        fetch.run().map_err(|error| match error.hint() {
            _ if matches!(error, FetchError::Cancelled) => StageError::Cancelled,
            Some(hint) => StageError::with_hint(error, hint),
            None => error.into(),
        })?;
        let description = serde_json::to_vec_pretty(dataset)?;
        Ok(fsx::write_atomic(&context.out.join(DESCRIPTION), &description)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use serde_json::json;

    use super::*;
    use crate::base::cancel::Cancel;
    use crate::base::files::Files;
    use crate::data::{Split, load};
    use crate::stage::parts::Memory;
    use crate::stage::{Kind, ParseError, Report};

    static KIND: Kind = Kind::of::<Download>();

    #[test]
    fn the_key_names_content_not_places() {
        let stage = KIND.parse(&json!({"dataset": "mnist"})).unwrap();
        let parameters = stage.parameters();
        assert_eq!(parameters["dataset"]["files"][3]["size"], 4542);
        assert_eq!(parameters["dataset"]["shape"], json!([1, 28, 28]));
        assert!(!parameters.to_string().contains("http"));
    }

    #[test]
    fn an_unknown_dataset_gets_a_suggestion() {
        let Err(ParseError::Value(error)) = KIND.parse(&json!({"dataset": "mnits"})) else { panic!() };
        assert_eq!(
            error,
            ParameterError::new("dataset", "there is no dataset 'mnits'", "did you mean 'mnist'?")
        );
        assert!(matches!(
            KIND.parse(&json!({"dataset": "mnist", "x": 1})),
            Err(ParseError::Shape { path, .. }) if path == "x"
        ));
    }

    #[test]
    fn the_tracked_files_become_an_artifact_that_loads() {
        let folder = tempfile::tempdir().unwrap();
        let [out, scratch] = ["out", "scratch"].map(|name| folder.path().join(name));
        fsx::create_dir_all(&out).unwrap();
        fsx::create_dir_all(&scratch).unwrap();
        let last = Mutex::new((0, 0));
        let report = |report| {
            if let Report::Progress { done, total, .. } = report {
                *last.lock().unwrap() = (done, total);
            }
        };
        let stop = AtomicBool::new(false);
        let context = Context {
            out: &out,
            scratch: &scratch,
            root: Path::new(env!("CARGO_MANIFEST_DIR")),
            local: None,
            threads: 1,
            cancel: Cancel::new(&stop),
            parts: &Memory::default(),
            log: &scratch.join("log"),
            report: &report,
        };
        let stage = KIND.parse(&json!({"dataset": "mnist"})).unwrap();
        stage.run(&Inputs::default(), &context).unwrap();
        stage.run(&Inputs::default(), &context).unwrap(); // what an interrupted run left is taken
        assert_eq!(*last.lock().unwrap(), (11_594_722, 11_594_722));
        assert_eq!(fsx::list(&scratch).unwrap(), [""; 0]);
        let names = fsx::list(&out).unwrap();
        assert_eq!(names.len(), 5);
        let files = Files(names.into_iter().map(|name| (name.clone(), out.join(name))).collect());
        assert_eq!(load(&files, Split::Test).unwrap().len(), 10_000);
    }
}
