//! What is wrong with a pipeline, and in which file and place.

use std::ops::Range;

use crate::base::place::Place;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// A few words at the caret.
    pub label: String,
    /// Which of the pipeline's files: 0 is the one that was named, the others are those that it uses.
    pub file: usize,
    /// The offending bytes of that file.
    pub span: Option<Range<usize>>,
    /// What to do: begins with a verb.
    pub hint: Option<String>,
}

impl SpecError {
    /// A mistake at a place of the first file.
    pub fn at(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), label: label.into(), file: 0, span: Some(span), hint: None }
    }

    /// A mistake that has no place in a file, as in `--set`.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), label: String::new(), file: 0, span: None, hint: None }
    }

    /// Says that it stands in another file.
    #[must_use]
    pub fn in_file(mut self, file: usize) -> Self {
        self.file = file;
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A file of a pipeline, for quoting.
#[derive(Debug, Clone)]
pub struct SourceText {
    /// What the file is called.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl SourceText {
    /// Line and column of a byte, from 1; columns count characters.
    pub fn line_column(&self, at: usize) -> (usize, usize) {
        line_column(&self.text, at)
    }
}

/// Line and column of a byte, from 1; columns count characters.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let place = Place::of(text, at, 1);
    (place.line, place.column)
}

/// All mistakes of a pipeline, in the order of its files and of their places; never empty.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} mistakes in {}", errors.len(), files[0].name)]
pub struct SpecErrors {
    /// The files: the one that was named, then those that it uses.
    pub files: Vec<SourceText>,
    /// The mistakes.
    pub errors: Vec<SpecError>,
}
