//! A document becomes a pipeline: kinds exist, inputs resolve and fit, references are declared, no cycle.
//!
//! Parameters get their types later, in [`matrix`](crate::pipeline::matrix), when the references in them are bound.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::base::name::{self, AxisName, StageName};
use crate::base::suggest;
use crate::pipeline::document::{Document, join};
use crate::pipeline::error::SpecError;
use crate::pipeline::order;
use crate::pipeline::overrides::Override;
use crate::pipeline::scalar::{self, Reference};
use crate::pipeline::spec::{Handling, Need, Pipeline, StageSpec};
use crate::stage::{Arity, Kind, Registry, Slot};

const TOP_LEVEL: [&str; 5] = ["pipeline", "about", "params", "matrix", "stages"];
const BESIDE_KIND: [&str; 2] = ["needs", "about"];

impl Pipeline {
    /// Checks a document; returns all mistakes that can be told apart.
    pub fn validate(
        document: &Document,
        overrides: &[Override],
        registry: Registry,
    ) -> Result<Self, Vec<SpecError>> {
        let mut checker = Checker { document, registry, errors: Vec::new() };
        let pipeline = checker.pipeline(overrides);
        match (pipeline, checker.errors) {
            (Some(pipeline), errors) if errors.is_empty() => Ok(pipeline),
            (_, errors) => Err(errors),
        }
    }
}

struct Checker<'a> {
    document: &'a Document,
    registry: Registry,
    errors: Vec<SpecError>,
}

impl<'a> Checker<'a> {
    fn pipeline(&mut self, overrides: &[Override]) -> Option<Pipeline> {
        let top = self.mapping(&self.document.value, "", "a pipeline file")?;
        self.known_keys(top, "", &TOP_LEVEL);
        let name = self.pipeline_name(top);
        let mut axes = self.axes(top);
        let mut parameters = self.parameters(top);
        let is_head_sound = self.errors.is_empty();
        self.apply(overrides, &mut axes, &mut parameters);
        let Some(stages) = top.get("stages") else {
            self.error("pipeline", "a pipeline needs 'stages'", "no 'stages:' beside this", "add 'stages:'");
            return None;
        };
        let stages = self.mapping(stages, "stages", "'stages'")?;
        let specs: Vec<StageSpec> = stages.iter().filter_map(|(name, body)| self.stage(name, body)).collect();
        // What a mistake above would make undeclared is no second mistake.
        if is_head_sound {
            self.references(&specs, &axes, &parameters);
        }
        if self.errors.is_empty() {
            self.unused(&specs, &axes);
        }
        if !self.errors.is_empty() {
            return None;
        }
        match order::order(self.document, specs) {
            Ok(stages) => Some(Pipeline { name: name?, axes, parameters, stages }),
            Err(errors) => {
                self.errors = errors;
                None
            }
        }
    }

    fn error(&mut self, path: &str, message: impl Into<String>, label: &str, hint: impl Into<String>) {
        let span = self.document.spans.locate(path);
        self.errors.push(SpecError::at(span, message, label).hint(hint));
    }

    fn key_error(&mut self, path: &str, message: impl Into<String>, label: &str, hint: impl Into<String>) {
        let span = self.document.spans.locate_key(path);
        self.errors.push(SpecError::at(span, message, label).hint(hint));
    }

    fn mapping(&mut self, value: &'a Value, path: &str, what: &str) -> Option<&'a Map<String, Value>> {
        if value.as_object().is_none() {
            self.error(
                path,
                format!("{what} must be a mapping"),
                "not a mapping",
                "write 'key: value' lines",
            );
        }
        value.as_object()
    }

    fn known_keys(&mut self, members: &Map<String, Value>, path: &str, known: &[&str]) {
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = suggest::hint(key, known.iter().copied());
            self.key_error(&join(path, key), format!("unknown key '{key}'"), "unknown", hint);
        }
    }

    fn pipeline_name(&mut self, top: &Map<String, Value>) -> Option<String> {
        let hint = "add 'pipeline: NAME'; results go to results/NAME";
        let Some(value) = top.get("pipeline") else {
            self.error("", "a pipeline needs a name", "no 'pipeline:' in this file", hint);
            return None;
        };
        match value.as_str().map(|text| (text, name::problem(text))) {
            Some((text, None)) => Some(text.to_owned()),
            Some((text, Some(problem))) => {
                let hint = "use letters, digits, '-' and '_'";
                self.error("pipeline", format!("'{text}' is not a name: {problem}"), "not a name", hint);
                None
            }
            None => {
                self.error("pipeline", "a pipeline's name must be text", "not text", hint);
                None
            }
        }
    }

