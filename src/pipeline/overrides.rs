//! `--set name=value` and `--scale name`: other values for parameters and axes, without editing the file.

use std::str::FromStr;

use serde_json::Value;

use crate::base::name;

/// How the command line varies a pipeline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Variation {
    /// One of its scales.
    pub scale: Option<String>,
    /// What is set beyond that.
    pub overrides: Vec<Override>,
}

/// One `--set`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// A name under `params:` or `matrix:`.
    pub name: String,
    /// Its new value, read as YAML; a scalar given to an axis is the axis's only value.
    pub value: Value,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("'{text}' is not of the form name=value"))?;
        if let Some(problem) = name::problem(name) {
            return Err(format!("'{name}' is not a name: {problem}"));
        }
        let value =
            serde_yaml::from_str(value).map_err(|e| format!("the value of '{name}' is not YAML: {e}"))?;
        Ok(Self { name: name.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_yaml() {
        let value = |text: &str| text.parse::<Override>().map(|o| o.value);
        assert_eq!(value("seed=1"), Ok(json!(1)));
        assert_eq!(value("seed=[0, 1]"), Ok(json!([0, 1])));
        assert_eq!(value("name=fast"), Ok(json!("fast")));
        assert!(value("seed").is_err());
        assert!(value("9=1").is_err());
    }
}
