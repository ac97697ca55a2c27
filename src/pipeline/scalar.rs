//! References: `$axis` and `${params.name}` in the place of a scalar, `${matrix.axis}` and `${params.name}` also within a text.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;

use serde_json::Value;

use crate::base::name::{self, AxisName};

/// What a scalar refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `$seed`, or `${matrix.seed}`.
    Axis(&'a str),
    /// `${params.width}`.
    Parameter(&'a str),
    /// `${…}` of another form.
    Malformed,
}

/// Reads a scalar as a reference; `None` if it is an ordinary value.
pub fn reference(value: &Value) -> Option<Reference<'_>> {
    let rest = value.as_str()?.strip_prefix('$')?;
    if let Some(inner) = rest.strip_prefix('{').and_then(|r| r.strip_suffix('}')) {
        return Some(named(inner).unwrap_or(Reference::Malformed));
    }
    name::problem(rest).is_none().then_some(Reference::Axis(rest))
}

/// What stands between `${` and `}`.
fn named(inner: &str) -> Option<Reference<'_>> {
    let (family, name) = inner.split_once('.')?;
    match family {
        _ if name::problem(name).is_some() => None,
        "params" => Some(Reference::Parameter(name)),
        "matrix" => Some(Reference::Axis(name)),
        _ => None,
    }
}

/// The references within a text that is none itself, and their places. Other uses of `$` are left alone: they are a shell's.
fn embedded(text: &str) -> impl Iterator<Item = (Range<usize>, Reference<'_>)> {
    text.match_indices("${").filter_map(|(start, _)| {
        let inner = &text[start + 2..];
        let inner = &inner[..inner.find('}')?];
        Some((start..start + 2 + inner.len() + 1, named(inner)?))
    })
}

/// Whether a value is neither a mapping, nor a list, nor nothing.
pub fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object() && !value.is_null()
}

/// Calls `visit` for every reference below a value, with its path.
pub fn references<'a>(value: &'a Value, path: &str, visit: &mut impl FnMut(&str, &'a Value, Reference<'a>)) {
    walk(value, &mut path.to_owned(), visit);
}

fn walk<'a>(value: &'a Value, path: &mut String, visit: &mut impl FnMut(&str, &'a Value, Reference<'a>)) {
    let length = path.len();
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate().filter(|(_, item)| !item.is_number()) {
                // Writing to a string does not fail.
                let _ = write!(path, "[{i}]");
                walk(item, path, visit);
                path.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                path.push_str(if length == 0 { "" } else { "." });
                path.push_str(name);
                walk(member, path, visit);
                path.truncate(length);
            }
        }
        scalar => {
            if let Some(reference) = reference(scalar) {
                visit(path, scalar, reference);
            } else if let Value::String(text) = scalar {
                embedded(text).for_each(|(_, reference)| visit(path, scalar, reference));
            }
        }
    }
}

/// The axes that a value mentions.
pub fn axes(value: &Value) -> BTreeSet<AxisName> {
    let mut found = BTreeSet::new();
    references(value, "", &mut |_, _, reference| {
        if let Reference::Axis(name) = reference {
            found.insert(AxisName::new(name));
        }
    });
    found
}

/// Puts values in the place of references; those that `bound` does not know stay.
pub fn substitute<'a>(value: &Value, bound: &impl Fn(&Reference<'_>) -> Option<&'a Value>) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| substitute(item, bound)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), substitute(member, bound)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        scalar => match (reference(scalar), scalar) {
            (Some(reference), _) => bound(&reference).unwrap_or(scalar).clone(),
            (None, Value::String(words)) => fill(words, bound).into(),
            (None, _) => scalar.clone(),
        },
    }
}

/// Puts values in the place of the references within a text.
fn fill<'a>(words: &str, bound: &impl Fn(&Reference<'_>) -> Option<&'a Value>) -> String {
    let (mut filled, mut from) = (String::new(), 0);
    for (place, reference) in embedded(words) {
        if let Some(value) = bound(&reference) {
            filled.push_str(&words[from..place.start]);
            filled.push_str(&text(value));
            from = place.end;
        }
    }
    filled + &words[from..]
}

/// A scalar as text: as it stands in names and in tables.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_whole_scalars_are_references() {
        assert_eq!(reference(&json!("$seed")), Some(Reference::Axis("seed")));
        assert_eq!(reference(&json!("${params.width}")), Some(Reference::Parameter("width")));
        assert_eq!(reference(&json!("${matrix.seed}")), Some(Reference::Axis("seed")));
        assert_eq!(reference(&json!("${width}")), Some(Reference::Malformed));
        for ordinary in [json!("$x/out.txt"), json!("a $seed"), json!("$"), json!("$5"), json!(5)] {
            assert_eq!(reference(&ordinary), None, "{ordinary}");
        }
    }

    #[test]
    fn references_within_a_text() {
        let text = json!("VGG-${matrix.depth}, ${params.epochs} epochs, ${HOME} $x ${params.9} ${matrix.no");
        let mut found = Vec::new();
        references(&text, "title", &mut |path, _, reference| found.push((path.to_owned(), reference)));
        let at = |reference| ("title".to_owned(), reference);
        assert_eq!(found, [at(Reference::Axis("depth")), at(Reference::Parameter("epochs"))]);
        let (depth, epochs) = (json!(11), json!("two"));
        let filled = substitute(&text, &|reference| match reference {
            Reference::Axis("depth") => Some(&depth),
            Reference::Parameter("epochs") => Some(&epochs),
            _ => None,
        });
        assert_eq!(filled, json!("VGG-11, two epochs, ${HOME} $x ${params.9} ${matrix.no"));
    }
}
