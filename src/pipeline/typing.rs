//! Parameters get their types: every reference is bound, and every stage becomes work.
//!
//! All mistakes of a stage's parameters are told at once, although the reader stops at the first: what is wrong is taken out,
//! and the rest is read again.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::base::name::AxisName;
use crate::base::suggest;
use crate::pipeline::axes::MOST;
use crate::pipeline::document::join;
use crate::pipeline::error::SpecError;
use crate::pipeline::files::Files;
use crate::pipeline::scalar::{self, Reference};
use crate::pipeline::space::Space;
use crate::pipeline::spec::{Pipeline, StageSpec};
use crate::stage::{AnyStage, ParseError};

/// The typed work of a stage, once per combination of the axes that it mentions.
pub(super) struct Works {
    /// The axes that it mentions.
    pub(super) mentions: BTreeSet<AxisName>,
    /// The work, in the order of their space.
    pub(super) works: Vec<Arc<dyn AnyStage>>,
}

/// Types the parameters of a stage; mistakes are added to `errors`.
pub(super) fn works(
    files: &Files,
    pipeline: &Pipeline,
    spec: &StageSpec,
    errors: &mut Vec<SpecError>,
) -> Works {
    let mentions = spec.mentions();
    let space = Space::new(&pipeline.factors, &mentions);
    if is_unbound(pipeline, spec, &mentions) {
        errors.extend(guess(files, pipeline, spec, &space));
        return Works { mentions, works: Vec::new() };
    }
    if space.len().is_none_or(|count| count > MOST) {
        let message = format!("stage '{}' has more than {MOST} nodes", spec.name);
        errors.push(
            files.error(spec.file, &spec.path, message, "too many").hint("shorten the axes it mentions"),
        );
        return Works { mentions, works: Vec::new() };
    }
    let mut works: Vec<Arc<dyn AnyStage>> = Vec::new();
    // Most stages refer to nothing: they are read as they stand, without a copy.
    if let (true, true, Ok(work)) =
        (mentions.is_empty(), references(spec).is_empty(), spec.kind.parse(&spec.parameters))
    {
        return Works { mentions, works: vec![work.into()] };
    }
    // One mistake per place: another value of the axis is wrong there in the same way.
    let mut places = BTreeSet::new();
    space.for_each(|digits| {
        let bound = bind(pipeline, spec, &space, digits, None);
        if let Ok(work) = spec.kind.parse(&bound) {
            works.push(work.into());
            return;
        }
        let found = mistakes(files, spec, bound).into_iter().map(|(_, error)| error);
        errors.extend(found.filter(|error| places.insert(error.span.as_ref().map(|span| span.start))));
    });
    Works { mentions, works }
}

/// Puts the values of one place of the space, and of the parameters, where they are referred to.
fn bind(
    pipeline: &Pipeline,
    spec: &StageSpec,
    space: &Space<'_>,
    digits: &[usize],
    filler: Option<&Value>,
) -> Value {
    let coordinates = space.coordinates(digits);
    scalar::substitute(&spec.parameters, &|reference| match reference {
        Reference::Axis(name) => {
            let found = coordinates.iter().find(|(axis, _)| axis.as_str() == *name);
            found.map(|(_, value)| value).or(filler)
        }
        Reference::Parameter(name) => pipeline.parameters.get(*name).or(filler),
        Reference::Malformed => filler,
    })
}

/// Whether a reference leads nowhere, which is told elsewhere.
fn is_unbound(pipeline: &Pipeline, spec: &StageSpec, mentions: &BTreeSet<AxisName>) -> bool {
    let has_values = |axis: &AxisName| pipeline.factors.iter().any(|factor| factor.axes.contains(axis));
    let mut is_unbound = !mentions.iter().all(has_values);
    scalar::references(&spec.parameters, "", &mut |_, _, reference| {
        is_unbound |= match reference {
            Reference::Parameter(name) => !pipeline.parameters.contains_key(name),
            Reference::Malformed => true,
            Reference::Axis(_) => false,
        };
    });
    is_unbound
}

