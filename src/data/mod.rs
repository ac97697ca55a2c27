//! Datasets: published files to rows that a network can take.
//!
//! [`catalogue`] says what a dataset is, [`fetch`] obtains and verifies its files, [`mod@format`] is the table of the decoders ([`idx`],
//! [`cifar`], [`pixels`]), [`examples`] standardises what they give ([`bytes`]), and [`augment`] varies it.

pub mod augment;
pub mod bytes;
pub mod catalogue;
pub mod cifar;
pub mod examples;
pub mod fetch;
pub mod format;
pub mod idx;
pub mod picture;
pub mod pixels;
mod resized_crop;

pub use augment::Augment;
pub use examples::{DataError, Examples, Split, load};
