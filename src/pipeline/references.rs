//! References against what is declared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::base::name::{AxisName, StageName};
use crate::base::suggest;
use crate::pipeline::document::join;
use crate::pipeline::scalar::{self, Reference};
use crate::pipeline::spec::StageSpec;
use crate::pipeline::validate::Checker;

impl Checker<'_> {
    /// Refuses references to what is not declared, or not for this stage.
    pub(super) fn references(&mut self, stages: &[StageSpec], parameters: &BTreeMap<String, Value>) {
        for stage in stages {
            self.file = stage.file;
            let mut found = Vec::new();
            let about = join(&join("stages", stage.name.as_str()), "about");
            for (value, path) in [(&stage.parameters, &stage.path), (&stage.about, &about)] {
                scalar::references(value, path, &mut |path, value, reference| {
                    found.push((path.to_owned(), value, reference));
                });
            }
            for (path, value, reference) in found {
                self.undeclared(&path, value, reference, parameters);
                if let Reference::Axis(axis) = reference {
                    self.out_of_reach(&path, &AxisName::new(axis), stage, stages);
                }
            }
        }
        self.file = 0;
    }

    /// Refuses one reference if it leads nowhere.
    pub(super) fn undeclared(
        &mut self,
        path: &str,
        value: &Value,
        reference: Reference,
        parameters: &BTreeMap<String, Value>,
    ) {
        let (message, hint) = match reference {
            Reference::Axis(name) if self.knows_axes && !self.declared.contains_key(&AxisName::new(name)) => {
                let hint = suggest::hint(name, self.declared.keys().map(AxisName::as_str));
                (format!("no axis '{name}' is declared under 'matrix'"), hint)
            }
            Reference::Parameter(name) if self.knows_parameters && !parameters.contains_key(name) => {
                let hint = suggest::hint(name, parameters.keys().map(String::as_str));
                (format!("no parameter '{name}' is declared under 'params'"), hint)
            }
            Reference::Malformed => {
                let message = format!("'{}' is no reference", scalar::text(value));
                (message, "write '$axis' or '${params.name}'".to_owned())
            }
            _ => return,
        };
        self.error(path, message, "not declared", hint);
    }

    /// Refuses the axis of another stage's matrix, unless this stage comes after that one.
    fn out_of_reach(&mut self, path: &str, axis: &AxisName, stage: &StageSpec, stages: &[StageSpec]) {
        let Some(owner) = self.declared.get(axis).and_then(|declared| declared.owner.clone()) else { return };
        if owner != stage.name && !is_after(stage, &owner, stages) {
            let message = format!(
                "axis '{axis}' belongs to stage '{owner}', and '{}' does not come after it",
                stage.name
            );
            let hint = "declare the axis under 'matrix' at the top of the file";
            self.error(path, message, "out of reach", hint);
        }
    }

    /// Refuses axes that vary nothing.
    pub(super) fn unused(&mut self, stages: &[StageSpec]) {
        let mentions: BTreeMap<&StageName, BTreeSet<AxisName>> =
            stages.iter().map(|stage| (&stage.name, stage.mentions())).collect();
        let all: BTreeSet<&AxisName> = mentions.values().flatten().collect();
        let mut unused = Vec::new();
        for (axis, declared) in &self.declared {
            match &declared.owner {
                None if !all.contains(axis) => {
                    let message = format!("axis '{axis}' is declared, but no stage mentions '${axis}'");
                    unused.push((
                        declared.file,
                        declared.path.clone(),
                        message,
                        format!("use '${axis}' in a stage, or remove the axis"),
                    ));
                }
                Some(owner) if !mentions.get(owner).is_some_and(|axes| axes.contains(axis)) => {
                    let message = format!(
                        "axis '{axis}' is declared by stage '{owner}', which does not mention '${axis}'"
                    );
                    unused.push((
                        declared.file,
                        declared.path.clone(),
                        message,
                        format!("use '${axis}' there, or remove the axis"),
                    ));
                }
                _ => {}
            }
        }
        for (file, path, message, hint) in unused {
            self.file = file;
            self.key_error(&path, message, "varies nothing", hint);
        }
    }
}

/// Whether a stage needs another one, directly or not. What cannot be told, because a stage is broken, counts as yes.
fn is_after(stage: &StageSpec, other: &StageName, stages: &[StageSpec]) -> bool {
    let by_name: BTreeMap<&StageName, &StageSpec> = stages.iter().map(|stage| (&stage.name, stage)).collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![stage];
    while let Some(stage) = open.pop() {
        for name in stage.needs.iter().flat_map(|need| &need.stages) {
            match by_name.get(name) {
                _ if name == other => return true,
                None => return true,
                Some(next) if seen.insert(name) => open.push(next),
                Some(_) => {}
            }
        }
    }
    false
}
