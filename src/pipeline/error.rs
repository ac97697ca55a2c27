//! What is wrong with a pipeline file, and where.

use std::ops::Range;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// A few words at the caret.
    pub label: String,
    /// The offending bytes of the file.
    pub span: Option<Range<usize>>,
    /// What to do: begins with a verb.
    pub hint: Option<String>,
}

impl SpecError {
    /// A mistake at a place.
    pub fn at(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), label: label.into(), span: Some(span), hint: None }
    }

    /// A mistake that has no place in the file, as in `--set`.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), label: String::new(), span: None, hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// All mistakes of one file, in the order of their places; never empty.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} mistakes in {name}", errors.len())]
pub struct SpecErrors {
    /// What the file is called.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The mistakes.
    pub errors: Vec<SpecError>,
}
