//! What may be wrong with an archive.

use std::io;
use std::path::PathBuf;

use crate::archive::FORMAT;
use crate::base::digest::Sha;
use crate::base::fsx::FileError;
use crate::base::signature::SignatureError;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    #[error("it is no archive: it is not compressed by zstd")]
    NotOne,
    #[error("its volume '{volume}' {what}")]
    Volume { volume: String, what: &'static str },
    #[error("it cannot be unpacked: {cause}")]
    Packing { cause: io::Error },
    #[error("it is of format {format}, and this version reads {FORMAT}")]
    Newer { format: u32 },
    #[error("it says that it holds {declared} bytes, which a file of {size} bytes does not")]
    Bomb { declared: u64, size: u64 },
    #[error("its file '{path}' {what}")]
    File { path: String, what: &'static str },
    #[error("its file '{path}' was changed: SHA-256 {found} in the place of {expected}")]
    Changed { path: String, expected: Sha, found: Sha },
    #[error("its stage '{stage}' {what}")]
    Stage { stage: String, what: &'static str },
    #[error("its lock is not signed")]
    NotSigned,
    #[error("the signature of its lock is not believed: {0}")]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Disk(#[from] FileError),
}

impl Problem {
    pub(super) fn file(path: impl Into<String>, what: &'static str) -> Self {
        Self::File { path: shown(&path.into()), what }
    }

    pub(super) fn stage(stage: &str, what: &'static str) -> Self {
        Self::Stage { stage: shown(stage), what }
    }
}

/// A name that somebody else chose, for a terminal.
fn shown(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
#[error("the archive '{}' is refused: {problem}", file.display())]
pub struct ReadError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Compares a file's hash with that of a manifest.
pub(super) fn check(path: &str, expected: Option<Sha>, found: Sha) -> Result<(), Problem> {
    match expected {
        None => Err(Problem::file(path, "is in no manifest")),
        Some(expected) if expected != found => {
            Err(Problem::Changed { path: path.to_owned(), expected, found })
        }
        Some(_) => Ok(()),
    }
}
