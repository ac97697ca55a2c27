//! Obtains one published file from the first source that has it, and verifies every byte.
//!
//! A folder of the project is a source that may be absent but must not be wrong: what is there under a published name
//! and differs is an error, not a reason to look elsewhere. A web source may be wrong, slow, or gone: it is retried if
//! that can help (see `http.rs`), and then the next one is asked.

mod http;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::base::cancel::Cancel;
use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::data::catalogue::{DataFile, Source};

/// What a fetch works with.
pub struct Fetch<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// Where a partial download is kept, to be continued.
    pub scratch: &'a Path,
    /// Where the verified file goes, under its published name.
    pub out: &'a Path,
    /// Says when to end early.
    pub cancel: Cancel<'a>,
    /// Is told how many bytes of the file there are.
    pub progress: &'a dyn Fn(u64),
    /// How long to try.
    pub patience: Patience,
}

/// How long a web source is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often, the first time included.
    pub attempts: u32,
    /// Before the second attempt; doubled before each further one, and shortened by up to a half.
    pub pause: Duration,
    /// How long to wait for a connection, for an answer, and for the next bytes of it.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 4, pause: Duration::from_secs(1), silence: Duration::from_secs(20) }
    }
}

/// Why there is no verified file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The user wanted to stop.
    #[error("interrupted")]
    Cancelled,
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder of the project has another file under this name.
    #[error("'{}' is not the published file{mismatch}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// How it differs.
        mismatch: Box<Mismatch>,
    },
    /// No source had it.
    #[error("no source has '{name}'\n{}", tried.join("\n"))]
    Nowhere {
        /// The published name.
        name: String,
        /// Each source, and what it said.
        tried: Vec<String>,
        /// Where a person may put the file.
        place: Option<String>,
    },
}

impl FetchError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cancelled | Self::File(_) => None,
            Self::Wrong { path, .. } => Some(format!("replace or remove '{}'", path.display())),
            Self::Nowhere { place: Some(place), .. } => {
                Some(format!("place the file at '{place}', or check the network"))
            }
            Self::Nowhere { place: None, .. } => Some("check the network".to_owned()),
        }
    }
}

/// Content is not what was declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// What there is.
    pub found: Identity,
    /// What was declared.
    pub expected: Identity,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\nfound\n{}\nexpected\n{}", self.found, self.expected)
    }
}

/// What identifies bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// How many.
    pub size: u64,
    /// 64 hex digits.
    pub sha256: String,
    /// Likewise of BLAKE3.
    pub blake3: Digest,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} bytes\n  SHA-256 {}\n  BLAKE3  {}", self.size, self.sha256, self.blake3)
    }
}

/// Identifies bytes as they stream by.
#[derive(Default)]
struct Meter {
    size: u64,
    sha256: Sha256,
    blake3: blake3::Hasher,
}

impl Meter {
    fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        self.blake3.update(bytes);
    }

    fn compare(&self, file: &DataFile) -> Result<(), Box<Mismatch>> {
        let blake3 = Digest::parse(&self.blake3.finalize().to_hex()).expect("its own hex digits");
        let sha256 = format!("{:x}", self.sha256.clone().finalize());
        let found = Identity { size: self.size, sha256, blake3 };
        let expected = Identity { size: file.size, sha256: file.sha256.clone(), blake3: file.blake3 };
        if found == expected { Ok(()) } else { Err(Box::new(Mismatch { found, expected })) }
    }
}

impl Fetch<'_> {
    /// Puts the file into `out` under its published name, from the first of `sources` that has it.
    pub fn file(&self, file: &DataFile, sources: &[Source]) -> Result<(), FetchError> {
        let target = self.out.join(&file.name);
        if self.is_there(&target, file)? {
            return Ok(());
        }
        let mut tried = Vec::new();
        for source in sources {
            let reason = match source {
                Source::Folder(folder) => self.copy_from_folder(folder, file, &target)?,
                Source::Web(prefix) => {
                    http::download(self, &format!("{prefix}{}", file.name), file, &target)?
                }
            };
            match (reason, source) {
                (None, _) => return Ok(()),
                (Some(reason), Source::Folder(place) | Source::Web(place)) => {
                    tried.push(format!("{place}: {reason}"));
                }
            }
        }
        let place = sources.iter().find_map(|source| match source {
            Source::Folder(folder) => Some(format!("{folder}{}", file.name)),
            Source::Web(_) => None,
        });
        Err(FetchError::Nowhere { name: file.name.clone(), tried, place })
    }

    /// Whether an interrupted run has already placed the file; anything else under its name is removed.
    fn is_there(&self, target: &Path, file: &DataFile) -> Result<bool, FetchError> {
        if fsx::size(target).is_none() {
            return Ok(false);
        }
        let whole = self.stream(target, |_| Ok(()))?.compare(file).is_ok();
        if !whole {
            fsx::remove_file(target)?;
        }
        Ok(whole)
    }

    /// Copies the file; says why not if the folder does not have it.
    fn copy_from_folder(
        &self,
        folder: &str,
        file: &DataFile,
        target: &Path,
    ) -> Result<Option<String>, FetchError> {
        let path = self.root.join(folder).join(&file.name);
        if fsx::size(&path).is_none() {
            return Ok(Some("it is not there".to_owned()));
        }
        let partial = self.partial(file);
        let mut copy = fsx::create(&partial)?;
        let write = |bytes: &[u8]| {
            std::io::Write::write_all(&mut copy, bytes)
                .map_err(|e| FileError::new("write", &partial, e).into())
        };
        let meter = self.stream(&path, write)?;
        if let Err(mismatch) = meter.compare(file) {
            fsx::remove_file(&partial)?;
            return Err(FetchError::Wrong { path, mismatch });
        }
        fsx::rename(&partial, target)?;
        Ok(None)
    }

    /// Where the bytes are until they are verified.
    fn partial(&self, file: &DataFile) -> PathBuf {
        self.scratch.join(format!("{}.part", file.name))
    }

    /// Reads a file from beginning to end, and identifies it.
    fn stream(
        &self,
        path: &Path,
        mut each: impl FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<Meter, FetchError> {
        let mut source = fsx::open(path)?;
        let mut meter = Meter::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.check_cancelled()?;
            let count = source.read(&mut buffer).map_err(|e| FileError::new("read", path, e))?;
            if count == 0 {
                return Ok(meter);
            }
            each(&buffer[..count])?;
            meter.update(&buffer[..count]);
            (self.progress)(meter.size);
        }
    }

    fn check_cancelled(&self) -> Result<(), FetchError> {
        if self.cancel.is_set() { Err(FetchError::Cancelled) } else { Ok(()) }
    }
}
