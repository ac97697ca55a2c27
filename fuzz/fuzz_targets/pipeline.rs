//! Any bytes as a pipeline: no panic, and every mistake stands in a text that there is.
//!
//! The input is one text, or several with a zero byte between: the first is the pipeline, `use: 1.yaml` means the second.

#![no_main]

use std::io;
use std::path::Path;

use layerwise::base::digest::Digest;
use layerwise::base::fsx::FileError;
use layerwise::kinds::KINDS;
use layerwise::pipeline::{self, Keyed, SpecErrors, Surroundings};
use layerwise::stage::Registry;
use libfuzzer_sys::fuzz_target;

fn absent(path: &Path) -> FileError {
    FileError::new("read", path, io::Error::from(io::ErrorKind::NotFound))
}

fn load(texts: &[&str]) -> Result<Keyed, SpecErrors> {
    let read = |path: &Path| {
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok());
        let text = number.filter(|number| *number > 0).and_then(|number| texts.get(number));
        text.map(|text| (*text).to_owned()).ok_or_else(|| absent(path))
    };
    let digest = |path: &str| match path.contains("absent") {
        true => Err(absent(Path::new(path))),
        false => Ok(Digest::of(path.as_bytes())),
    };
    let surroundings =
        Surroundings { registry: Registry(KINDS), numerics: "cpu-f32-fuzz-1", digest: &digest, read: &read };
    pipeline::load("p.yaml", texts[0], &pipeline::Variation::default(), &surroundings)
}

fuzz_target!(|text: &str| {
    let texts: Vec<&str> = text.split('\0').collect();
    match load(&texts) {
        Ok(keyed) => {
            let again = load(&texts).expect("what was read once is read twice");
            let keys = |keyed: &Keyed| keyed.nodes.iter().map(|node| node.key).collect::<Vec<_>>();
            assert_eq!(keys(&keyed), keys(&again));
            for (place, node) in keyed.nodes.iter().enumerate() {
                assert!(node.inputs.iter().all(|input| *input < place), "an input comes before its user");
                assert!(node.twin <= place && keyed.nodes[node.twin].key == node.key);
            }
        }
        Err(SpecErrors { files, errors }) => {
            assert!(!errors.is_empty());
            for error in errors {
                let source = &files[error.file];
                if let Some(span) = error.span {
                    assert!(source.text.get(span.clone()).is_some(), "{span:?}: {}", error.message);
                    assert!(source.line_column(span.start) >= (1, 1));
                }
            }
        }
    }
});
