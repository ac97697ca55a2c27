//! A graph becomes a keyed graph: every node knows its identity, and equal nodes are one.

use crate::base::digest::Digest;
use crate::base::fsx::FileError;
use crate::pipeline::error::SpecError;
use crate::pipeline::files::Files;
use crate::pipeline::matrix::{Graph, Node, describe};
use crate::stage::key::{InputKey, KeyFields, Source};
use crate::stage::{Arity, StageKey};

/// A graph whose nodes have keys. Pure: no disk was touched.
pub struct Keyed {
    /// The pipeline's name.
    pub pipeline: String,
    /// Names of its scales.
    pub scales: Vec<String>,
    /// The nodes, each after those it needs.
    pub nodes: Vec<KeyedNode>,
}

/// A node and its identity.
pub struct KeyedNode {
    /// The unit of work.
    pub node: Node,
    /// What went into the key.
    pub fields: KeyFields,
    /// The nodes behind the key's inputs, in their order, twins resolved.
    pub inputs: Vec<usize>,
    /// The key.
    pub key: StageKey,
    /// The first node with this key: itself, unless the pipeline says the same thing twice. Work is done there.
    pub twin: usize,
}

impl Keyed {
    /// Computes all keys; `digest` gives the content of a file or folder of the project.
    pub fn new(
        (pipeline, scales): (String, Vec<String>),
        graph: Graph,
        files: &Files,
        numerics: &str,
        digest: DigestOf<'_>,
    ) -> Result<Self, Vec<SpecError>> {
        let mut errors = Vec::new();
        let mut nodes: Vec<KeyedNode> = Vec::with_capacity(graph.nodes.len());
        let mut first = std::collections::BTreeMap::new();
        for node in graph.nodes {
            let (keys, inputs) = input_keys(&node, &nodes);
            let sources = sources(&node, files, digest).unwrap_or_else(|error| {
                errors.extend(Some(error).filter(|error| !errors.contains(error)));
                Vec::new()
            });
            let fields = KeyFields::new(node.work.kind(), node.work.parameters(), numerics, sources, keys);
            let key = fields.key();
            let twin = *first.entry(key).or_insert(nodes.len());
            nodes.push(KeyedNode { node, fields, inputs, key, twin });
        }
        if errors.is_empty() { Ok(Self { pipeline, scales, nodes }) } else { Err(errors) }
    }
}

/// Gives the digest of a file or folder of the project.
pub type DigestOf<'a> = &'a dyn Fn(&str) -> Result<Digest, FileError>;

fn sources(node: &Node, files: &Files, digest: DigestOf<'_>) -> Result<Vec<Source>, SpecError> {
    let source = |path: String| match digest(&path) {
        Ok(digest) => Ok(Source { path, digest }),
        Err(error) => {
            let stage = format!("stages.{}.{}", node.stage, node.work.kind().name);
            let file = files.file_of(node.stage.as_str());
            Err(files.error(file, &format!("{stage}.files"), error.to_string(), "declared here").hint(
                "correct the path; it is relative to the folder that holds 'datasets', or to the current one",
            ))
        }
    };
    node.work.sources().into_iter().map(source).collect()
}

fn input_keys(node: &Node, earlier: &[KeyedNode]) -> (Vec<InputKey>, Vec<usize>) {
    let mut keys = Vec::new();
    for (slot, places) in &node.inputs {
        for place in places {
            let source = &earlier[*place];
            // Where a slot gathers, the coordinates become columns of a table, so they affect the result.
            let coordinates = match slot.arity {
                Arity::One => String::new(),
                Arity::Many | Arity::Any => describe(&source.node.coordinates),
            };
            let slot = slot.name.clone().into_owned();
            keys.push((InputKey { slot, coordinates, key: source.key }, source.twin));
        }
    }
    keys.sort();
    keys.into_iter().unzip()
}
