//! What a pipeline is. Pure: text in, graph with keys out; no disk, no clock, no kind known by name.
//!
//! The forms, each of which adds one guarantee: text → [`Document`] (well-formed; every value has a place) → [`Pipeline`]
//! (kinds exist, inputs resolve and fit, no cycle) → [`Graph`] (no axes left, typed parameters, topological order) →
//! [`Keyed`] (every node has a key; equal nodes merged).

pub mod document;
pub mod error;
pub mod key;
pub mod matrix;
mod order;
pub mod overrides;
pub mod scalar;
pub mod spans;
pub mod spec;
pub mod validate;

pub use document::Document;
pub use error::{SpecError, SpecErrors};
pub use key::{DigestOf, Keyed, KeyedNode};
pub use matrix::{Graph, Node};
pub use overrides::Override;
pub use spec::Pipeline;

use crate::stage::Registry;

/// Goes all the way from text to keys.
///
/// `name` is what errors call the file; `numerics` is the numerics class of this machine; `digest` gives the content of the
/// project's files.
pub fn load(
    name: &str,
    text: &str,
    overrides: &[Override],
    registry: Registry,
    numerics: &str,
    digest: DigestOf<'_>,
) -> Result<Keyed, SpecErrors> {
    let document = Document::parse(name, text)?;
    let keyed = Pipeline::validate(&document, overrides, registry)
        .and_then(|pipeline| Graph::expand(&document, &pipeline).map(|graph| (pipeline, graph)))
        .and_then(|(pipeline, graph)| Keyed::new(pipeline.name, graph, &document, numerics, digest));
    keyed.map_err(|errors| document.blame(errors))
}

#[cfg(test)]
mod tests;
