//! What a pipeline is. Pure: text in, graph with keys out; no disk, no clock, no kind known by name.
//!
//! The forms, each of which adds one guarantee: text → [`Document`], or [`Files`] with those that it uses (well-formed;
//! every value has a place) → [`Pipeline`] (kinds exist, inputs resolve and fit, parameters have types, no circle) → [`Graph`] (no
//! axes left, topological order) → [`Keyed`] (every node has a key; equal nodes merged).

mod axes;
pub mod document;
pub mod error;
pub mod files;
pub mod handling;
pub mod key;
pub mod matrix;
mod order;
pub mod overrides;
mod references;
pub mod scalar;
mod scales;
pub mod schema;
mod space;
pub mod spans;
pub mod spec;
mod stages;
pub mod target;
mod typing;
mod validate;

pub use document::Document;
pub use error::{SpecError, SpecErrors};
pub use files::{Files, ReadFile};
pub use key::{DigestOf, Keyed, KeyedNode};
pub use matrix::{Graph, Node};
pub use overrides::{Override, Variation};
pub use spec::Pipeline;

use crate::stage::Registry;

/// What a pipeline is told of the world around it.
pub struct Surroundings<'a> {
    /// The kinds that it may use.
    pub registry: Registry,
    /// The numerics class of this machine.
    pub numerics: &'a str,
    /// Gives the content of the project's files.
    pub digest: DigestOf<'a>,
    /// Gives the text of the pipeline files that it uses.
    pub read: ReadFile<'a>,
}

/// Goes all the way from text to keys.
///
/// `name` is what errors call the file, and the path that used files are relative to.
pub fn load(
    name: &str,
    text: &str,
    variation: &Variation,
    surroundings: &Surroundings<'_>,
) -> Result<Keyed, SpecErrors> {
    let files = Files::read(name, text, surroundings.read)?;
    let keyed = validate::validate(&files, variation, surroundings.registry)
        .and_then(|(pipeline, works)| Graph::expand(&files, &pipeline, &works).map(|graph| (pipeline, graph)))
        .and_then(|(pipeline, graph)| {
            Keyed::new(
                (pipeline.name, pipeline.scales),
                graph,
                &files,
                surroundings.numerics,
                surroundings.digest,
            )
        });
    keyed.map_err(|errors| files.blame(errors))
}

#[cfg(test)]
mod tests;
