//! What every other module stands on: digests, canonical bytes, names, files, memory, journals, randomness, nonces, the wish to stop.
//!
//! No word of pipelines or of learning appears here.

pub mod cancel;
pub mod canonical;
pub mod causes;
pub mod child;
pub mod digest;
#[cfg(test)]
pub(crate) mod fault;
pub mod files;
pub mod fsx;
pub mod journal;
pub mod memory;
pub mod name;
pub mod nonce;
pub mod place;
pub mod rng;
pub mod signature;
pub mod suggest;
