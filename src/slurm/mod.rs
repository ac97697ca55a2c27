//! Nodes as jobs of a Slurm cluster.
//!
//! The scheduler decides what runs, as on one machine; here ready nodes become arrays of jobs, are followed, and are submitted again where
//! that helps. The store on the shared file system is the only channel: a job succeeded if and only if its record is there, whatever
//! Slurm says of it. What Slurm prints is read in `text`, what that means is said in `judge`, and when it is believed in `follow`.
//!
//! Never here: a kind of work by name, a word on the terminal.

pub mod batch;
pub mod client;
mod cluster;
pub mod executor;
pub mod follow;
pub mod judge;
mod pace;
pub mod profile;
pub mod request;
mod script;
pub mod share;
pub mod simulation;
pub mod text;
mod told;
mod words;

pub use batch::{Attempt, End, Folder, Header};
pub use client::SlurmError;
pub use executor::Slurm;
pub use profile::Profile;
pub use request::Request;
pub use script::{Submitter, identity};
pub use share::Share;
pub use told::Teller;
