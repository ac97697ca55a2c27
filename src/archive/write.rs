//! The file: tar, compressed by zstd. Nothing in it depends on the day, the machine or the number of threads.

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};
use zstd::stream::write::Encoder;

use crate::archive::contents::Content;
use crate::archive::seal::Sealed;
use crate::archive::volumes;
use crate::base::digest::Sums;
use crate::base::fsx::{self, FileError};

/// Of every file: 1980-01-01, the first day that a zip could tell too.
const TIME: u64 = 315_532_800;
/// What is written to the disk at a time.
const BUFFER: usize = 1 << 20;

/// How an archive is packed.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// How hard zstd tries, from 1 to 19.
    pub level: i32,
    /// Threads that compress; the bytes do not depend on it.
    pub threads: usize,
    /// Bytes of a volume, if it is to be in volumes.
    pub volume: Option<u64>,
}

/// Writes an archive whole or not at all: the files. `progress` is told the bytes packed and those in all.
pub fn write(
    sealed: &Sealed,
    file: &Path,
    packing: Packing,
    progress: &dyn Fn(u64, u64),
) -> Result<Vec<PathBuf>, FileError> {
    let fill = |out: &mut dyn Write| {
        let failed = |error| FileError::new("write", file, error);
        let mut encoder = Encoder::new(out, packing.level).map_err(failed)?;
        // With one worker too: the bytes are those of many, which without a worker they are not.
        encoder.multithread(packing.threads.max(1) as u32).map_err(failed)?;
        encoder.include_checksum(true).map_err(failed)?;
        let mut tar = Builder::new(encoder);
        pack(sealed, &mut tar, progress)?;
        let encoder = tar.into_inner().map_err(failed)?;
        encoder.finish().and_then(Write::flush).map_err(failed)
    };
    if let Some(size) = packing.volume {
        return volumes::fill(file, size, fill);
    }
    let whole = |temporary: &Path| fill(&mut BufWriter::with_capacity(BUFFER, fsx::create(temporary)?));
    fsx::fill_atomic(file, &whole).map(|()| vec![file.to_owned()])
}

fn pack(
    sealed: &Sealed,
    tar: &mut Builder<impl Write>,
    progress: &dyn Fn(u64, u64),
) -> Result<(), FileError> {
    let ((total, _), mut done) = (sealed.size(), 0);
    let mut add = |name: &str, size: u64, bytes: &mut dyn Read, from: &Path| {
        let path = format!("{}/{name}", sealed.name);
        let added = append(tar, &path, size, bytes);
        done += size;
        progress(done, total);
        added.map_err(|e| FileError::new("archive", from, e))
    };
    for (name, bytes) in &sealed.head {
        add(name, bytes.len() as u64, &mut &bytes[..], name.as_ref())?;
    }
    for (name, (content, Sums { size, .. })) in &sealed.files {
        match content {
            Content::Bytes(bytes) => add(name, *size, &mut &bytes[..], name.as_ref())?,
            Content::File(path) | Content::Object(path, _) => add(name, *size, &mut fsx::open(path)?, path)?,
        }
    }
    Ok(())
}

/// Adds a file; one that is not as long as it was is an error.
fn append(tar: &mut Builder<impl Write>, path: &str, size: u64, bytes: &mut dyn Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    let mut counted = bytes.take(size);
    tar.append_data(&mut header, path, &mut counted)?;
    if counted.limit() > 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter meanwhile"));
    }
    Ok(())
}
