//! Decides what must run, runs it, and says what came of it.
//!
//! Never here: a look inside an artifact, a kind by name, a word on the terminal, an async runtime, global state. Events go to an
//! [`Observer`]; the store is the only channel between stages.

pub mod audit;
mod capacity;
pub mod diff;
mod dispatch;
pub mod event;
pub mod executor;
pub mod explain;
mod flusher;
mod inputs;
mod job;
pub mod lock;
pub mod outcome;
pub mod plan;
pub mod publish;
mod rerun;
pub mod scheduler;
mod single;
mod workers;

pub use capacity::{Capacity, TooMuch};
pub use event::{Event, Observer};
pub use executor::Executor;
pub use explain::Explainer;
pub use lock::Lock;
pub use outcome::Outcome;
pub use plan::{Plan, Reason, Status, Wish};
pub use rerun::{Differing, RerunError, rerun};
pub use scheduler::{RunError, Settings, run, run_on};
pub use single::run_one;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toys;
