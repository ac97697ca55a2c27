//! Reads an archive from front to end and believes nothing: what comes first says what may follow, and every byte is hashed before
//! anything is made of it. Memory and disk are bounded by what the file declares, and that by the file's own size.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::EntryType;
use zstd::stream::read::Decoder;

use crate::archive::FORMAT;
use crate::archive::bag::{self, Info, Manifest};
use crate::archive::holdings::{self, Holdings};
use crate::archive::paths::PAYLOAD;
use crate::archive::pour::Pouring;
use crate::archive::problem::{Problem, ReadError, check};
use crate::archive::stages::Texts;
use crate::archive::volumes::Volumes;
use crate::base::digest::{Sha, Sums};
use crate::base::fsx;
use crate::base::name;
use crate::base::signature::Trusted;

/// No archive is compressed better than this; a file that says so is a bomb.
const MOST_TO_ONE: u64 = 1000;
/// What even the smallest file may hold, and all texts together that are kept in memory.
const MOST_TEXT: u64 = 1 << 28;
/// What may stand behind the last file: tar pads to its blocking factor.
const MOST_PADDING: u64 = 1 << 16;
/// The longest file of a pipeline, and how many there may be.
const LONGEST_PIPELINE: u64 = 1 << 20;
const MOST_PIPELINES: usize = 100;
/// The longest path.
const LONGEST_PATH: u64 = 4096;
/// zstd may ask for a window of so many bytes: 128 MiB, what it takes itself without being told.
const WINDOW_LOG: u32 = 27;
/// What every file of zstd begins with.
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// Says where a file of the payload is to be laid, if anywhere.
pub(super) type Place<'a> = &'a dyn Fn(&str) -> Option<PathBuf>;

/// Reads and checks an archive; files are laid where `place` says, and must be thrown away if this fails. If keys are trusted, one of
/// them must have signed the lock. `progress` is told the compressed bytes read, and those in all.
pub fn read(
    file: &Path,
    trusted: Option<&Trusted>,
    place: &dyn Fn(&str) -> Option<PathBuf>,
    progress: &dyn Fn(u64, u64),
) -> Result<Holdings, ReadError> {
    let read = || {
        let mut input = Volumes::open(file)?;
        let (size, short, mut magic) = (input.size(), input.is_short(), [0; 4]);
        if input.read_exact(&mut magic).is_err() || magic != MAGIC {
            return Err(Problem::NotOne);
        }
        let input = Told { input: magic.chain(input), done: 0, total: size, progress };
        let packing = |cause| Problem::Packing { cause };
        let mut decoder = Decoder::new(input).map_err(packing)?;
        decoder.window_log_max(WINDOW_LOG).map_err(packing)?;
        let holdings = read_tar(decoder, size, place).map_err(|problem| match (problem, short) {
            (Problem::Packing { cause }, Some(short)) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                short
            }
            (problem, _) => problem,
        })?;
        trusted.map(|trusted| holdings.signer(trusted)).transpose()?;
        Ok(holdings)
    };
    read().map_err(|problem| ReadError { file: file.to_owned(), problem })
}

/// Likewise, from the unpacked bytes of a file that has so many packed.
fn read_tar(input: impl Read, packed: u64, place: Place<'_>) -> Result<Holdings, Problem> {
    std::thread::scope(|scope| {
        let mut reader = Reader::new(packed, place, Pouring::start(scope));
        let all = take_all(input, &mut reader);
        // What is wrong with a file is told a moment later than it is read: the first one counts.
        let sums = reader.pouring.end()?;
        all?;
        reader.finish(sums)
    })
}

/// Takes all files of a tar file.
fn take_all(input: impl Read, reader: &mut Reader<'_>) -> Result<(), Problem> {
    let packing = |cause| Problem::Packing { cause };
    let mut archive = tar::Archive::new(input);
    let mut long_name = None;
    for entry in archive.entries().map_err(packing)?.raw(true) {
        let mut entry = entry.map_err(packing)?;
        let size = entry.header().entry_size().map_err(packing)?;
        let ty = entry.header().entry_type();
        if ty == EntryType::GNULongName && size <= LONGEST_PATH && long_name.is_none() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(packing)?;
            long_name = Some(bytes.strip_suffix(b"\0").unwrap_or(&bytes).to_vec());
            continue;
        }
        let path = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = String::from_utf8(path)
            .map_err(|error| Problem::file(error.to_string(), "has a name that is not UTF-8"))?;
        if ty != EntryType::Regular {
            return Err(Problem::file(path, "is not a plain file"));
        }
        reader.take(&path, size, &mut entry)?;
    }
    check_padding(&mut archive.into_inner())
}

