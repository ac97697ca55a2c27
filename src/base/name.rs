//! Validated names.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Returns why `text` cannot be a name of a stage, slot or axis; `None` if it can.
///
/// A name is a letter followed by letters, digits, `-` and `_`: safe as a file name and in `$name`.
pub fn problem(text: &str) -> Option<&'static str> {
    let mut characters = text.chars();
    match characters.next() {
        None => Some("it is empty"),
        Some(first) if !first.is_ascii_alphabetic() => Some("it does not begin with a letter"),
        Some(_) if !characters.all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') => {
            Some("it has a character other than letters, digits, '-' and '_'")
        }
        Some(_) => None,
    }
}

/// The longest name that file systems take, in bytes.
const LONGEST: usize = 255;

/// Whether a path stays below the folder that it is relative to, on every system.
pub fn is_safe_path(path: &str) -> bool {
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= LONGEST
            && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    path.split('/').all(is_name)
}

macro_rules! name_type {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl $name {
            /// Wraps a text that has been checked, or that this program wrote.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}

name_type! {
    /// Name of a stage, as written in the pipeline file.
    StageName,
    /// Name of an axis of a matrix.
    AxisName,
    /// Name of a layer: the unit of reset, and the prefix of its tensors' names.
    LayerName,
}
