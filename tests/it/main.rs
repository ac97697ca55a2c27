//! The one integration binary: the real program on real data.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail where it stands")]

mod architecture;
mod archive;
mod attacks;
mod claims;
mod cli;
mod command;
mod datasets;
mod determinism;
mod errors;
mod exec;
mod figures;
mod flags;
mod housekeeping;
mod import;
mod incremental;
mod language;
mod libraries;
mod models;
mod numerics;
mod paper;
mod reading;
mod report;
mod running;
mod slurm;
mod space;
mod tensorboard;
mod watching;
