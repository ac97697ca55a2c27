//! Datasets: published files to rows that a network can take.
//!
//! [`catalogue`] says what a dataset is, [`fetch`] obtains and verifies its files, [`idx`] decodes them, and
//! [`examples`] standardises them.

pub mod catalogue;
pub mod examples;
pub mod fetch;
pub mod idx;

pub use examples::{DataError, Examples, Split, load};
