//! Which layers of a network are critical, which robust: "Are All Layers Created Equal?" (Zhang, Bengio, Singer) as a
//! cached, declarative pipeline.
//!
//! Who may import whom (a test holds it):
//!
//! ```text
//! cli                                   names everything; the only place that prints
//! archive      remote      slurm        results as one file | a cache that many share | nodes as jobs of a cluster
//! engine                                decides, runs, reports
//! kinds        pipeline    store        joins | text → graph | keys → files
//! nn data  report          stage        learning | a page | the contract between the two halves
//! table figure
//! base                                  digests, names, files, randomness
//! ```

pub mod archive;
pub mod base;
pub mod cli;
pub mod data;
pub mod engine;
pub mod figure;
pub mod kinds;
pub mod nn;
pub mod pipeline;
pub mod remote;
pub mod report;
pub mod slurm;
pub mod stage;
pub mod store;
pub mod table;
