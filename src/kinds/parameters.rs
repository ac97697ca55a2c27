//! Shapes of parameters, and errors of a library as errors of a stage, that several kinds share.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::nn::reset::ResetError;
use crate::nn::run::RunError;
use crate::stage::StageError;

/// The form of what [`one_or_more`] reads.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    /// One alone.
    One(T),
    /// A list.
    More(Vec<T>),
}

/// Reads `x` or `[x, y]`; the order does not matter, and equal values are one.
pub fn one_or_more<'de, T, D>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
where
    T: DeserializeOwned + Ord,
    D: Deserializer<'de>,
{
    let values = any_number(deserializer)?;
    if values.is_empty() { Err(D::Error::custom("expected one at least")) } else { Ok(values) }
}

/// Reads `x`, `[x, y]` or `[]`, likewise.
pub fn any_number<'de, T, D>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
where
    T: DeserializeOwned + Ord,
    D: Deserializer<'de>,
{
    let values = match Value::deserialize(deserializer)? {
        Value::Array(values) => values,
        value => vec![value],
    };
    values.into_iter().map(|value| serde_json::from_value(value).map_err(D::Error::custom)).collect()
}

/// Whether a parameter is at its no-op default, so that a key leaves it out.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Attaches the hint.
pub fn run_error(error: RunError) -> StageError {
    hinted(error.hint().map(str::to_owned), error)
}

/// Attaches the hint.
pub fn reset_error(error: ResetError) -> StageError {
    hinted(error.hint(), error)
}

fn hinted(hint: Option<String>, error: impl std::error::Error + Send + Sync + 'static) -> StageError {
    match hint {
        Some(hint) => StageError::with_hint(error, hint),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_or_more_of_a_word() {
        let read = |value: Value| one_or_more::<u32, _>(value);
        assert_eq!(read(json!(3)).unwrap(), BTreeSet::from([3]));
        assert_eq!(read(json!([3, 1, 3])).unwrap(), BTreeSet::from([1, 3]));
        assert_eq!(any_number::<u32, _>(json!([])).unwrap(), BTreeSet::new());
        assert_eq!(any_number::<u32, _>(json!(3)).unwrap(), BTreeSet::from([3]));
        assert_eq!(read(json!([])).unwrap_err().to_string(), "expected one at least");
        assert!(read(json!([1, "x"])).unwrap_err().to_string().starts_with("invalid type: string \"x\""));
    }
}
