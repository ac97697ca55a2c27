//! Well-formed YAML in which every value can be traced to its place.

use serde_json::Value;

use crate::pipeline::error::{SpecError, SpecErrors};
use crate::pipeline::spans::Spanned;

/// A parsed file: the values, and where each stands.
#[derive(Debug)]
pub struct Document {
    /// What errors call the file.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its values.
    pub value: Value,
    /// Where they stand.
    pub spans: Spanned,
}

impl Document {
    /// Parses a text.
    pub fn parse(name: &str, text: &str) -> Result<Self, SpecErrors> {
        let read = || {
            let spans = Spanned::parse(text)?;
            let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| {
                let at = e.location().map_or(0, |place| place.index()).min(text.len());
                SpecError::at(at..at, format!("this is not YAML: {e}"), "here")
            })?;
            let value = to_json(yaml, "", &spans)?;
            Ok((value, spans))
        };
        match read() {
            Ok((value, spans)) => Ok(Self { name: name.to_owned(), text: text.to_owned(), value, spans }),
            Err(error) => {
                Err(SpecErrors { name: name.to_owned(), text: text.to_owned(), errors: vec![error] })
            }
        }
    }

    /// Adds the text to mistakes found in it, in the order of their places.
    pub fn blame(&self, mut errors: Vec<SpecError>) -> SpecErrors {
        errors.sort_by_key(|error| error.span.as_ref().map(|span| span.start));
        SpecErrors { name: self.name.clone(), text: self.text.clone(), errors }
    }
}

/// JSON is the form in which parameters are typed, hashed and recorded; what it cannot say is refused here.
fn to_json(yaml: serde_yaml::Value, path: &str, spans: &Spanned) -> Result<Value, SpecError> {
    use serde_yaml::Value as Yaml;
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::String(text) => Value::String(text),
        Yaml::Number(number) => number_to_json(&number)
            .ok_or_else(|| SpecError::at(spans.locate(path), "a number must be finite", "not finite"))?,
        Yaml::Sequence(items) => items
            .into_iter()
            .enumerate()
            .map(|(i, item)| to_json(item, &format!("{path}[{i}]"), spans))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array)?,
        Yaml::Mapping(entries) => {
            let mut members = serde_json::Map::new();
            for (key, value) in entries {
                let Yaml::String(key) = key else {
                    let word = serde_yaml::to_string(&key).unwrap_or_default();
                    let at = spans.locate_key(&join(path, word.trim_end()));
                    return Err(SpecError::at(
                        at,
                        format!("the key '{}' is not text", word.trim_end()),
                        "here",
                    )
                    .hint("put it in quotes"));
                };
                let value = to_json(value, &join(path, &key), spans)?;
                members.insert(key, value);
            }
            Value::Object(members)
        }
        Yaml::Tagged(_) => {
            return Err(SpecError::at(spans.locate(path), "YAML tags are not supported", "here"));
        }
    })
}

fn number_to_json(number: &serde_yaml::Number) -> Option<Value> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(number), _, _) => Some(number.into()),
        (None, Some(number), _) => Some(number.into()),
        (None, None, Some(number)) => serde_json::Number::from_f64(number).map(Value::Number),
        (None, None, None) => None,
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
        let document = Document::parse("x", "a: 1\nb: 1e-1\nc: no\nd: [x, true]\ne: -3").unwrap();
        assert_eq!(
            document.value,
            serde_json::json!({"a": 1, "b": 0.1, "c": "no", "d": ["x", true], "e": -3})
        );
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for (text, what) in [("a: .nan", "finite"), ("a: { 3: x }", "not text")] {
            let errors = Document::parse("x", text).unwrap_err();
            assert!(errors.errors[0].message.contains(what), "{}", errors.errors[0].message);
        }
    }
}
