//! `scales`: named sets of other values for parameters and axes, as `minute: { epochs: 2, seed: [0] }`.
//!
//! A scale is a `--set` of each of its entries, before those of the command line, so that one file runs at the size of the study and at
//! one that a laptop does in a minute. Its results have a folder of their own: a pipeline `fig3` at scale `minute` is the pipeline
//! `fig3-minute`. All scales are checked, whichever is asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::base::name;
use crate::base::suggest;
use crate::pipeline::document::join;
use crate::pipeline::overrides::Override;
use crate::pipeline::scalar::is_scalar;
use crate::pipeline::validate::Checker;

/// An entry of a scale, and where it stands.
pub(super) struct Entry<'a> {
    file: usize,
    path: String,
    name: &'a str,
    value: &'a Value,
}

impl<'a> Checker<'a> {
    /// The entries of each scale. Those of the one that is asked for are set before what the command line sets.
    pub(super) fn scales(&mut self, tops: &[(usize, &'a Map<String, Value>)]) -> Vec<Entry<'a>> {
        let mut scales: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        for (file, top) in tops {
            self.file = *file;
            let Some(members) = top.get("scales").and_then(|all| self.mapping(all, "scales", "'scales'"))
            else {
                continue;
            };
            for (scale, entries) in members {
                let path = join("scales", scale);
                if let Some(problem) = name::problem(scale) {
                    let message = format!("'{scale}' is not a name: {problem}");
                    self.key_error(&path, message, "not a name", "use letters, digits, '-' and '_'");
                }
                let Some(entries) = self.mapping(entries, &path, "a scale") else { continue };
                let known = scales.entry(scale).or_default();
                for (name, value) in entries {
                    let path = join(&path, name);
                    if let Some(first) = known.iter().find(|entry| entry.name == name) {
                        let label = format!("already at {}", self.files.place(first.file, &first.path));
                        let message = format!("scale '{scale}' sets '{name}' in two files");
                        self.key_error(&path, message, &label, "remove one of them");
                    } else {
                        known.push(Entry { file: *file, path, name, value });
                    }
                }
            }
        }
        if let Some(wanted) = self.scale {
            match scales.get(wanted) {
                Some(entries) => {
                    let set =
                        |entry: &Entry| Override { name: entry.name.to_owned(), value: entry.value.clone() };
                    self.overrides = entries.iter().map(set).chain(self.given.iter().cloned()).collect();
                }
                None if self.files.missing.is_empty() => {
                    let hint = if scales.is_empty() {
                        "leave '--scale' out, or add 'scales:' to the file".to_owned()
                    } else {
                        suggest::hint(wanted, scales.keys().copied())
                    };
                    self.nowhere(format!("--scale {wanted}: the pipeline has no such scale"), hint);
                }
                None => {}
            }
        }
        self.scale_names = scales.keys().map(ToString::to_string).collect();
        scales.into_values().flatten().collect()
    }

    /// What a scale sets is a parameter, or an axis that can take it.
    pub(super) fn settable(&mut self, entries: &[Entry], parameters: &BTreeMap<String, Value>) {
        for Entry { file, path, name, value } in entries {
            self.file = *file;
            let is_axis = self.declared.keys().any(|axis| axis.as_str() == *name);
            let is_known = is_axis || parameters.contains_key(*name);
            if !is_known && self.knows_axes && self.knows_parameters {
                let axes: Vec<String> = self.declared.keys().map(ToString::to_string).collect();
                let names = axes.iter().chain(parameters.keys()).map(String::as_str);
                let hint = suggest::hint(name, names);
                let message = format!("the pipeline has no parameter or axis '{name}'");
                self.key_error(path, message, "nothing to set", hint);
            }
            let fits = match value {
                Value::Array(values) => !values.is_empty() && values.iter().all(is_scalar),
                value => is_scalar(value),
            };
            if is_axis && !fits {
                let message = format!("axis '{name}' takes a scalar, or a list of one or more");
                self.error(path, message, "neither", format!("write '{name}: [0, 1]'"));
            }
        }
        self.file = 0;
    }
}
