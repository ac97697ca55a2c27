//! Files become a pipeline: kinds exist, inputs resolve and fit, references are declared, parameters are typed, no circle.
//!
//! All mistakes are told at once, but none that only follows from another: what a broken part would have declared is taken
//! to be there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::base::name::{self, AxisName, StageName};
use crate::base::suggest;
use crate::pipeline::axes::Declared;
use crate::pipeline::document::join;
use crate::pipeline::error::SpecError;
use crate::pipeline::files::Files;
use crate::pipeline::order;
use crate::pipeline::overrides::{Override, Variation};
use crate::pipeline::spec::{Pipeline, StageSpec};
use crate::pipeline::typing::{self, Works};
use crate::stage::Registry;

pub(super) const TOP_LEVEL: [&str; 7] = ["pipeline", "about", "use", "params", "matrix", "scales", "stages"];

/// Checks files; returns the pipeline, and the typed work of each of its stages.
pub(super) fn validate(
    files: &Files,
    variation: &Variation,
    registry: Registry,
) -> Result<(Pipeline, Vec<Works>), Vec<SpecError>> {
    let mut checker = Checker {
        files,
        registry,
        scale: variation.scale.as_deref(),
        given: &variation.overrides,
        overrides: variation.overrides.clone(),
        file: 0,
        errors: files.missing.clone(),
        declared: BTreeMap::new(),
        used_overrides: BTreeSet::new(),
        knows_axes: files.missing.is_empty(),
        knows_parameters: files.missing.is_empty(),
        stages: BTreeMap::new(),
        scale_names: Vec::new(),
    };
    let pipeline = checker.pipeline();
    let works: Vec<Works> = pipeline
        .stages
        .iter()
        .map(|spec| typing::works(files, &pipeline, spec, &mut checker.errors))
        .collect();
    if checker.errors.is_empty() { Ok((pipeline, works)) } else { Err(checker.errors) }
}

/// What is known so far; files are looked at one by one.
pub(super) struct Checker<'a> {
    pub(super) files: &'a Files,
    pub(super) registry: Registry,
    /// The scale that is asked for.
    pub(super) scale: Option<&'a str>,
    /// What the command line sets.
    pub(super) given: &'a [Override],
    /// That, behind what the scale sets: the last one counts.
    pub(super) overrides: Vec<Override>,
    /// The file that is looked at.
    pub(super) file: usize,
    pub(super) errors: Vec<SpecError>,
    pub(super) declared: BTreeMap<AxisName, Declared>,
    pub(super) used_overrides: BTreeSet<String>,
    /// Whether `declared` is all there is, so that another name is a mistake.
    pub(super) knows_axes: bool,
    /// Likewise for the parameters.
    pub(super) knows_parameters: bool,
    /// Every name under `stages`, and the file in which it stands.
    pub(super) stages: BTreeMap<&'a str, usize>,
    /// Every name under `scales`.
    pub(super) scale_names: Vec<String>,
}

impl<'a> Checker<'a> {
    fn pipeline(&mut self) -> Pipeline {
        let tops = self.tops();
        let scales = self.scales(&tops);
        let mut pipeline = Pipeline {
            name: String::new(),
            factors: Vec::new(),
            parameters: BTreeMap::new(),
            scales: self.scale_names.clone(),
            stages: Vec::new(),
        };
        for (file, top) in &tops {
            self.file = *file;
            if let Some(matrix) = top.get("matrix") {
                match self.mapping(matrix, "matrix", "'matrix'") {
                    Some(matrix) => pipeline.factors.extend(self.matrix(matrix, "matrix", None)),
                    None => self.knows_axes = false,
                }
            }
        }
        let stages = self.stages(&tops);
        for (file, name, body) in &stages {
            self.file = *file;
            let matrix = join(&join("stages", name), "matrix");
            if let Some(block) = body.get("matrix").and_then(|value| self.mapping(value, &matrix, "'matrix'"))
            {
                pipeline.factors.extend(self.matrix(block, &matrix, Some(&StageName::new(*name))));
            }
        }
        self.parameters(&tops, &mut pipeline.parameters);
        self.unused_overrides(&pipeline.parameters);
        self.settable(&scales, &pipeline.parameters);
        let specs: Vec<StageSpec> = stages
            .into_iter()
            .filter_map(|(file, name, body)| {
                self.file = file;
                self.stage(name, body, &pipeline.parameters)
            })
            .collect();
        self.file = 0;
        let name = tops.first().and_then(|(_, top)| self.pipeline_name(top)).unwrap_or_default();
        pipeline.name = match self.scale {
            Some(scale) => format!("{name}-{scale}"),
            None => name,
        };
        let (specs, mut mistakes) = order::order(self.files, specs, &self.stages);
        self.errors.append(&mut mistakes);
        self.references(&specs, &pipeline.parameters);
        if self.errors.is_empty() {
            self.unused(&specs);
        }
        pipeline.stages = specs;
        pipeline
    }

