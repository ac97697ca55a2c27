//! An archive in volumes: the bytes of the one file, cut. They need no program of their own: `cat fig1.tar.zst.* | zstd -d | tar x`.
//!
//! All volumes but the last are equally long, and the first one gets its name last: a set that has one was once whole.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::archive::problem::Problem;
use crate::base::fsx::{self, FileError};

/// Names have three digits, so that a shell has them in their order.
const MOST: usize = 999;
/// What is written to the disk at a time.
const BUFFER: usize = 1 << 20;

/// `fig1.tar.zst.001` for the first one of `fig1.tar.zst`.
fn volume(whole: &Path, number: usize) -> PathBuf {
    let mut name = whole.as_os_str().to_owned();
    name.push(format!(".{number:03}"));
    name.into()
}

/// The archive that a volume is of, by its name.
fn whole(volume: &Path) -> Option<PathBuf> {
    let (stem, digits) = volume.to_str()?.rsplit_once('.')?;
    let is_number = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits != "000";
    is_number.then(|| stem.into())
}

/// The files of an archive, which may be named by itself or by one of its volumes, with their sizes.
fn find(file: &Path) -> Result<Vec<(PathBuf, u64)>, Problem> {
    let is_cut = fsx::size(file).is_none() && fsx::size(&volume(file, 1)).is_some();
    let stem = if is_cut { Some(file.to_owned()) } else { whole(file) };
    let Some(stem) = stem else {
        return Ok(vec![(file.to_owned(), fsx::metadata(file)?.len())]);
    };
    let volumes: Vec<_> = (1..=MOST).map(|number| volume(&stem, number)).collect();
    let sizes: Vec<_> = volumes.iter().map(|path| fsx::size(path)).collect();
    let last = sizes.iter().rposition(Option::is_some).unwrap_or(0);
    let mut found: Vec<(PathBuf, u64)> = Vec::new();
    for (place, (path, size)) in volumes.into_iter().zip(sizes).take(last + 1).enumerate() {
        let size = size.ok_or_else(|| problem(&path, "is missing"))?;
        let full = found.first().map_or(size, |(_, size)| *size);
        if size > full || (size < full && place < last) {
            return Err(problem(&path, "is not as long as the first one"));
        }
        found.push((path, size));
    }
    Ok(found)
}

fn problem(volume: &Path, what: &'static str) -> Problem {
    Problem::Volume { volume: volume.file_name().unwrap_or_default().to_string_lossy().into_owned(), what }
}

/// The bytes of an archive, from one file or many.
pub(super) struct Volumes {
    files: Vec<(PathBuf, u64)>,
    /// The one that is read, and how many were opened.
    current: File,
    opened: usize,
}

impl Volumes {
    /// Opens an archive, which may be named by itself or by one of its volumes.
    pub(super) fn open(file: &Path) -> Result<Self, Problem> {
        let files = find(file)?;
        Ok(Self { current: fsx::open(&files[0].0)?, opened: 1, files })
    }

    /// Bytes in all.
    pub(super) fn size(&self) -> u64 {
        self.files.iter().map(|(_, size)| size).sum()
    }

    /// What is wrong, if the bytes are over before the archive is.
    pub(super) fn is_short(&self) -> Option<Problem> {
        let (last, _) = self.files.last()?;
        whole(last).map(|_| {
            problem(last, "is the last one here, and not the end: it is cut off, or the next one is missing")
        })
    }
}

impl Read for Volumes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (self.current.read(buffer)?, self.files.get(self.opened)) {
                (0, Some((next, _))) if !buffer.is_empty() => {
                    self.current = fsx::open(next).map_err(|error| error.source)?;
                    self.opened += 1;
                }
                (count, _) => return Ok(count),
            }
        }
    }
}

/// Writes an archive in volumes of so many bytes, whole or not at all: the files.
pub(super) fn fill(
    whole: &Path,
    size: u64,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), FileError>,
) -> Result<Vec<PathBuf>, FileError> {
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let folder = whole.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    fsx::clear_dir(&folder)?;
    let mut cutter = Cutter { folder: folder.clone(), size, left: 0, count: 0, out: None };
    let filled = fill(&mut cutter).and_then(|()| {
        cutter.end().map_err(|e| FileError::new("write", whole, e))?;
        settle(whole, &folder, cutter.count)
    });
    let removed = fsx::remove_dir_all(&folder);
    filled.and_then(|volumes| removed.map(|()| volumes))
}

