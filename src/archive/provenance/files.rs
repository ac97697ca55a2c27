//! The files of an archive, and what actions gave that is not in it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::actions::example_of;
use super::workflow::stage_of;
use super::{Crate, escaped, reference};
use crate::archive::contents::{Contents, LeftOut, Made};
use crate::archive::paths;
use crate::base::digest::Digest;
use crate::store::Output;

/// The identifiers of what an execution gave: files of the archive, URLs, or names of what is nowhere.
pub(super) fn output_ids<'a>(contents: &'a Contents, made: &'a Made) -> impl Iterator<Item = String> + 'a {
    made.record.outputs.iter().map(|output| match contents.left_out.get(&output.digest) {
        Some(left_out) => absent_id(contents, output.digest, left_out),
        None => escaped(&paths::object(output.digest)),
    })
}

/// What is published lies in the archive under that name too.
fn absent_id(contents: &Contents, digest: Digest, left_out: &LeftOut) -> String {
    let lock = &contents.lock;
    if let Some((name, _)) = lock.published.iter().find(|(_, published)| **published == digest) {
        return escaped(&paths::result(&lock.pipeline, name));
    }
    match &left_out.published {
        Some(published) => published.url.clone(),
        None => format!("#blake3/{digest}"),
    }
}

impl Crate<'_> {
    /// Identifiers of all data entities.
    pub(super) fn parts(&self) -> Vec<String> {
        let is_described = |id: &&String| !id.starts_with(paths::RECORDS);
        let files = self.sums.keys().filter(is_described).cloned();
        let elsewhere = self.contents.left_out.values().filter_map(|left_out| left_out.published.as_ref());
        files.chain(elsewhere.map(|published| published.url.clone())).collect()
    }

    /// Identifiers of what is published.
    pub(super) fn published(&self) -> impl Iterator<Item = String> {
        let pipeline = &self.contents.lock.pipeline;
        self.contents.lock.published.keys().map(|name| escaped(&paths::result(pipeline, name)))
    }

    /// An entity per file, the workflow's own left out.
    pub(super) fn files(&self) -> Vec<Value> {
        let outputs = self.outputs();
        let mut entities = Vec::new();
        for path in self.parts() {
            if path != self.workflow_id() && !path.contains("://") {
                entities.push(self.file(&path, &outputs));
            }
        }
        for (digest, left_out) in &self.contents.left_out {
            let id = absent_id(self.contents, *digest, left_out);
            if self.sums.contains_key(&id) {
                continue;
            }
            let ty = if left_out.published.is_some() { "File" } else { "CreativeWork" };
            entities.push(json!({
                "@id": id, "@type": ty, "name": left_out.output, "contentSize": left_out.size.to_string(),
                "identifier": format!("blake3:{digest}"), "encodingFormat": format_of(&left_out.output),
                "exampleOfWork": example_of(stage_of(&left_out.output)),
            }));
        }
        for (name, _) in &self.contents.tags {
            entities.push(
                json!({ "@id": name, "@type": "CreativeWork", "name": name, "description": what_is(name) }),
            );
        }
        entities.push(json!({
            "@id": "README.md", "@type": "CreativeWork", "name": "README", "about": reference("./"),
            "encodingFormat": "text/markdown", "description": what_is("README.md"),
        }));
        entities
    }

    /// The first node that gave an object, by the object's path.
    fn outputs(&self) -> BTreeMap<String, (&Made, &Output)> {
        let mut outputs = BTreeMap::new();
        for made in &self.contents.made {
            for output in &made.record.outputs {
                outputs.entry(escaped(&paths::object(output.digest))).or_insert((made, output));
            }
        }
        outputs
    }

    fn file(&self, id: &str, outputs: &BTreeMap<String, (&Made, &Output)>) -> Value {
        let mut entity = json!({ "@id": id, "@type": "File" });
        if let Some((made, output)) = outputs.get(id) {
            entity["name"] = json!(format!("{}/{}", made.name, output.name));
            entity["encodingFormat"] = json!(format_of(&output.name));
            entity["exampleOfWork"] = example_of(stage_of(&made.name));
        } else {
            entity["name"] = json!(id.rsplit('/').next().unwrap_or(id));
            entity["encodingFormat"] = json!(format_of(id));
        }
        self.describe_file(&mut entity);
        entity
    }

    /// Adds size and digests of the file that an entity stands for.
    pub(super) fn describe_file(&self, entity: &mut Value) {
        if let Some(sums) = entity["@id"].as_str().and_then(|id| self.sums.get(id)) {
            entity["contentSize"] = json!(sums.size.to_string());
            entity["sha256"] = json!(sums.sha256.to_string());
            entity["identifier"] = json!(format!("blake3:{}", sums.blake3));
        }
    }
}

fn what_is(name: &str) -> &'static str {
    match name {
        "LICENSE" => "Terms under which the program and these results may be used",
        "CITATION.cff" => "How to cite the program, and the study that it reproduces",
        _ => "How to check these results and to run them again",
    }
}

/// The media type of a file, by its name.
fn format_of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "csv" => "text/csv",
        "json" => "application/json",
        "md" => "text/markdown",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tex" => "application/x-tex",
        "yaml" | "yml" => "application/yaml",
        "gz" => "application/gzip",
        "txt" | "log" => "text/plain",
        _ => "application/octet-stream",
    }
}
