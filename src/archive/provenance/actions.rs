//! What happened: an action per execution, with what it read and gave, its parameters and its times.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::files::output_ids;
use super::workflow::{output_id, parameter_id, stage_of, step_id, tool_id};
use super::{Crate, ENGINE, ORGANIZED, RUN, action_id, escaped, one_or_many, reference, span, time};
use crate::archive::contents::Made;
use crate::stage::StageKey;

/// Who is named as the one who ran it: records know no person.
const AGENT: &str = "#operator";

impl Crate<'_> {
    /// All actions, and the values of parameters that they mention.
    pub(super) fn actions(&self) -> Vec<Value> {
        let by_key: BTreeMap<StageKey, &Made> =
            self.contents.made.iter().map(|made| (made.record.key, made)).collect();
        let mut entities = vec![self.run(), self.organized(), agent()];
        for made in &self.contents.made {
            entities.push(self.action(made, &by_key));
            entities.extend(values(made));
            entities.push(json!({
                "@id": control_id(made), "@type": "ControlAction", "name": format!("Control of {}", made.name),
                "instrument": reference(&step_id(stage_of(&made.name))), "object": reference(&action_id(&made.name)),
            }));
        }
        entities
    }

    /// The run as a whole: from the pipeline to what is published.
    fn run(&self) -> Value {
        let values = self.contents.made.iter().flat_map(values).map(|value| json!({ "@id": value["@id"] }));
        json!({
            "@id": RUN, "@type": "CreateAction", "name": format!("Run of {}", self.contents.lock.pipeline),
            "description": format!("{} stages on machines of the numerics class {}", self.contents.made.len(), self.contents.description.numerics),
            "instrument": reference(&self.workflow_id()), "agent": reference(AGENT),
            "object": values.collect::<Vec<_>>(),
            "result": one_or_many(self.published().map(|id| reference(&id)).collect()),
            "startTime": time(self.start()), "endTime": time(self.end()), "actionStatus": COMPLETED,
        })
    }

    /// The engine's part.
    fn organized(&self) -> Value {
        let controls = self.contents.made.iter().map(|made| reference(&control_id(made)));
        json!({
            "@id": ORGANIZED, "@type": "OrganizeAction", "name": format!("Orchestration of {}", self.contents.lock.pipeline),
            "instrument": reference(ENGINE), "agent": reference(AGENT),
            "object": one_or_many(controls.collect()), "result": reference(RUN),
            "startTime": time(self.start()), "endTime": time(self.end()),
        })
    }

    fn action(&self, made: &Made, by_key: &BTreeMap<StageKey, &Made>) -> Value {
        let record = &made.record;
        let sources = record.fields.inputs.iter().filter_map(|input| by_key.get(&input.key));
        let inputs = sources.flat_map(|source| output_ids(self.contents, source));
        let values = values(made).into_iter().map(|value| json!({ "@id": value["@id"] }));
        let objects: Vec<_> = inputs.map(|id| reference(&id)).chain(values).collect();
        let provenance = &record.provenance;
        let what = match &provenance.same_as {
            Some(other) => format!(
                "Not run: it reads the same as the execution {}, whose outputs these are",
                other.short()
            ),
            None => format!(
                "On {}, {} threads, revision {} of the source",
                provenance.host, provenance.threads, provenance.revision
            ),
        };
        let mut action = json!({
            "@id": action_id(&made.name), "@type": "CreateAction", "name": format!("Run of {}", made.name),
            "description": what, "identifier": format!("blake3:{}", record.key),
            "instrument": reference(&tool_id(&record.fields.kind)), "agent": reference(AGENT),
            "result": one_or_many(output_ids(self.contents, made).map(|id| reference(&id)).collect()),
            "actionStatus": COMPLETED,
        });
        if !objects.is_empty() {
            action["object"] = one_or_many(objects);
        }
        let (start, end) = span(provenance);
        if start > 0 {
            (action["startTime"], action["endTime"]) = (json!(time(start)), json!(time(end)));
        }
        action
    }
}

const COMPLETED: &str = "http://schema.org/CompletedActionStatus";

fn control_id(made: &Made) -> String {
    format!("#control/{}", escaped(&made.name))
}

fn agent() -> Value {
    json!({ "@id": AGENT, "@type": "Person", "name": "whoever ran the pipeline: see CITATION.cff" })
}

/// The parameters of an execution with their values; what is not a scalar is written as JSON.
fn values(made: &Made) -> Vec<Value> {
    let stage = stage_of(&made.name);
    let value = |(name, value): (&String, &Value)| {
        let value =
            if value.is_object() || value.is_array() { json!(value.to_string()) } else { value.clone() };
        json!({
            "@id": format!("{}/{}", action_id(&made.name), escaped(name)), "@type": "PropertyValue",
            "name": format!("{stage}.{name}"), "value": value, "exampleOfWork": reference(&parameter_id(stage, name)),
        })
    };
    made.record.fields.parameters.as_object().into_iter().flatten().map(value).collect()
}

/// That a file is what a stage gives.
pub(super) fn example_of(stage: &str) -> Value {
    reference(&output_id(stage))
}
