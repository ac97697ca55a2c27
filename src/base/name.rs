//! Validated names.

use std::collections::BTreeSet;
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

/// A path that is the folder of another one.
pub fn clash<'a>(paths: impl Iterator<Item = &'a String> + Clone) -> Option<&'a str> {
    let files: BTreeSet<&str> = paths.clone().map(String::as_str).collect();
    let folders = |path: &'a str| path.match_indices('/').map(move |(end, _)| &path[..end]);
    paths.flat_map(|path| folders(path)).find(|folder| files.contains(folder))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_a_folder_of_another() {
        let clash = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            super::clash(paths.iter()).map(str::to_owned)
        };
        assert_eq!(clash(&["a", "a.b", "a-/x", "b/c", "b/d"]), None);
        assert_eq!(clash(&["a/b", "a/b-", "a/b/c/d"]).as_deref(), Some("a/b"));
    }

    #[test]
    fn no_path_leads_out() {
        for wrong in ["", "/a", "a//b", "a/", "..", "a/../b", "./a", "a\\b", "a\0b", "a\nb", &"a".repeat(256)]
        {
            assert!(!is_safe_path(wrong), "{wrong:?}");
        }
        assert!(is_safe_path("data/results/quick/errors-seed=1.csv") && is_safe_path("..a"));
    }
}