/// Behind the end there is nothing but zeros, and few of them.
fn check_padding(input: &mut dyn Read) -> Result<(), Problem> {
    let (mut buffer, mut total) = ([0; 4096], 0);
    loop {
        let count = input.read(&mut buffer).map_err(|cause| Problem::Packing { cause })?;
        total += count as u64;
        if count == 0 {
            return Ok(());
        }
        if total > MOST_PADDING || buffer[..count].iter().any(|byte| *byte != 0) {
            let cause = io::Error::new(io::ErrorKind::InvalidData, "something follows its end");
            return Err(Problem::Packing { cause });
        }
    }
}

/// What is known of an archive while it is read.
struct Reader<'a> {
    packed: u64,
    place: Place<'a>,
    /// Name of the folder that all is in.
    name: String,
    identity: Option<Sha>,
    info: Option<Info>,
    /// Files beside the payload.
    tags: Manifest,
    payload: Manifest,
    seen: BTreeSet<String>,
    /// Of the files that were looked into, or whose names say what is to come: what they are.
    sums: BTreeMap<String, Sums>,
    /// All others are hashed and laid there.
    pouring: Pouring,
    /// Bytes of the payload that may still come.
    left: u64,
    /// Texts that are looked into, and how many bytes more they may have.
    texts: Texts,
    room: Cell<u64>,
    /// How many of them may be files of the pipeline.
    pipelines: usize,
}

impl<'a> Reader<'a> {
    fn new(packed: u64, place: Place<'a>, pouring: Pouring) -> Self {
        Self {
            packed,
            place,
            name: String::new(),
            identity: None,
            info: None,
            tags: Manifest::new(),
            payload: Manifest::new(),
            seen: BTreeSet::new(),
            sums: BTreeMap::new(),
            pouring,
            left: 0,
            texts: BTreeMap::new(),
            room: Cell::new(MOST_TEXT),
            pipelines: 0,
        }
    }

    /// Takes the next file.
    fn take(&mut self, full: &str, size: u64, bytes: &mut dyn Read) -> Result<(), Problem> {
        let (folder, path) = full.split_once('/').unwrap_or(("", full));
        if !name::is_safe_path(path) || name::problem(folder).is_some() {
            return Err(Problem::file(full, "has a name that no archive has"));
        }
        if self.seen.contains(path) {
            return Err(Problem::file(full, "stands there twice"));
        }
        let place = self.seen.len();
        if place == 0 {
            folder.clone_into(&mut self.name);
        }
        if folder != self.name {
            return Err(Problem::file(full, "is not in the folder of the others"));
        }
        if bag::HEAD.get(place).is_some_and(|expected| path != *expected) {
            return Err(Problem::file(full, "stands where those belong that say what is to come"));
        }
        if place < bag::HEAD.len() {
            let text = self.text(path, size, bytes)?;
            self.seen.insert(path.to_owned());
            self.sums.insert(path.to_owned(), Sums::of(&text));
            return self.take_head(path, &text);
        }
        self.take_listed(path, size, bytes)?;
        self.seen.insert(path.to_owned());
        Ok(())
    }

    /// Reads a text into memory.
    fn text(&self, path: &str, size: u64, bytes: &mut dyn Read) -> Result<Vec<u8>, Problem> {
        let room = self.room.get().checked_sub(size);
        self.room.set(room.ok_or_else(|| Problem::file(path, "is too long"))?);
        let mut text = Vec::new();
        bytes.take(size).read_to_end(&mut text).map_err(|cause| Problem::Packing { cause })?;
        if text.len() as u64 == size { Ok(text) } else { Err(Problem::file(path, "is cut off")) }
    }

    /// Whether a file may be one of the pipeline's, and is to be kept in memory.
    fn may_be_pipeline(&mut self, path: &str, size: u64) -> bool {
        let is_yaml = [".yaml", ".yml"].iter().any(|extension| path.ends_with(extension));
        let may_be = is_yaml && super::project_file(path).is_some() && size <= LONGEST_PIPELINE;
        let is_kept = may_be && self.pipelines < MOST_PIPELINES;
        self.pipelines += usize::from(is_kept);
        is_kept
    }

