//! Bytes as they travel: a zstd frame each, and checked as they are unpacked.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use zstd::stream::write::Decoder;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};

/// Fast: the network is not faster, and weights hardly shrink.
pub(super) const LEVEL: i32 = 1;
/// What a frame of some bytes can have at most, and some more.
const OVERHEAD: u64 = 1024;

/// Packs bytes.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, LEVEL).expect("memory takes what is written")
}

/// How long a frame of so many bytes may be.
pub(super) fn longest(size: u64) -> u64 {
    size.saturating_add(size / 128).saturating_add(OVERHEAD)
}

/// Unpacks what must be these bytes; `None` if it is not.
pub(super) fn unpack(frame: &[u8], digest: Digest, size: u64) -> Option<Vec<u8>> {
    let bytes = unpack_at_most(frame, usize::try_from(size).ok()?)?;
    (bytes.len() as u64 == size && Digest::of(&bytes) == digest).then_some(bytes)
}

/// Unpacks at most so many bytes; `None` if it is no frame, or of more.
pub(super) fn unpack_at_most(frame: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut sink = Sink { inner: Vec::new(), hasher: blake3::Hasher::new(), size: 0, most: most as u64 };
    let mut decoder = Decoder::new(&mut sink).ok()?;
    decoder.write_all(frame).ok()?;
    decoder.flush().ok()?;
    drop(decoder);
    Some(sink.inner)
}

/// Takes what comes of a frame, and lays what is in it in a file.
pub(super) struct Unpacker {
    decoder: Decoder<'static, Sink<File>>,
    left: u64,
}

impl Unpacker {
    /// Nothing has come yet of a frame of so many bytes.
    pub(super) fn new(path: &Path, size: u64) -> Result<Self, FileError> {
        let inner = fsx::create(path)?;
        let sink = Sink { inner, hasher: blake3::Hasher::new(), size: 0, most: size };
        let decoder = Decoder::new(sink).map_err(|error| FileError::new("unpack", path, error))?;
        Ok(Self { decoder, left: longest(size) })
    }

    /// Takes some more.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(too_much)?;
        self.decoder.write_all(bytes)
    }

    /// What the file has now.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.decoder.flush()?;
        let sink = self.decoder.into_inner();
        Ok((Digest::from(*sink.hasher.finalize().as_bytes()), sink.size))
    }
}

/// Hashes what it is given, and takes no more than it should.
struct Sink<W> {
    inner: W,
    hasher: blake3::Hasher,
    size: u64,
    most: u64,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size + bytes.len() as u64 > self.most {
            return Err(too_much());
        }
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn too_much() -> io::Error {
    io::Error::other("there is more than there should be")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        for bytes in [&b""[..], b"x", &vec![7; 100_000]] {
            let frame = pack(bytes);
            let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
            assert!(frame.len() as u64 <= longest(size));
            assert_eq!(unpack(&frame, digest, size).as_deref(), Some(bytes));
            assert_eq!(unpack(&frame, digest, size + 1), None);
            assert_eq!(unpack(&frame, Digest::of(b"other"), size), None);
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut unpacker = Unpacker::new(file.path(), size).unwrap();
            frame.chunks(7).for_each(|chunk| unpacker.take(chunk).unwrap());
            assert_eq!(unpacker.finish().unwrap(), (digest, size));
            assert_eq!(fsx::read(file.path()).unwrap(), bytes);
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = pack(&vec![0; 1 << 26]);
        assert!(bomb.len() < 1 << 13);
        assert_eq!(unpack_at_most(&bomb, 1 << 20), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut unpacker = Unpacker::new(file.path(), 1 << 20).unwrap();
        assert!(unpacker.take(&bomb).is_err());
        assert!(fsx::size(file.path()).unwrap() <= 1 << 20);
    }

    #[test]
    fn no_frame_is_nothing() {
        assert_eq!(unpack_at_most(b"no frame at all", 100), None);
        let frame = pack(&[1; 1000]);
        assert_eq!(unpack(&frame[..frame.len() / 2], Digest::of(&[1; 1000]), 1000), None);
    }
}