/// Gives volumes their names, in the place of those of an earlier archive.
fn settle(whole: &Path, folder: &Path, count: usize) -> Result<Vec<PathBuf>, FileError> {
    let old = (1..=MOST).map(|number| volume(whole, number)).filter(|volume| fsx::size(volume).is_some());
    for volume in old {
        fsx::remove_file(&volume)?;
    }
    for number in (1..=count).rev() {
        fsx::rename(&temporary(folder, number), &volume(whole, number))?;
    }
    fsx::sync_dir(folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok((1..=count).map(|number| volume(whole, number)).collect())
}

fn temporary(folder: &Path, number: usize) -> PathBuf {
    folder.join(number.to_string())
}

/// Cuts what is written into files.
struct Cutter {
    folder: PathBuf,
    size: u64,
    /// Bytes that the volume being written still has room for.
    left: u64,
    /// Volumes that were begun.
    count: usize,
    out: Option<BufWriter<File>>,
}

impl Cutter {
    fn begin(&mut self) -> io::Result<()> {
        self.end()?;
        if self.count == MOST {
            let words = format!("it would have more than {MOST} volumes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
        }
        self.count += 1;
        let file = fsx::create_new(&temporary(&self.folder, self.count)).map_err(|error| error.source)?;
        (self.left, self.out) = (self.size, Some(BufWriter::with_capacity(BUFFER, file)));
        Ok(())
    }

    /// Brings the volume to the disk.
    fn end(&mut self) -> io::Result<()> {
        self.out.take().map_or(Ok(()), |out| out.into_inner()?.sync_all())
    }
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 && !bytes.is_empty() {
            self.begin()?;
        }
        let Some(out) = &mut self.out else { return Ok(0) };
        let count = out.write(&bytes[..bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))])?;
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::{self, Fault};

    fn cut(folder: &Path, bytes: &[u8], size: u64) -> Result<Vec<PathBuf>, FileError> {
        let file = folder.join("a.tar.zst");
        fill(&file, size, |out| out.write_all(bytes).map_err(|e| FileError::new("write", &file, e)))
    }

    fn names(folder: &Path) -> Vec<String> {
        fsx::list(folder).unwrap()
    }

    #[test]
    fn what_is_cut_reads_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        for size in [10_001, 10_000, 9_999, 2_500, 13, 17] {
            let volumes = cut(folder.path(), &bytes, size).unwrap();
            assert_eq!(volumes.len() as u64, 10_000_u64.div_ceil(size));
            assert_eq!(names(folder.path()).len(), volumes.len(), "those of the last time are gone");
            for named in [folder.path().join("a.tar.zst"), volumes[volumes.len() / 2].clone()] {
                let (mut read, mut opened) = (Vec::new(), Volumes::open(&named).unwrap());
                opened.read_to_end(&mut read).unwrap();
                assert!(read == bytes && opened.size() == 10_000);
            }
        }
        let many = cut(folder.path(), &bytes, 10).unwrap_err().to_string();
        assert!(many.contains("more than 999 volumes"), "{many}");
        assert_eq!(names(folder.path()).len(), 589, "the last set is as it was");
    }

    #[test]
    fn a_set_that_is_not_whole_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let volumes = cut(folder.path(), &[7; 50], 10).unwrap();
        let told = || Volumes::open(&volumes[0]).err().map(|problem| problem.to_string());
        let with = |number: usize, bytes: &[u8]| {
            fsx::write_atomic(&volumes[number], bytes).unwrap();
            let told = told();
            fsx::write_atomic(&volumes[number], &[7; 10]).unwrap();
            told
        };
        assert_eq!(told(), None);
        assert_eq!(with(4, &[7; 3]), None, "the last one may be shorter");
        let other = |number| Some(format!("its volume 'a.tar.zst.{number}' is not as long as the first one"));
        assert_eq!(
            [with(2, &[7; 9]), with(4, &[7; 11]), with(0, &[7; 9])],
            [other("003"), other("005"), other("002")]
        );
        fsx::remove_file(&volumes[1]).unwrap();
        assert_eq!(told(), Some("its volume 'a.tar.zst.002' is missing".to_owned()));
        fsx::remove_file(&volumes[0]).unwrap();
        assert_eq!(told(), Some("its volume 'a.tar.zst.001' is missing".to_owned()));
    }

    /// Wherever writing breaks off, what can be read is the old archive or the new one.
    #[test]
    fn half_a_set_is_none() {
        let (old, new) = ([1; 45], [2; 33]);
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let first = cut(folder.path(), &old, 10).unwrap().remove(0);
            let read = || {
                let mut bytes = Vec::new();
                Volumes::open(&first).ok()?.read_to_end(&mut bytes).ok()?;
                Some(bytes)
            };
            let armed = fault::arm(folder.path(), Fault::Death, at);
            let ended = cut(folder.path(), &new, 10);
            let has_struck = armed.has_struck();
            drop(armed);
            if !has_struck {
                assert!(ended.is_ok() && at > 10, "{at} calls");
                return;
            }
            assert!(read().is_none_or(|bytes| bytes == old || bytes == new), "after call {at}");
            cut(folder.path(), &new, 10).unwrap();
            assert_eq!((read(), names(folder.path()).len()), (Some(new.to_vec()), 4));
        }
    }

    #[test]
    fn a_name_that_only_looks_like_a_volume_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.tar.zst", "a.000", "a.1", "a.0001", "a.+01"] {
            let file = folder.path().join(name);
            fsx::write_atomic(&file, b"bytes").unwrap();
            assert_eq!(find(&file).unwrap(), [(file.clone(), 5)]);
        }
        assert!(matches!(find(&folder.path().join("none")), Err(Problem::Disk(_))));
    }
}
