//! `ro-crate-metadata.json`: who made what from what, as an RO-Crate 1.1 with the profiles Process, Workflow and Provenance Run Crate
//! 0.5. Times are those of the records.

mod actions;
mod files;
mod workflow;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::archive::contents::Contents;
use crate::base::digest::Sums;

/// The profiles beside RO-Crate itself: identifier, name, version.
const PROFILES: [(&str, &str, &str); 4] = [
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
];
const WORKFLOW_CRATE: &str = "https://w3id.org/workflowhub/workflow-ro-crate/1.0";
const RO_CRATE: &str = "https://w3id.org/ro/crate/1.1";

/// Words of workflow runs that the context of RO-Crate 1.1 lacks; written out, so that no second context must be had.
const TERMS: [(&str, &str); 5] = [
    ("ParameterConnection", "https://w3id.org/ro/terms/workflow-run#ParameterConnection"),
    ("connection", "https://w3id.org/ro/terms/workflow-run#connection"),
    ("sourceParameter", "https://w3id.org/ro/terms/workflow-run#sourceParameter"),
    ("targetParameter", "https://w3id.org/ro/terms/workflow-run#targetParameter"),
    ("sha256", "https://w3id.org/ro/terms/workflow-run#sha256"),
];

/// The metadata, with a newline at the end.
pub(super) fn text(contents: &Contents, sums: &BTreeMap<String, Sums>) -> String {
    let sums = sums.iter().map(|(path, sums)| (escaped(path), *sums)).collect();
    let crate_ = Crate { contents, sums };
    let mut graph = vec![descriptor(), crate_.root()];
    graph.extend(PROFILES.map(
        |(id, name, version)| json!({ "@id": id, "@type": "CreativeWork", "name": name, "version": version }),
    ));
    graph.extend(crate_.workflow());
    graph.extend(crate_.actions());
    graph.extend(crate_.files());
    let terms: serde_json::Map<String, Value> =
        TERMS.iter().map(|(term, iri)| ((*term).to_owned(), json!(iri))).collect();
    let document = json!({ "@context": [format!("{RO_CRATE}/context"), terms], "@graph": graph });
    format!("{document:#}\n")
}

/// What entities are made from.
struct Crate<'a> {
    contents: &'a Contents,
    /// The files of the payload, by their identifiers.
    sums: BTreeMap<String, Sums>,
}

fn descriptor() -> Value {
    json!({
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": reference("./"),
        "conformsTo": [reference(RO_CRATE), reference(WORKFLOW_CRATE)],
    })
}

impl Crate<'_> {
    fn root(&self) -> Value {
        let about = self.contents.description.about.trim();
        let name = &self.contents.lock.pipeline;
        let about =
            if about.is_empty() { format!("Results of the pipeline '{name}'") } else { about.to_owned() };
        let profiles: Vec<_> = PROFILES.iter().map(|(id, ..)| reference(id)).collect();
        let actions = self.contents.made.iter().map(|made| reference(&action_id(&made.name)));
        let mentions: Vec<_> = [reference(RUN), reference(ORGANIZED)].into_iter().chain(actions).collect();
        json!({
            "@id": "./",
            "@type": "Dataset",
            "name": format!("{name}: results of a layerwise pipeline"),
            "description": about,
            "datePublished": time(self.end()),
            "license": reference("LICENSE"),
            "conformsTo": profiles,
            "hasPart": one_or_many(self.parts().iter().map(|id| reference(id)).collect()),
            "mainEntity": reference(&self.workflow_id()),
            "mentions": mentions,
        })
    }

    /// The first start of a stage, in seconds since 1970.
    fn start(&self) -> u64 {
        self.spans().map(|(start, _)| start).min().unwrap_or(0)
    }

    /// The last end of a stage.
    fn end(&self) -> u64 {
        self.spans().map(|(_, end)| end).max().unwrap_or(0)
    }

    fn spans(&self) -> impl Iterator<Item = (u64, u64)> {
        let spans = self.contents.made.iter().map(|made| span(&made.record.provenance));
        spans.filter(|(start, _)| *start > 0)
    }
}

/// The run as a whole.
const RUN: &str = "#run";
/// What the engine did.
const ORGANIZED: &str = "#organized";
/// The engine.
const ENGINE: &str = "#layerwise";

fn action_id(node: &str) -> String {
    format!("#run/{}", escaped(node))
}

/// Start and end of an execution, in whole seconds.
fn span(provenance: &crate::store::Provenance) -> (u64, u64) {
    (provenance.started, provenance.started.saturating_add(provenance.seconds.max(0.0).round() as u64))
}

/// As RO-Crate wants times; the seconds are since 1970.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let time = time.unwrap_or_default().naive_utc().to_string();
    format!("{}+00:00", time.replace(' ', "T"))
}

fn reference(id: &str) -> Value {
    json!({ "@id": id })
}

/// A list of one is written as the one: a recommendation.
fn one_or_many(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}

/// A name within an identifier: what a URI does not take is written as percent and hex digits.
fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'=' | b',' => {
            (byte as char).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_names_are_as_uris_and_iso_want_them() {
        assert_eq!(time(1_000_000_000), "2001-09-09T01:46:40+00:00");
        assert_eq!(action_id("fit[seed=0]"), "#run/fit%5Bseed=0%5D");
    }
}