/// What is wrong beside references that lead nowhere: those could be anything, so something that fits is put there.
fn guess(files: &Files, pipeline: &Pipeline, spec: &StageSpec, space: &Space<'_>) -> Vec<SpecError> {
    let digits = vec![0; space.projections.len()];
    let unsure = references(spec);
    let guesses = [Value::from(1), Value::from("x"), Value::from(true)].map(|filler| {
        let found = mistakes(files, spec, bind(pipeline, spec, space, &digits, Some(&filler)));
        let is_above = |path: &str, at: &str| {
            at.strip_prefix(path)
                .is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let is_sure = |(path, _): &(String, SpecError)| !unsure.iter().any(|at| is_above(path, at));
        let count = found.len();
        let sure: Vec<SpecError> = found.into_iter().filter(is_sure).map(|(_, error)| error).collect();
        (count, sure)
    });
    guesses.into_iter().min_by_key(|(count, _)| *count).map(|(_, sure)| sure).unwrap_or_default()
}

/// Paths of all references within the parameters.
fn references(spec: &StageSpec) -> Vec<String> {
    let mut found = Vec::new();
    scalar::references(&spec.parameters, "", &mut |path, _, _| found.push(path.to_owned()));
    found
}

/// All that is wrong with parameters, each with its path: what is wrong is taken out until the rest can be read.
fn mistakes(files: &Files, spec: &StageSpec, mut value: Value) -> Vec<(String, SpecError)> {
    let mut found: Vec<(String, SpecError)> = Vec::new();
    while let Err(error) = spec.kind.parse(&value) {
        let (path, is_lack) = match &error {
            ParseError::Value(error) => (error.path.clone(), true),
            ParseError::Shape { path, message } => {
                let path = if path == "." { "" } else { path.as_str() };
                (path.to_owned(), message.starts_with("missing field"))
            }
        };
        // What is lacking after something was taken out, or no longer fits around it, is no mistake of its own.
        let is_follow_up =
            !found.is_empty() && (is_lack || found.iter().any(|(known, _)| known.starts_with(&path)));
        if !is_follow_up {
            found.push((path.clone(), parameter_error(files, spec, error)));
        }
        if is_lack || !take_out(&mut value, &path) {
            break;
        }
    }
    found
}

/// Removes the innermost member of a mapping that a path leads to.
fn take_out(value: &mut Value, path: &str) -> bool {
    let steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
    let pointer: String = steps.flat_map(|step| ["/", step]).collect();
    let mut end = pointer.len();
    while let Some(start) = pointer[..end].rfind('/') {
        let parent = value.pointer_mut(&pointer[..start]).and_then(Value::as_object_mut);
        if parent.is_some_and(|members| members.remove(&pointer[start + 1..end]).is_some()) {
            return true;
        }
        end = start;
    }
    false
}

fn parameter_error(files: &Files, spec: &StageSpec, error: ParseError) -> SpecError {
    let kind = spec.kind.name;
    let document = &files.documents[spec.file];
    let at = |path: &str| document.spans.locate(path);
    match error {
        ParseError::Value(error) => {
            let path = join(&spec.path, &error.path);
            let message = format!("{}: {}", join(kind, &error.path), error.message);
            let span = at(&path);
            let span = error.place.map_or(span.clone(), |place| place.in_scalar(&document.text, span));
            SpecError::at(span, message, "this value").in_file(spec.file).hint(error.hint)
        }
        ParseError::Shape { path, message } => {
            let path = if path == "." { "" } else { path.as_str() };
            let here = join(&spec.path, path);
            let words = quoted(&message);
            let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
            if let (true, Some((word, known))) = (is_unknown, words.split_first()) {
                let parent = if path.ends_with(word) {
                    path.trim_end_matches(word).trim_end_matches('.')
                } else {
                    path
                };
                let hint = suggest::hint(word, known.iter().copied());
                let span = document.spans.locate_key(&join(&join(&spec.path, parent), word));
                let (what, span) =
                    if document.text[span.clone()] == **word { ("key", span) } else { ("value", at(&here)) };
                let message = format!("unknown {what} '{word}' in '{}'", join(kind, parent));
                return SpecError::at(span, message, "unknown").in_file(spec.file).hint(hint);
            }
            let (message, hint) = reword(&join(kind, path), &message);
            SpecError::at(at(&here), message, "here").in_file(spec.file).hint(hint)
        }
    }
}

/// The words that serde puts in backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// Says serde's sentence in the words of the file.
fn reword(path: &str, message: &str) -> (String, String) {
    if let Some(field) = message.strip_prefix("missing field ").map(|rest| rest.trim_matches('`')) {
        return (format!("'{path}' lacks '{field}'"), format!("add '{field}:'"));
    }
    let found = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match found.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, expected)) => {
            let found = found
                .replace("string ", "the text ")
                .replace("map", "a mapping")
                .replace("sequence", "a list")
                .replace("integer ", "")
                .replace("floating point ", "")
                .replace('`', "");
            (format!("'{path}' is {found}"), format!("write {}", plain(expected)))
        }
        None => (format!("'{path}': {message}"), "correct the value".to_owned()),
    }
}

/// A type of Rust in the words of the file.
fn plain(expected: &str) -> &str {
    match expected {
        "u64" | "u32" | "usize" | "u8" => "a whole number, 0 or more",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list, as in [1, 2]",
        _ if expected.starts_with("struct ") || expected == "a map" => "a mapping, as in { key: value }",
        other => other,
    }
}
