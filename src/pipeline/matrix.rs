//! A pipeline becomes a graph: every axis is unfolded, every reference bound, every parameter typed.
//!
//! The join rule: a stage has the axes it mentions and those of its single-valued inputs; a slot that takes many gathers
//! every other axis of its input.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::base::name::{AxisName, StageName};
use crate::base::suggest;
use crate::pipeline::document::{Document, join};
use crate::pipeline::error::SpecError;
use crate::pipeline::scalar;
use crate::pipeline::spec::{Handling, Need, Pipeline, StageSpec};
use crate::stage::{AnyStage, Arity, ParseError, Slot};

/// Where in the matrix a node stands: axis → value.
pub type Coordinates = BTreeMap<AxisName, Value>;

/// A concrete unit of work.
pub struct Node {
    /// The stage that it comes from.
    pub stage: StageName,
    /// Its place in the matrix.
    pub coordinates: Coordinates,
    /// What to do.
    pub work: Box<dyn AnyStage>,
    /// Its inputs: the slot, and the nodes (places in the graph) that fill it.
    pub inputs: Vec<(Slot, Vec<usize>)>,
    /// How to run it.
    pub handling: Handling,
}

impl fmt::Display for Node {
    /// `fit[seed=0]`, or `table` where there is no axis.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = describe(&self.coordinates);
        if at.is_empty() { write!(f, "{}", self.stage) } else { write!(f, "{}[{at}]", self.stage) }
    }
}

/// `seed=0,width=16`.
pub fn describe(coordinates: &Coordinates) -> String {
    let parts: Vec<_> =
        coordinates.iter().map(|(axis, value)| format!("{axis}={}", scalar::text(value))).collect();
    parts.join(",")
}

/// Nodes, each after those it needs.
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
}

impl Graph {
    /// Unfolds a pipeline.
    pub fn expand(document: &Document, pipeline: &Pipeline) -> Result<Self, Vec<SpecError>> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut of_stage: BTreeMap<&StageName, (BTreeSet<AxisName>, Vec<usize>)> = BTreeMap::new();
        let mut errors: Vec<SpecError> = Vec::new();
        for spec in &pipeline.stages {
            let axes = axes_of(spec, &of_stage);
            let mut places = Vec::new();
            for coordinates in product(&axes, &pipeline.axes) {
                match bind(document, pipeline, spec, &coordinates) {
                    Ok(work) => {
                        let inputs = connect(spec, &coordinates, &of_stage, &nodes);
                        places.push(nodes.len());
                        nodes.push(Node {
                            stage: spec.name.clone(),
                            coordinates,
                            work,
                            inputs,
                            handling: spec.handling,
                        });
                    }
                    Err(error) if errors.contains(&error) => {}
                    Err(error) => errors.push(error),
                }
            }
            of_stage.insert(&spec.name, (axes, places));
        }
        if errors.is_empty() { Ok(Self { nodes }) } else { Err(errors) }
    }
}

type Unfolded<'a> = BTreeMap<&'a StageName, (BTreeSet<AxisName>, Vec<usize>)>;

fn axes_of(spec: &StageSpec, unfolded: &Unfolded<'_>) -> BTreeSet<AxisName> {
    let mut axes = scalar::axes(&spec.parameters);
    for need in spec.needs.iter().filter(|need| need.slot.arity == Arity::One) {
        axes.extend(unfolded[&need.stages[0]].0.iter().cloned());
    }
    axes
}

fn product(axes: &BTreeSet<AxisName>, values: &BTreeMap<AxisName, Vec<Value>>) -> Vec<Coordinates> {
    let mut places = vec![Coordinates::new()];
    for axis in axes {
        let extended = |place: &Coordinates, value: &Value| {
            let mut place = place.clone();
            place.insert(axis.clone(), value.clone());
            place
        };
        places =
            places.iter().flat_map(|place| values[axis].iter().map(move |v| extended(place, v))).collect();
    }
    places
}

/// Finds the nodes that fill each slot: those that agree on every axis which both sides have.
fn connect(
    spec: &StageSpec,
    coordinates: &Coordinates,
    unfolded: &Unfolded<'_>,
    nodes: &[Node],
) -> Vec<(Slot, Vec<usize>)> {
    let agrees = |at: &&usize| {
        nodes[**at]
            .coordinates
            .iter()
            .all(|(axis, value)| coordinates.get(axis).is_none_or(|ours| ours == value))
    };
    let filled = |need: &Need| {
        let sources = need.stages.iter().flat_map(|stage| unfolded[stage].1.iter());
        (need.slot.clone(), sources.filter(agrees).copied().collect())
    };
    spec.needs.iter().map(filled).collect()
}

fn bind(
    document: &Document,
    pipeline: &Pipeline,
    spec: &StageSpec,
    coordinates: &Coordinates,
) -> Result<Box<dyn AnyStage>, SpecError> {
    let bound = scalar::substitute(&spec.parameters, coordinates, &pipeline.parameters);
    spec.kind.parse(&bound).map_err(|error| parameter_error(document, spec, error))
}

fn parameter_error(document: &Document, spec: &StageSpec, error: ParseError) -> SpecError {
    let kind = spec.kind.name;
    match error {
        ParseError::Value(error) => {
            let path = join(&spec.path, &error.path);
            let message = format!("{}: {}", join(kind, &error.path), error.message);
            SpecError::at(document.spans.locate(&path), message, "this value").hint(error.hint)
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
                let (what, span) = if document.text[span.clone()] == **word {
                    ("key", span)
                } else {
                    ("value", document.spans.locate(&here))
                };
                let message = format!("unknown {what} '{word}' in '{}'", join(kind, parent));
                return SpecError::at(span, message, "unknown").hint(hint);
            }
            let (message, hint) = reword(&join(kind, path), &message);
            SpecError::at(document.spans.locate(&here), message, "here").hint(hint)
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
