//! Well-formed YAML in which every value can be traced to its place.

use serde_json::Value;

use crate::pipeline::error::SpecError;
use crate::pipeline::spans::{self, Spanned};

/// A parsed file: the values, and where each stands.
#[derive(Debug)]
pub struct Document {
    /// What errors call the file.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its values, in the form in which parameters are typed, hashed and recorded.
    pub value: Value,
    /// Where they stand.
    pub spans: Spanned,
}

impl Document {
    /// Parses a text.
    pub fn parse(name: &str, text: &str) -> Result<Self, SpecError> {
        let (spans, value) = spans::read(text)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), value, spans })
    }
}

/// Appends a step to a path.
pub fn join(path: &str, step: &str) -> String {
    match (path, step) {
        ("", _) => step.to_owned(),
        (_, "") => path.to_owned(),
        (_, step) if step.starts_with('[') => format!("{path}{step}"),
        _ => format!("{path}.{step}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types() {
        let document = Document::parse("x", "a: 1\nb: 1e-1\nc: no\nd: [x, true]\ne: -3\n'3': 4").unwrap();
        assert_eq!(
            document.value,
            serde_json::json!({"a": 1, "b": 0.1, "c": "no", "d": ["x", true], "e": -3, "3": 4})
        );
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for (text, what) in [
            ("a: .nan", "finite"),
            ("a: [-.INF]", "finite"),
            ("a: 1e999", "finite"),
            ("a: { 3: x }", "not text"),
            ("true: x", "not text"),
        ] {
            let error = Document::parse("x", text).unwrap_err();
            assert!(error.message.contains(what), "{}", error.message);
        }
    }
}