    /// One of the files that say what is to come.
    fn take_head(&mut self, path: &str, bytes: &[u8]) -> Result<(), Problem> {
        let text = std::str::from_utf8(bytes).map_err(|_| Problem::file(path, "is not UTF-8"))?;
        let wrong = || Problem::file(path, "is not one of an archive of this program");
        match path {
            bag::DECLARED if text != bag::DECLARATION => return Err(wrong()),
            bag::INFO => {
                let info = Info::parse(text).ok_or_else(wrong)?;
                if info.format > FORMAT {
                    return Err(Problem::Newer { format: info.format });
                }
                if info.bytes > MOST_TEXT.max(self.packed.saturating_mul(MOST_TO_ONE)) {
                    return Err(Problem::Bomb { declared: info.bytes, size: self.packed });
                }
                self.left = info.bytes;
                self.info = Some(info);
            }
            bag::TAG_MANIFEST => {
                self.identity = Some(Sha::of(bytes));
                self.tags = bag::parse_manifest(text).ok_or_else(wrong)?;
                for early in [bag::DECLARED, bag::INFO] {
                    check(early, self.tags.get(early).copied(), self.sums[early].sha256)?;
                }
                let is_tag = |path: &String| name::is_safe_path(path) && !path.starts_with(PAYLOAD);
                if !self.tags.keys().all(is_tag) || self.tags.contains_key(path) {
                    return Err(wrong());
                }
            }
            bag::MANIFEST => {
                check(path, self.tags.get(path).copied(), Sha::of(bytes))?;
                self.payload = bag::parse_manifest(text).ok_or_else(wrong)?;
                if let Some(path) = self.payload.keys().find(|path| !name::is_safe_path(path)) {
                    return Err(Problem::file(path, "has a name that no archive has"));
                }
                let is_payload = |path: &String| path.starts_with(PAYLOAD);
                let count = self.info.as_ref().map(|info| info.files);
                if !self.payload.keys().all(is_payload) || count != Some(self.payload.len() as u64) {
                    return Err(wrong());
                }
                if let Some(path) = name::clash(self.tags.keys().chain(self.payload.keys())) {
                    return Err(Problem::file(path, "is a file and a folder"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A file that a manifest lists.
    fn take_listed(&mut self, path: &str, size: u64, bytes: &mut dyn Read) -> Result<(), Problem> {
        let expected = self.tags.get(path).or_else(|| self.payload.get(path)).copied();
        let expected = expected.ok_or_else(|| Problem::file(path, "is in no manifest"))?;
        if path.starts_with(PAYLOAD) {
            let left = self.left.checked_sub(size);
            self.left = left.ok_or_else(|| Problem::file(path, "is larger than declared"))?;
        } else if size > MOST_TEXT {
            return Err(Problem::file(path, "is too long"));
        }
        let to = (self.place)(path);
        if !holdings::is_looked_into(path) && !self.may_be_pipeline(path, size) {
            return self.pouring.pour(path, size, expected, bytes, to.as_deref());
        }
        let text = self.text(path, size, bytes)?;
        let sums = Sums::of(&text);
        check(path, Some(expected), sums.sha256)?;
        if let Some(to) = to {
            fsx::write_new(&to, &text)?;
        }
        self.sums.insert(path.to_owned(), sums);
        self.texts.insert(path.to_owned(), text);
        Ok(())
    }

    /// All that is listed was there, and belongs together.
    fn finish(mut self, poured: Vec<(String, Sums)>) -> Result<Holdings, Problem> {
        let Some(identity) = self.identity else {
            return Err(Problem::file(bag::TAG_MANIFEST, "is missing"));
        };
        let elsewhere = match self.texts.get(bag::FETCH) {
            Some(text) => {
                let text = String::from_utf8_lossy(text);
                bag::fetched(&text).ok_or_else(|| Problem::file(bag::FETCH, "has a line that is none"))?
            }
            None => Vec::new(),
        };
        let listed = self.tags.keys().chain(self.payload.keys());
        let missing = listed.filter(|path| !self.seen.contains(*path) && !elsewhere.contains(path));
        if let Some(path) = missing.min() {
            return Err(Problem::file(path, "is missing"));
        }
        self.sums.extend(poured);
        Holdings::new(&self.name, identity, self.sums, self.texts)
    }
}

/// Bytes that tell how far they were read.
struct Told<'a, R> {
    input: R,
    done: u64,
    total: u64,
    progress: &'a dyn Fn(u64, u64),
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.done += count as u64;
        (self.progress)(self.done, self.total);
        Ok(count)
    }
}
