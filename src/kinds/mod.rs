//! The kinds of work, a file or a folder each: thin joins of a library (`nn`, `data`, `table`, `figure`) to the contract in `stage`.

pub mod aggregate;
pub mod attack;
pub mod checkpoint;
pub mod claim;
pub mod command;
pub mod compare;
pub mod distance;
pub mod download;
pub mod evaluate;
pub mod figure;
#[cfg(test)]
mod fixture;
pub mod greedy;
pub mod images;
pub mod import;
#[cfg(test)]
mod incremental;
pub mod parameters;
pub mod query;
pub mod recover;
pub mod reset;
mod rows;
pub mod sample;
pub mod similarity;
#[cfg(test)]
mod testing;
pub mod train;

use crate::stage::{ArtifactType, Kind};

/// The published files of a dataset, verified.
pub const DATASET: ArtifactType = ArtifactType("dataset");
/// A trained network: its checkpoints, and the learning curves.
pub const RUN: ArtifactType = ArtifactType("run");
/// Which layers to reset to what: a list, no tensors.
pub const PATCHES: ArtifactType = ArtifactType("patches");
/// Tidy rows of probes.
pub const PROBES: ArtifactType = ArtifactType("probes");
/// Tidy rows of distances.
pub const DISTANCES: ArtifactType = ArtifactType("distances");
/// Aggregated rows.
pub const TABLE: ArtifactType = ArtifactType("table");
/// A picture.
pub const FIGURE: ArtifactType = ArtifactType("figure");
/// Ours beside the published values.
pub const COMPARISON: ArtifactType = ArtifactType("comparison");
/// A sentence and its verdict.
pub const CLAIM: ArtifactType = ArtifactType("claim");
/// What a program wrote.
pub const FILES: ArtifactType = ArtifactType("files");

/// The one registration: a new kind is a file or a folder beside this one and a line here.
pub static KINDS: &[Kind] = &[
    Kind::of::<download::Download>(),
    Kind::of::<images::Images>(),
    Kind::of::<sample::Sample>(),
    Kind::of::<train::Train>(),
    Kind::of::<import::Import>(),
    Kind::of::<checkpoint::Checkpoint>(),
    Kind::of::<reset::Reset>(),
    Kind::of::<greedy::Greedy>(),
    Kind::of::<evaluate::Evaluate>(),
    Kind::of::<recover::Recover>(),
    Kind::of::<similarity::Similarity>(),
    Kind::of::<attack::Attack>(),
    Kind::of::<distance::Distances>(),
    Kind::of::<aggregate::Aggregate>(),
    Kind::of::<query::Query>(),
    Kind::of::<figure::Figure>(),
    Kind::of::<compare::Compare>(),
    Kind::of::<claim::Claim>(),
    Kind::of::<command::Command>(),
];
