//! Tar archives: their entries are compared with the names that are wanted, and nothing is ever written under a name of theirs.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use tar::{Archive, Entry};

use super::{Expected, Fetch, Refusal, Take, http};
use crate::base::fsx;
use crate::data::catalogue::{self, DataFile};

/// What is wanted of an archive: the name there, and what it is here.
pub(super) type Wanted<T> = Vec<(String, T)>;

/// Reads a tar archive until all that is wanted was met, and hands the content of each regular file of a wanted name over.
pub(super) fn visit<T>(
    tar: impl Read,
    mut wanted: Wanted<T>,
    mut each: impl FnMut(&T, &mut dyn Read) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let damaged = |error: std::io::Error| Refusal::Reason(format!("the archive is damaged or cut: {error}"));
    let mut archive = Archive::new(tar);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let place = wanted.iter().position(|(name, _)| is_called(&entry, name));
        let Some(place) = place.filter(|_| entry.header().entry_type().is_file()) else { continue };
        let (_, what) = wanted.swap_remove(place);
        each(&what, &mut entry)?;
        if wanted.is_empty() {
            return Ok(());
        }
    }
    let missing: Vec<_> = wanted.iter().map(|(name, _)| format!("'{name}'")).collect();
    Err(Refusal::Reason(format!("the archive has no {}", missing.join(", "))))
}

/// `./a/b` is `a/b`.
fn is_called<R: Read>(entry: &Entry<'_, R>, name: &str) -> bool {
    let found = entry.path_bytes();
    found.strip_prefix(b"./").unwrap_or(&found) == name.as_bytes()
}

impl Fetch<'_> {
    /// Downloads an archive, continuing what an earlier attempt left, and takes the files out of it.
    pub(super) fn take_from_archive(
        &self,
        source: &catalogue::Archive,
        missing: &[&DataFile],
    ) -> Result<(), Refusal> {
        let expected = Expected::archive(source);
        let path = self.scratch.join(&expected.name);
        http::download(self, &source.archive, &expected, &path)?;
        let wanted = missing.iter().map(|file| (format!("{}{}", source.folder, file.name), *file)).collect();
        let taken =
            visit(open(&path)?, wanted, |file, content| self.take(file, content).map_err(Take::into_refusal));
        if !matches!(taken, Err(Refusal::Fatal(_))) {
            fsx::remove_file(&path)?;
        }
        taken
    }

    /// Downloads files that are compressed one by one.
    pub(super) fn take_from_gzip(&self, prefix: &str, missing: &[&DataFile]) -> Result<(), Refusal> {
        for file in missing {
            let nothing = || Refusal::Reason(format!("nobody said what '{}.gz' should be", file.name));
            let expected = Expected::packed(file, file.gzip.as_ref().ok_or_else(nothing)?);
            let path = self.scratch.join(&expected.name);
            http::download(self, &format!("{prefix}{}", expected.name), &expected, &path)?;
            let taken = self.take(file, &mut GzDecoder::new(fsx::open(&path)?)).map_err(Take::into_refusal);
            fsx::remove_file(&path)?;
            taken?;
        }
        Ok(())
    }
}

/// Opens a tar archive, gzipped or plain.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, Refusal> {
    let opened = fsx::open(path)?;
    let is_gzipped = path.extension().is_some_and(|extension| extension == "tgz" || extension == "gz");
    Ok(if is_gzipped { Box::new(GzDecoder::new(opened)) } else { Box::new(opened) })
}
