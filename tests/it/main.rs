//! The one integration binary: the real program on real data.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail where it stands")]

mod architecture;
mod archive;
mod attacks;
mod bag;
mod claims;
mod cli;
mod command;
mod datasets;
mod determinism;
mod errors;
mod exec;
mod figures;
mod flags;
mod forging;
mod housekeeping;
mod import;
mod incremental;
mod language;
mod libraries;
mod models;
mod numerics;
mod paper;
mod reading;
mod remote;
mod report;
mod running;
mod s3;
mod signing;
mod slurm;
mod space;
mod tensorboard;
mod volumes;
mod watching;