    /// The mapping that each file is.
    fn tops(&mut self) -> Vec<(usize, &'a Map<String, Value>)> {
        let mut tops = Vec::new();
        for (file, document) in self.files.documents.iter().enumerate() {
            self.file = file;
            let Some(top) = self.mapping(&document.value, "", "a pipeline file") else {
                (self.knows_axes, self.knows_parameters) = (false, false);
                continue;
            };
            self.known_keys(top, "", &TOP_LEVEL);
            let is_misspelt = |word: &str| {
                let mut unknown = top.keys().filter(|key| !TOP_LEVEL.contains(&key.as_str()));
                !top.contains_key(word) && unknown.any(|key| suggest::nearest(key, TOP_LEVEL) == Some(word))
            };
            self.knows_axes &= !is_misspelt("matrix") && !is_misspelt("use");
            self.knows_parameters &= !is_misspelt("params") && !is_misspelt("use");
            self.used_files(top);
            tops.push((file, top));
        }
        tops
    }

    fn used_files(&mut self, top: &Map<String, Value>) {
        let is_path = |value: &Value| value.as_str().is_some_and(|path| !path.is_empty());
        let is_sound = match top.get("use") {
            Some(Value::Array(paths)) => !paths.is_empty() && paths.iter().all(is_path),
            Some(path) => is_path(path),
            None => true,
        };
        if !is_sound {
            (self.knows_axes, self.knows_parameters) = (false, false);
            self.key_error(
                "use",
                "'use' must name a pipeline file, or a list of them",
                "not a path",
                "write 'use: other.yaml'",
            );
        }
    }

    /// Every stage of every file.
    fn stages(&mut self, tops: &[(usize, &'a Map<String, Value>)]) -> Vec<(usize, &'a str, &'a Value)> {
        let mut found = Vec::new();
        for (file, top) in tops {
            self.file = *file;
            let stages = top.get("stages").and_then(|stages| self.mapping(stages, "stages", "'stages'"));
            for (name, body) in stages.into_iter().flatten() {
                let path = join("stages", name);
                if let Some(first) = self.stages.get(name.as_str()) {
                    let label = format!("already at {}", self.files.place(*first, &path));
                    let message = format!("stage '{name}' stands in two files");
                    self.key_error(&path, message, &label, "rename or remove one of them");
                } else {
                    self.stages.insert(name, *file);
                    found.push((*file, name.as_str(), body));
                }
            }
        }
        self.file = 0;
        let has_stages = tops.iter().any(|(_, top)| top.contains_key("stages"));
        if !has_stages && !tops.is_empty() && self.files.missing.is_empty() {
            let path = if tops[0].1.contains_key("pipeline") { "pipeline" } else { "" };
            self.error(path, "a pipeline needs 'stages'", "no 'stages:' beside this", "add 'stages:'");
        }
        found
    }

    pub(super) fn error(
        &mut self,
        path: &str,
        message: impl Into<String>,
        label: &str,
        hint: impl Into<String>,
    ) {
        self.errors.push(self.files.error(self.file, path, message, label).hint(hint));
    }

    pub(super) fn key_error(
        &mut self,
        path: &str,
        message: impl Into<String>,
        label: &str,
        hint: impl Into<String>,
    ) {
        let span = self.files.locate_key(self.file, path);
        self.errors.push(SpecError::at(span, message, label).in_file(self.file).hint(hint));
    }

    pub(super) fn nowhere(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let error = SpecError::nowhere(message).hint(hint);
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub(super) fn mapping(
        &mut self,
        value: &'a Value,
        path: &str,
        what: &str,
    ) -> Option<&'a Map<String, Value>> {
        if value.as_object().is_none() {
            let message = format!("{what} must be a mapping");
            self.error(path, message, "not a mapping", "write 'key: value' lines");
        }
        value.as_object()
    }

    pub(super) fn known_keys(&mut self, members: &Map<String, Value>, path: &str, known: &[&str]) {
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

    fn parameters(
        &mut self,
        tops: &[(usize, &'a Map<String, Value>)],
        parameters: &mut BTreeMap<String, Value>,
    ) {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (file, top) in tops {
            self.file = *file;
            let Some(value) = top.get("params") else { continue };
            let Some(members) = self.mapping(value, "params", "'params'") else {
                self.knows_parameters = false;
                continue;
            };
            for (name, value) in members {
                let path = join("params", name);
                if let Some(problem) = name::problem(name) {
                    let message = format!("'{name}' is not a name: {problem}");
                    self.key_error(&path, message, "not a name", "use letters, digits, '-' and '_'");
                }
                if let Some(first) = places.insert(name, *file) {
                    let label = format!("already at {}", self.files.place(first, &path));
                    let message = format!("parameter '{name}' stands in two files");
                    self.key_error(&path, message, &label, "rename or remove one of them");
                }
                parameters.insert(name.clone(), value.clone());
            }
        }
        for Override { name, value } in &self.overrides {
            if let Some(parameter) = parameters.get_mut(name).filter(|_| !self.used_overrides.contains(name))
            {
                *parameter = value.clone();
            }
        }
    }

    fn unused_overrides(&mut self, parameters: &BTreeMap<String, Value>) {
        let axes: Vec<AxisName> = self.declared.keys().cloned().collect();
        for Override { name, .. } in self.given {
            let is_known = parameters.contains_key(name) || axes.iter().any(|axis| axis.as_str() == name);
            if !is_known && self.knows_axes && self.knows_parameters {
                let names = axes.iter().map(AxisName::as_str).chain(parameters.keys().map(String::as_str));
                let hint = suggest::hint(name, names);
                let message = format!("--set {name}: the pipeline has no parameter or axis '{name}'");
                self.nowhere(message, hint);
            }
        }
    }
}
