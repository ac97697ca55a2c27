//! Files that are on this machine already: in the project, or where the user keeps such things.

use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{Fetch, FetchError, Refusal, Take};
use crate::base::fsx::{self, FileError};
use crate::data::catalogue::{DataFile, Source};

const ABSENT: &str = "it is not there";

impl Fetch<'_> {
    /// Copies the files from a folder of the project, which may lack some but must not have others under their names.
    pub(super) fn take_from_project(&self, folder: &str, missing: &[&DataFile]) -> Result<(), Refusal> {
        each(missing, |file| {
            let path = present(&self.root.join(folder), file);
            let path = path.ok_or_else(|| Refusal::Reason(ABSENT.to_owned()))?;
            Ok(self.copy(file, &path).map_err(|error| match error {
                Take::Read(error) => FileError::new("read", &path, error).into(),
                Take::Wrong(mismatch) => FetchError::Wrong { path, mismatch },
                Take::Fatal(error) => error,
            })?)
        })
    }

    /// Copies the files from the user's folder, wherever in it they may be. What is there and differs is told, and not taken.
    pub(super) fn take_from_user(&self, folder: &Path, missing: &[&DataFile]) -> Result<(), Refusal> {
        let places = self.places(folder);
        each(missing, |file| {
            let mut reason = ABSENT.to_owned();
            for path in places.iter().filter_map(|place| present(place, file)) {
                let wrong = match self.copy(file, &path) {
                    Ok(()) => return Ok(()),
                    Err(Take::Wrong(wrong)) => format!("is not the published file: {}", wrong.in_short()),
                    Err(Take::Read(error)) => format!("cannot be read: {error}"),
                    Err(Take::Fatal(error)) => return Err(error.into()),
                };
                reason = format!("'{}' {wrong}", path.display());
                (self.note)(format!("{reason}; it is not taken"));
            }
            Err(Refusal::Reason(reason))
        })
    }

    /// Where the user may have the files of a dataset: as they are placed by hand, or as archives unpack.
    fn places(&self, folder: &Path) -> Vec<PathBuf> {
        let unpacked = self.sources.iter().filter_map(|source| match source {
            Source::Archive(archive) => Some(archive.folder.as_str()),
            _ => None,
        });
        let tops = [folder.join(self.dataset), folder.to_owned()];
        let inside: Vec<&str> = [""].into_iter().chain(unpacked).collect();
        tops.iter().flat_map(|top| inside.iter().map(|inside| top.join(inside))).collect()
    }

    /// Copies a file, or what is in it if it is compressed.
    fn copy(&self, file: &DataFile, path: &Path) -> Result<(), Take> {
        let opened = fsx::open(path).map_err(|error| Take::Read(error.source))?;
        let is_packed = path.file_name().is_some_and(|name| name != file.name.as_str());
        if is_packed {
            self.take(file, &mut GzDecoder::new(opened))
        } else {
            self.take(file, &mut { opened })
        }
    }
}

/// Asks for every file; says why not of the first that is not given.
fn each(missing: &[&DataFile], ask: impl Fn(&DataFile) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let mut answer = Ok(());
    for file in missing {
        match ask(file) {
            Err(Refusal::Reason(reason)) => answer = answer.and(Err(Refusal::Reason(reason))),
            other => other?,
        }
    }
    answer
}

/// Where in a folder a file is, as it is or compressed as published.
fn present(folder: &Path, file: &DataFile) -> Option<PathBuf> {
    let packed = file.gzip.as_ref().map(|_| format!("{}.gz", file.name));
    let names = [Some(file.name.clone()), packed].into_iter().flatten();
    names.map(|name| folder.join(name)).find(|path| fsx::size(path).is_some())
}
