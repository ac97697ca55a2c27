//! One stage of a file: its kind, its connections, how it is run.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::base::name::{self, StageName};
use crate::base::suggest;
use crate::pipeline::document::join;
use crate::pipeline::handling::{self, Nonsense};
use crate::pipeline::scalar::{self, Reference};
use crate::pipeline::spec::{Handling, Need, Retries, StageSpec};
use crate::pipeline::validate::Checker;
use crate::stage::{Arity, Kind, Slot};

pub(super) const BESIDE_KIND: [&str; 6] = ["needs", "about", "matrix", "resources", "timeout", "retries"];

impl<'a> Checker<'a> {
    /// Reads a stage; `None` if it has no kind that could be told.
    pub(super) fn stage(
        &mut self,
        stage: &str,
        body: &'a Value,
        parameters: &BTreeMap<String, Value>,
    ) -> Option<StageSpec> {
        let path = join("stages", stage);
        if let Some(problem) = name::problem(stage) {
            let message = format!("'{stage}' is not a name: {problem}");
            self.key_error(&path, message, "not a name", "use letters, digits, '-' and '_'");
        }
        let members = self.mapping(body, &path, &format!("stage '{stage}'"))?;
        let handling = self.handling(members, &path, parameters);
        let (kind, value) = self.kind(stage, members, &path)?;
        Some(StageSpec {
            name: StageName::new(stage),
            kind,
            file: self.file,
            path: join(&path, kind.name),
            parameters: if value.is_null() { Value::Object(Map::new()) } else { value.clone() },
            about: members.get("about").cloned().unwrap_or_default(),
            needs: self.needs(stage, members, &path, kind),
            handling,
        })
    }

    fn kind(
        &mut self,
        stage: &str,
        members: &'a Map<String, Value>,
        path: &str,
    ) -> Option<(&'static Kind, &'a Value)> {
        let mut found: Vec<(&'static Kind, &Value)> = Vec::new();
        let mut has_unknown = false;
        for (key, value) in members.iter().filter(|(key, _)| !BESIDE_KIND.contains(&key.as_str())) {
            if let Some(kind) = self.registry.find(key) {
                found.push((kind, value));
            } else {
                let known = self.registry.names().chain(BESIDE_KIND);
                let message = format!("stage '{stage}': '{key}' is neither a kind nor a key of a stage");
                self.key_error(&join(path, key), message, "unknown", suggest::hint(key, known));
                has_unknown = true;
            }
        }
        match found[..] {
            [one] => Some(one),
            [] if has_unknown => None,
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
        let value = members.get("needs");
        let needs = value.and_then(|value| self.mapping(value, &path, "'needs'"));
        let mut filled = Vec::new();
        let mut is_misspelt = value.is_some() && needs.is_none();
        for (slot_name, value) in needs.into_iter().flatten() {
            let here = join(&path, slot_name);
            if let Some(slot) = kind.slot(slot_name) {
                if let Some(problem) = name::problem(slot_name) {
                    let message = format!("'{slot_name}' is not a name: {problem}");
                    self.key_error(&here, message, "not a name", "use letters, digits, '-' and '_'");
                }
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
            self.lacks(stage, kind, &lacking);
        }
        filled
    }

    fn lacks(&mut self, stage: &str, kind: &Kind, lacking: &[&Slot]) {
        let list = |text: fn(&Slot) -> String| lacking.iter().map(|s| text(s)).collect::<Vec<_>>().join(", ");
        let names = list(|slot| format!("'{}'", slot.name));
        let plural = if lacking.len() == 1 { "" } else { "s" };
        let message = format!("stage '{stage}' ({}) lacks its input{plural} {names}", kind.name);
        let fill = list(|slot| format!("{}: STAGE", slot.name));
        let types = list(|slot| format!("'{}'", slot.ty));
        let hint = format!("add 'needs: {{ {fill} }}' with stages that give {types}");
        self.key_error(&join("stages", stage), message, "missing input", hint);
    }

    fn stage_names(&mut self, value: &Value, path: &str, slot: &Slot) -> Option<Vec<StageName>> {
        let names: Option<Vec<StageName>> = match value {
            Value::String(name) => Some(vec![StageName::new(name.as_str())]),
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

    /// Reads `resources`, `timeout` and `retries`.
    fn handling(
        &mut self,
        members: &'a Map<String, Value>,
        path: &str,
        parameters: &BTreeMap<String, Value>,
    ) -> Handling {
        let mut handling = Handling::default();
        let resources = join(path, "resources");
        if let Some(value) = members.get("resources")
            && let Some(given) = self.mapping(value, &resources, "'resources'")
        {
            self.known_keys(given, &resources, &handling::RESOURCES);
            for (name, value) in given.iter().filter(|(name, _)| handling::RESOURCES.contains(&name.as_str()))
            {
                let set = |value: &Value| handling::resource(&mut handling.resources, name, value);
                self.amount(value, &join(&resources, name), parameters, set);
            }
        }
        if let Some(value) = members.get("timeout") {
            handling.timeout = self.amount(value, &join(path, "timeout"), parameters, handling::timeout);
        }
        if let Some(value) = members.get("retries") {
            handling.retries = self.retries(value, &join(path, "retries"), parameters);
        }
        if members.get("about").is_some_and(|about| !about.is_string()) {
            self.error(&join(path, "about"), "'about' must be text", "not text", "put it in quotes");
        }
        handling
    }

    /// Reads `retries`: a number, or a mapping that also says what an attempt that ran out of something gets.
    fn retries(&mut self, value: &'a Value, path: &str, parameters: &BTreeMap<String, Value>) -> Retries {
        let mut retries = Retries::default();
        if !value.is_object() {
            retries.times = self.amount(value, path, parameters, handling::retries).unwrap_or_default();
            return retries;
        }
        let Some(given) = self.mapping(value, path, "'retries'") else { return retries };
        self.known_keys(given, path, &handling::RETRIES);
        for (name, value) in given {
            let here = join(path, name);
            match name.as_str() {
                "times" => {
                    let times = self.amount(value, &here, parameters, handling::retries);
                    retries.times = times.unwrap_or_default();
                }
                "memory" => retries.memory = self.amount(value, &here, parameters, handling::factor),
                "time" => retries.time = self.amount(value, &here, parameters, handling::factor),
                _ => {}
            }
        }
        retries
    }

    /// Reads a value that may be a parameter, but no axis: a stage is run in one way.
    fn amount<T>(
        &mut self,
        value: &Value,
        path: &str,
        parameters: &BTreeMap<String, Value>,
        read: impl FnOnce(&Value) -> Result<T, Nonsense>,
    ) -> Option<T> {
        let reference = scalar::reference(value);
        let bound = match reference {
            Some(Reference::Axis(axis)) => {
                let message = format!("'${axis}' has no place here: all nodes of a stage are run alike");
                self.error(path, message, "an axis", "write a value, or '${params.NAME}'");
                return None;
            }
            Some(Reference::Parameter(name)) => parameters.get(name),
            Some(Reference::Malformed) => None,
            None => Some(value),
        };
        let Some(value) = bound else {
            if let Some(reference) = reference {
                self.undeclared(path, value, reference, parameters);
            }
            return None;
        };
        match read(value) {
            Ok(amount) => Some(amount),
            Err(Nonsense { message, hint }) => {
                self.error(path, message, "this value", hint);
                None
            }
        }
    }
}
