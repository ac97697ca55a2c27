//! The files of a pipeline: the one that was named, and those that it uses (`use: other.yaml`, or a list).
//!
//! Stages, parameters and axes of all files are one pipeline, as if they stood in one file. A path is relative to the file that
//! names it; a file that is used twice is read once; a circle is refused. Nothing is read here but through a callback.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::base::fsx::FileError;
use crate::pipeline::document::Document;
use crate::pipeline::error::{SourceText, SpecError, SpecErrors};

/// Gives the text of a used file.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<String, FileError>;

/// The parsed files.
pub struct Files {
    /// The file that was named, then those that it uses, each before those that it uses itself.
    pub documents: Vec<Document>,
    /// What is wrong with files that are not among them: what they declare is unknown.
    pub missing: Vec<SpecError>,
    /// Files that are not YAML, for quoting: their numbers follow those of `documents`.
    broken: Vec<SourceText>,
}

impl Files {
    /// Parses a text and the files that it uses.
    pub fn read(name: &str, text: &str, read: ReadFile<'_>) -> Result<Self, SpecErrors> {
        let document = Document::parse(name, text).map_err(|error| SpecErrors {
            files: vec![SourceText { name: name.to_owned(), text: text.to_owned() }],
            errors: vec![error],
        })?;
        let mut files = Self { documents: vec![document], missing: Vec::new(), broken: Vec::new() };
        let mut broken = Vec::new();
        files.follow(0, &mut vec![0], read, &mut broken);
        for (mut error, source) in broken {
            error.file = files.documents.len() + files.broken.len();
            files.missing.push(error);
            files.broken.push(source);
        }
        Ok(files)
    }

    /// The place of a value; see [`Spanned::locate`](crate::pipeline::spans::Spanned::locate).
    pub fn locate(&self, file: usize, path: &str) -> std::ops::Range<usize> {
        self.documents[file].spans.locate(path)
    }

    /// The place of a key.
    pub fn locate_key(&self, file: usize, path: &str) -> std::ops::Range<usize> {
        self.documents[file].spans.locate_key(path)
    }

    /// The file in which a stage stands.
    pub fn file_of(&self, stage: &str) -> usize {
        let has =
            |document: &Document| document.value.get("stages").is_some_and(|all| all.get(stage).is_some());
        self.documents.iter().position(has).unwrap_or_default()
    }

    /// A mistake at the place of a value.
    pub fn error(&self, file: usize, path: &str, message: impl Into<String>, label: &str) -> SpecError {
        SpecError::at(self.locate(file, path), message, label).in_file(file)
    }

    /// `other.yaml:3:5`, of the key that a path ends with.
    pub fn place(&self, file: usize, path: &str) -> String {
        let document = &self.documents[file];
        let (line, column) =
            crate::pipeline::error::line_column(&document.text, self.locate_key(file, path).start);
        format!("{}:{line}:{column}", document.name)
    }

    /// Adds the texts to mistakes found in them, in the order of their places.
    pub fn blame(self, mut errors: Vec<SpecError>) -> SpecErrors {
        errors.sort_by_key(|error| (error.file, error.span.as_ref().map(|span| span.start)));
        let sources = self.documents.into_iter().map(|d| SourceText { name: d.name, text: d.text });
        SpecErrors { files: sources.chain(self.broken).collect(), errors }
    }

    /// Reads what a file uses; `trail` holds the files from the first to this one.
    fn follow(
        &mut self,
        file: usize,
        trail: &mut Vec<usize>,
        read: ReadFile<'_>,
        broken: &mut Vec<(SpecError, SourceText)>,
    ) {
        for (path, used) in uses(&self.documents[file].value) {
            let folder = Path::new(&self.documents[file].name).parent().unwrap_or(Path::new(""));
            let used = tidy(&folder.join(used));
            let name = used.to_string_lossy().into_owned();
            if let Some(known) = self.documents.iter().position(|d| tidy(Path::new(&d.name)) == used) {
                if let Some(start) = trail.iter().position(|open| *open == known) {
                    let circle = trail[start..].iter().chain([&known]);
                    let names: Vec<&str> = circle.map(|file| self.documents[*file].name.as_str()).collect();
                    let message = format!("files use each other in a circle: {}", names.join(" → "));
                    let error = self.error(file, &path, message, "the circle closes here");
                    self.missing
                        .push(error.hint("remove this use, or move what both need into a third file"));
                }
                continue;
            }
            if broken.iter().any(|(_, source)| source.name == name) {
                continue;
            }
            let text = match read(&used) {
                Ok(text) => text,
                Err(error) => {
                    let error = self.error(file, &path, error.to_string(), "used here");
                    let hint = "correct the path; it is relative to the file that names it";
                    self.missing.push(error.hint(hint));
                    continue;
                }
            };
            match Document::parse(&name, &text) {
                Ok(document) => {
                    self.documents.push(document);
                    let next = self.documents.len() - 1;
                    trail.push(next);
                    self.follow(next, trail, read, broken);
                    trail.pop();
                }
                Err(error) => broken.push((error, SourceText { name, text })),
            }
        }
    }
}

/// The paths under `use`, and where each stands. Other values are refused with the other keys of the file.
fn uses(value: &Value) -> Vec<(String, String)> {
    match value.get("use") {
        Some(Value::String(path)) => vec![("use".to_owned(), path.clone())],
        Some(Value::Array(paths)) => {
            let texts = paths.iter().enumerate().filter_map(|(i, path)| Some((i, path.as_str()?)));
            texts.map(|(i, path)| (format!("use[{i}]"), path.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// The same path without `.` and, where that is possible without a look at the disk, without `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidy.components().next_back(), Some(Component::Normal(_))) => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}
