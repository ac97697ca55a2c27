//! Caches that many share: `push`, `pull`, and what `run --remote` fetches.

mod fetch;
mod pull;
mod push;

use std::path::PathBuf;

use clap::Args;

use crate::base::signature::Trusted;
use crate::cli::failure::Failure;
use crate::cli::page;
use crate::remote::{Access, Catalogue, Remote, RemoteError, Sort};
use crate::store::Store;

pub(super) use pull::Pull;
pub(super) use push::{Push, push, tell_pushed};

/// The variable that names a remote for all commands.
const VARIABLE: &str = "LAYERWISE_REMOTE";

/// Options of every command that talks to a remote.
#[derive(Args)]
pub(super) struct Shared {
    #[arg(
        long,
        value_name = "URL",
        help = "The shared cache: s3://bucket/…, gs://…, az://…, https://… (to read), or a folder [default: $LAYERWISE_REMOTE]"
    )]
    remote: Option<String>,
    /// Believe only what the owner of this minisign key vouches for
    #[arg(long, value_name = "FILE.pub")]
    trusted: Vec<PathBuf>,
}

/// A remote, and what is there.
pub(super) struct Opened {
    pub(super) remote: Remote,
    pub(super) there: Catalogue,
}

impl Shared {
    /// Opens the remote that is named, if one is; a folder that is not there is made if it `is_made`.
    pub(super) fn open(&self, store: &Store, is_made: bool) -> Result<Option<Opened>, Failure> {
        let from_environment = || std::env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned());
        let address = self.remote.clone().or_else(from_environment).filter(|address| !address.is_empty());
        let Some(address) = address else { return Ok(None) };
        let remote = Remote::open(&address, &access(), is_made)?;
        let trusted = if self.trusted.is_empty() { None } else { Some(Trusted::read(&self.trusted)?) };
        let there = remote.catalogue(&store.indices(), trusted.as_ref())?;
        for (number, why) in [(there.damaged, "damaged"), (there.untrusted, "not signed by a trusted key")] {
            if number > 0 {
                let indices = if number == 1 { "index is" } else { "indices are" };
                eprintln!("note: {number} {indices} {why}, and passed over");
            }
        }
        Ok(Some(Opened { remote, there }))
    }

    /// Opens the remote that must be named.
    fn require(&self, store: &Store, is_made: bool) -> Result<Opened, Failure> {
        self.open(store, is_made)?.ok_or_else(none_named)
    }
}

/// A command that needs a remote was given none.
pub(super) fn none_named() -> Failure {
    Failure::Input {
        message: "no remote is named".to_owned(),
        hint: format!("name one with '--remote s3://bucket/folder', or with the variable {VARIABLE}"),
    }
}

/// What the environment says of how to get in.
fn access() -> Access {
    let is_ours = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok().filter(|name| is_ours(name))?, value.into_string().ok()?))
    });
    Access { variables: variables.collect(), home: std::env::home_dir() }
}

/// `12 objects, 1.2 MB (0.9 MB on the way)`.
fn amount(objects: usize, bytes: u64, travelled: u64) -> String {
    let objects = page::count(objects, "object");
    format!("{objects}, {} ({} on the way)", page::size(bytes), page::size(travelled))
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let message = error.to_string();
        let hint = match error {
            RemoteError::Address { .. } => {
                "write it as in s3://bucket/folder, https://host/folder or ../folder"
            }
            RemoteError::NoFolder { .. } => "correct the path, or make it with 'layerwise push'",
            RemoteError::Profile { .. } => "correct the file, or set AWS_PROFILE to a profile of another one",
            RemoteError::NoProfile { .. } => "correct AWS_PROFILE, or add the profile to ~/.aws/credentials",
            RemoteError::NoCredentials { of: "Azure" } => {
                "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"
            }
            RemoteError::NoCredentials { .. } | RemoteError::Answer { sort: Sort::Denied, .. } => {
                "set the credentials as the storage's own program reads them, as in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            RemoteError::Answer { sort: Sort::NotThere, .. } => {
                "correct the address, or make the bucket first"
            }
            RemoteError::Answer { sort: Sort::Silence, .. } => {
                "check the address (AWS_ENDPOINT_URL) and the network, or go on without '--remote'"
            }
            RemoteError::Answer { sort: Sort::Other, .. } => "try again, or go on without '--remote'",
            RemoteError::Newer { .. } => "use the version of layerwise that wrote it",
            RemoteError::ReadOnly { .. } => "push to the bucket or folder that the web server shows",
            RemoteError::Damaged { .. } => {
                let hint =
                    "repair the store with 'layerwise verify --repair', run again, then push".to_owned();
                return Self::Wrong { message, hint };
            }
            RemoteError::Cancelled => return Self::Stopped,
            RemoteError::File(error) => return error.into(),
            RemoteError::Store(error) => return error.into(),
        };
        Self::Input { message, hint: hint.to_owned() }
    }
}
