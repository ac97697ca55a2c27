//! A cache that many share: results in a bucket, a container, a folder, or behind a web server.
//!
//! ```text
//! v1/objects/ab/cdef…    a large object, as one zstd frame, named by the BLAKE3 of what is in it
//!    packs/ab/cdef…      many small objects and records, a zstd frame each, named by its own BLAKE3
//!    index/<blake3>      what one push brought, and where in which pack it is; named by its own BLAKE3
//!    index/<blake3>.<key>.minisig   the signature of who vouches for it
//!    catalogue           the names of all in index, for those who cannot list
//! ```
//!
//! **No name ever has other bytes**, so that nobody needs to lock anything, and a store that does not honour conditional writes does no
//! harm: who overwrites, writes the same. Only the catalogue changes, and it is but a hint. **The index is the commit point**: it
//! is written last, so what it names is there, and what a broken push left is named by none.
//!
//! Nothing that comes back is believed: an index has the digests of records, a record those of objects, and what does not fit is as if
//! it were not there. What a remote can lie about is what a stage gives; [`Trusted`](crate::base::signature::Trusted) keys limit who may say so.

mod address;
mod catalogue;
mod download;
mod index;
mod piece;
mod pull;
mod push;
mod secrets;
mod tasks;
mod upload;
mod wire;

use std::path::PathBuf;

use tokio::runtime::{Builder, Runtime};

pub use address::Access;
pub use catalogue::Catalogue;
pub use pull::{Records, Refusal, Taken};
pub use push::{Pushed, Pushing};

use crate::base::digest::Digest;
use crate::base::fsx::FileError;
use crate::store::StoreError;
use wire::Wire;

/// How often a request is tried again.
const RETRIES: usize = 6;
/// Threads that talk to the network; packing and hashing have others.
const TALKERS: usize = 2;

/// A cache elsewhere.
pub struct Remote {
    wire: Wire,
    runtime: Runtime,
}

/// Why something could not be had from a remote, or brought there.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address means nothing.
    #[error("the remote '{address}' cannot be used: {why}")]
    Address {
        /// As it was given, without what is secret.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The address is a folder that is not there.
    #[error("the remote '{}' is no folder", path.display())]
    NoFolder {
        /// Where it would be.
        path: PathBuf,
    },
    /// A file of the aws program cannot be read.
    #[error("the file '{}' cannot be read: {why}", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        why: String,
    },
    /// The chosen profile stands in no file of the aws program.
    #[error("no file of the aws program has a profile '{name}'")]
    NoProfile {
        /// Its name.
        name: String,
    },
    /// Nothing says who we are.
    #[error("there are no credentials for {of}")]
    NoCredentials {
        /// The storage.
        of: &'static str,
    },
    /// What answers did not do what it was asked.
    #[error("the remote '{remote}' did not {action} '{what}': {said}")]
    Answer {
        /// Its address, without what is secret.
        remote: String,
        /// What it was asked to do.
        action: &'static str,
        /// With what.
        what: String,
        /// Its own words, without what is secret.
        said: String,
        /// Of what sort they are.
        sort: Sort,
    },
    /// What is there was not written by this program, or by a later one.
    #[error("the remote '{remote}' is of a format that this version does not understand")]
    Newer {
        /// Its address, without what is secret.
        remote: String,
    },
    /// A web server only gives.
    #[error("the remote '{remote}' can only be read")]
    ReadOnly {
        /// Its address, without what is secret.
        remote: String,
    },
    /// An object that was to be pushed is not what its name says.
    #[error("object {} of this store is damaged: it was not pushed", object.short())]
    Damaged {
        /// The object.
        object: Digest,
    },
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
    /// The disk said no.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sorts of answers that are no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// No credentials, or not the right ones.
    Denied,
    /// No such bucket or container.
    NotThere,
    /// Nobody answered.
    Silence,
    /// Anything else.
    Other,
}

impl Remote {
    /// Opens what is at an address: `s3://bucket/…`, `gs://…`, `az://…`, `https://…`, or a folder, which is made if it `is_made`.
    pub fn open(address: &str, access: &Access, is_made: bool) -> Result<Self, RemoteError> {
        Self::patient(address, access, is_made, RETRIES)
    }

    fn patient(address: &str, access: &Access, is_made: bool, retries: usize) -> Result<Self, RemoteError> {
        // Somebody else may have chosen already; it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = address::open(address, access, is_made, address::retries(retries))?;
        let runtime = Builder::new_multi_thread().worker_threads(TALKERS).enable_all().build();
        let runtime = runtime.map_err(|source| {
            FileError::new("start threads for", std::path::Path::new(&endpoint.shown), source)
        })?;
        Ok(Self { wire: Wire::new(endpoint), runtime })
    }

    /// Its address, without what is secret.
    pub fn shown(&self) -> &str {
        self.wire.shown()
    }
}

#[cfg(test)]
mod tests;