    fn axes(&mut self, top: &'a Map<String, Value>) -> BTreeMap<AxisName, Vec<Value>> {
        let mut axes = BTreeMap::new();
        let Some(matrix) = top.get("matrix").and_then(|value| self.mapping(value, "matrix", "'matrix'"))
        else {
            return axes;
        };
        for (axis, values) in matrix {
            let path = join("matrix", axis);
            match values.as_array() {
                Some(values) if !values.is_empty() && values.iter().all(is_scalar) => {
                    axes.insert(AxisName::new(axis), values.clone());
                }
                _ => {
                    let message = format!("axis '{axis}' must be a list of one scalar or more");
                    self.error(&path, message, "not such a list", format!("write '{axis}: [0, 1]'"));
                }
            }
            if let Some(problem) = name::problem(axis) {
                let message = format!("'{axis}' is not a name: {problem}");
                self.key_error(&path, message, "not a name", "use letters, digits, '-' and '_'");
            }
        }
        axes
    }

    fn parameters(&mut self, top: &'a Map<String, Value>) -> BTreeMap<String, Value> {
        let params = top.get("params").and_then(|value| self.mapping(value, "params", "'params'"));
        params.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn apply(
        &mut self,
        overrides: &[Override],
        axes: &mut BTreeMap<AxisName, Vec<Value>>,
        parameters: &mut BTreeMap<String, Value>,
    ) {
        for Override { name, value } in overrides {
            if let Some(values) = axes.get_mut(&AxisName::new(name)) {
                *values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            } else if let Some(parameter) = parameters.get_mut(name) {
                *parameter = value.clone();
            } else {
                let names = axes.keys().map(AxisName::as_str).chain(parameters.keys().map(String::as_str));
                let hint = suggest::hint(name, names);
                let message = format!("--set {name}: the pipeline has no parameter or axis '{name}'");
                self.errors.push(SpecError::nowhere(message).hint(hint));
            }
        }
    }

    fn stage(&mut self, stage: &str, body: &'a Value) -> Option<StageSpec> {
        let path = join("stages", stage);
        if let Some(problem) = name::problem(stage) {
            let message = format!("'{stage}' is not a name: {problem}");
            self.key_error(&path, message, "not a name", "use letters, digits, '-' and '_'");
        }
        let members = self.mapping(body, &path, &format!("stage '{stage}'"))?;
        let (kind, parameters) = self.kind(stage, members, &path)?;
        Some(StageSpec {
            name: StageName::new(stage),
            kind,
            path: join(&path, kind.name),
            parameters: if parameters.is_null() { Value::Object(Map::new()) } else { parameters.clone() },
            needs: self.needs(stage, members, &path, kind),
            handling: Handling::default(),
        })
    }

    fn kind(
        &mut self,
        stage: &str,
        members: &'a Map<String, Value>,
        path: &str,
    ) -> Option<(&'static Kind, &'a Value)> {
        let mut found: Vec<(&'static Kind, &Value)> = Vec::new();
        for (key, value) in members.iter().filter(|(key, _)| !BESIDE_KIND.contains(&key.as_str())) {
            if let Some(kind) = self.registry.find(key) {
                found.push((kind, value));
            } else {
                let known = self.registry.names().chain(BESIDE_KIND);
                let message = format!("stage '{stage}': '{key}' is neither a kind nor a key of a stage");
                self.key_error(&join(path, key), message, "unknown", suggest::hint(key, known));
                return None;
            }
        }
        match found[..] {
            [one] => Some(one),
            [] => {
                let hint = suggest::one_of(self.registry.names());
                self.key_error(path, format!("stage '{stage}' has no kind"), "what should it do?", hint);
                None
            }
            [(first, _), (second, _), ..] => {
                let message =
                    format!("stage '{stage}' has two kinds, '{}' and '{}'", first.name, second.name);
                self.key_error(&join(path, second.name), message, "a second kind", "make it two stages");
                None
            }
        }
    }

    fn needs(
        &mut self,
        stage: &str,
        members: &'a Map<String, Value>,
        path: &str,
        kind: &'static Kind,
    ) -> Vec<Need> {
        let path = join(path, "needs");
        let needs = members.get("needs").and_then(|value| self.mapping(value, &path, "'needs'"));
        let mut filled = Vec::new();
        let mut is_misspelt = false;
        for (slot_name, value) in needs.into_iter().flatten() {
            let here = join(&path, slot_name);
            if let Some(slot) = kind.slot(slot_name) {
                filled.extend(self.stage_names(value, &here, &slot).map(|stages| Need { slot, stages }));
            } else {
                let message = format!("kind '{}' has no slot '{slot_name}'", kind.name);
                let hint = suggest::hint(slot_name, kind.slots.iter().map(|slot| &*slot.name));
                self.key_error(&here, message, "unknown slot", hint);
                is_misspelt = true;
            }
        }
        let is_empty = |slot: &&Slot| !needs.is_some_and(|needs| needs.contains_key(&*slot.name));
        let lacking: Vec<&Slot> =
            kind.slots.iter().filter(|slot| slot.arity != Arity::Any).filter(is_empty).collect();
        if !lacking.is_empty() && !is_misspelt {
            let list =
                |text: fn(&Slot) -> String| lacking.iter().map(|s| text(s)).collect::<Vec<_>>().join(", ");
            let names = list(|slot| format!("'{}'", slot.name));
            let plural = if lacking.len() == 1 { "" } else { "s" };
            let message = format!("stage '{stage}' ({}) lacks its input{plural} {names}", kind.name);
            let fill = list(|slot| format!("{}: STAGE", slot.name));
            let types = list(|slot| format!("'{}'", slot.ty));
            let hint = format!("add 'needs: {{ {fill} }}' with stages that give {types}");
            self.key_error(&join("stages", stage), message, "missing input", hint);
        }
        filled
    }

    fn stage_names(&mut self, value: &Value, path: &str, slot: &Slot) -> Option<Vec<StageName>> {
        let names: Option<Vec<StageName>> = match value {
            Value::String(name) => Some(vec![StageName::new(name)]),
            Value::Array(items) if slot.arity != Arity::One => {
                items.iter().map(|item| item.as_str().map(StageName::new)).collect()
            }
            _ => None,
        };
        if names.as_ref().is_none_or(Vec::is_empty) {
            let hint = "write the name of a stage, or a list of names where the slot takes many";
            self.error(path, format!("slot '{}' must name a stage", slot.name), "not a stage's name", hint);
            return None;
        }
        names
    }

    fn references(
        &mut self,
        stages: &[StageSpec],
        axes: &BTreeMap<AxisName, Vec<Value>>,
        parameters: &BTreeMap<String, Value>,
    ) {
        let mut mistakes = Vec::new();
        for stage in stages {
            scalar::walk(&stage.parameters, &stage.path, &mut |path, value| {
                let (what, sigil, name, hint) = match scalar::reference(value) {
                    Some(Reference::Axis(name)) if !axes.contains_key(&AxisName::new(name)) => {
                        ("axis", "matrix", name, suggest::hint(name, axes.keys().map(AxisName::as_str)))
                    }
                    Some(Reference::Parameter(name)) if !parameters.contains_key(name) => (
                        "parameter",
                        "params",
                        name,
                        suggest::hint(name, parameters.keys().map(String::as_str)),
                    ),
                    Some(Reference::Malformed) => {
                        ("reference", "params", "", "write '$axis' or '${params.name}'".to_owned())
                    }
                    _ => return,
                };
                let message = format!("no {what} '{name}' is declared under '{sigil}'");
                mistakes.push((path.to_owned(), message, hint));
            });
        }
        for (path, message, hint) in mistakes {
            self.error(&path, message, "not declared", hint);
        }
    }

    fn unused(&mut self, stages: &[StageSpec], axes: &BTreeMap<AxisName, Vec<Value>>) {
        for axis in axes.keys() {
            if !stages.iter().any(|stage| scalar::axes(&stage.parameters).contains(axis)) {
                let message = format!("axis '{axis}' is declared, but no stage mentions '${axis}'");
                let hint = format!("use '${axis}' in a stage, or remove the axis");
                self.key_error(&join("matrix", axis.as_str()), message, "varies nothing", hint);
            }
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object() && !value.is_null()
}
