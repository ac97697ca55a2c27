//! The pipeline as a workflow: its stages are steps, the kinds of work are tools, what goes between stages are parameters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Crate, ENGINE, escaped, one_or_many, reference};
use crate::archive::contents::Made;
use crate::archive::paths::PAYLOAD;

/// What all parameters conform to.
const FORMAL_PARAMETER: &str = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE";
const LANGUAGE: &str = "#language";

/// The name of the stage of a node.
pub(super) fn stage_of(node: &str) -> &str {
    node.split('[').next().unwrap_or(node)
}

pub(super) fn step_id(stage: &str) -> String {
    format!("#step/{stage}")
}

pub(super) fn tool_id(kind: &str) -> String {
    format!("#kind/{kind}")
}

/// The parameter that stands for what a stage gives.
pub(super) fn output_id(stage: &str) -> String {
    format!("#output/{stage}")
}

/// The parameter that stands for one of a stage's own.
pub(super) fn parameter_id(stage: &str, name: &str) -> String {
    format!("#parameter/{stage}/{}", escaped(name))
}

impl Crate<'_> {
    pub(super) fn workflow_id(&self) -> String {
        format!("{PAYLOAD}{}", escaped(&self.contents.description.file))
    }

    /// The stages, each with the first of its nodes, in the order of the pipeline.
    fn stages(&self) -> Vec<(&str, &Made)> {
        let mut seen = BTreeSet::new();
        let stages = self.contents.made.iter().map(|made| (stage_of(&made.name), made));
        stages.filter(|(stage, _)| seen.insert(*stage)).collect()
    }

    /// The workflow and all that it consists of.
    pub(super) fn workflow(&self) -> Vec<Value> {
        let stages = self.stages();
        let kinds: BTreeMap<&str, u32> = stages
            .iter()
            .map(|(_, made)| (made.record.fields.kind.as_str(), made.record.fields.version))
            .collect();
        let parameters = self.parameters();
        let outputs: Vec<_> = stages.iter().map(|(stage, _)| reference(&output_id(stage))).collect();
        let mut entities = vec![self.workflow_entity(&kinds, &parameters, outputs)];
        entities.extend(descriptions());
        for (kind, version) in kinds {
            entities.push(json!({
                "@id": tool_id(kind), "@type": "SoftwareApplication", "name": format!("layerwise {kind}"),
                "description": format!("The kind of work '{kind}' of layerwise"), "softwareVersion": version.to_string(),
            }));
        }
        for (position, (stage, made)) in stages.iter().enumerate() {
            entities.push(json!({
                "@id": step_id(stage), "@type": "HowToStep", "name": *stage, "position": position.to_string(),
                "workExample": reference(&tool_id(&made.record.fields.kind)),
            }));
            entities.push(parameter(&output_id(stage), &format!("{stage}.output"), "File"));
        }
        entities.extend(parameters.iter().map(|(id, name)| parameter(id, name, "Text")));
        entities.extend(self.connections());
        entities
    }

    fn workflow_entity(
        &self,
        kinds: &BTreeMap<&str, u32>,
        parameters: &BTreeMap<String, String>,
        outputs: Vec<Value>,
    ) -> Value {
        let stages = self.stages();
        let mut entity = json!({
            "@id": self.workflow_id(),
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "conformsTo": reference("https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"),
            "name": self.contents.lock.pipeline,
            "version": self.contents.description.version,
            "programmingLanguage": reference(LANGUAGE),
            "hasPart": one_or_many(kinds.keys().map(|kind| reference(&tool_id(kind))).collect()),
            "step": one_or_many(stages.iter().map(|(stage, _)| reference(&step_id(stage))).collect()),
            "input": one_or_many(parameters.keys().map(|id| reference(id)).collect()),
            "output": one_or_many(outputs),
        });
        let connections: Vec<_> =
            self.connections().iter().map(|connection| json!({ "@id": connection["@id"] })).collect();
        if !connections.is_empty() {
            entity["connection"] = one_or_many(connections);
        }
        self.describe_file(&mut entity);
        entity
    }

    /// Parameters of all stages: identifier and name.
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::new();
        for made in &self.contents.made {
            let stage = stage_of(&made.name);
            for name in made.record.fields.parameters.as_object().into_iter().flatten().map(|(name, _)| name)
            {
                parameters.insert(parameter_id(stage, name), format!("{stage}.{name}"));
            }
        }
        parameters
    }

    /// What goes from stage to stage.
    fn connections(&self) -> Vec<Value> {
        let by_key: BTreeMap<_, _> =
            self.contents.made.iter().map(|made| (made.record.key, stage_of(&made.name))).collect();
        let mut pairs = BTreeSet::new();
        for made in &self.contents.made {
            let sources = made.record.fields.inputs.iter().filter_map(|input| by_key.get(&input.key));
            pairs.extend(sources.map(|source| (*source, stage_of(&made.name))));
        }
        let connection = |(from, to): (&str, &str)| {
            json!({
                "@id": format!("#connection/{from}/{to}"), "@type": "ParameterConnection",
                "sourceParameter": reference(&output_id(from)), "targetParameter": reference(&output_id(to)),
            })
        };
        pairs.into_iter().map(connection).collect()
    }
}

fn parameter(id: &str, name: &str, ty: &str) -> Value {
    json!({
        "@id": id, "@type": "FormalParameter", "name": name, "additionalType": ty,
        "conformsTo": reference(FORMAL_PARAMETER),
    })
}

/// What has no place in the pipeline: its language, its engine, what parameters conform to.
fn descriptions() -> [Value; 4] {
    let version = env!("CARGO_PKG_VERSION");
    [
        json!({
            "@id": LANGUAGE, "@type": "ComputerLanguage", "name": "layerwise pipeline", "alternateName": "layerwise",
            "version": version,
        }),
        json!({
            "@id": ENGINE, "@type": "SoftwareApplication", "name": "layerwise", "softwareVersion": version,
            "description": "A declarative pipeline whose outputs are named by their content",
        }),
        json!({ "@id": FORMAL_PARAMETER, "@type": "CreativeWork", "name": "FormalParameter", "version": "1.0-RELEASE" }),
        json!({
            "@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE", "@type": "CreativeWork",
            "name": "ComputationalWorkflow", "version": "1.0-RELEASE",
        }),
    ]
}
