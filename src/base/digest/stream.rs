//! Both digests of bytes as they pass: BLAKE3, by which we name them, and SHA-256, by which others check them.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::Digest;
use crate::base::fsx::{self, FileError};

/// Up to this size, waking another thread takes longer than hashing.
const SMALL: usize = 1 << 15;
/// What is read of a file at a time.
const CHUNK: usize = 1 << 20;

/// A SHA-256 hash: what publishers of data, and bags, name bytes by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sha(pub [u8; 32]);

impl Sha {
    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        Digest::parse(text).map(|digest| Self(*digest.bytes()))
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest(self.0), f)
    }
}

/// What some bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sums {
    /// How many.
    pub size: u64,
    /// Their name in the store.
    pub blake3: Digest,
    /// Their name elsewhere.
    pub sha256: Sha,
}

impl Sums {
    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, blake3: Digest::of(bytes), sha256: Sha::of(bytes) }
    }

    /// Hashes a file, without holding it in memory.
    pub fn of_file(path: &Path) -> Result<Self, FileError> {
        let mut hashing = Hashing::new(fsx::open(path)?);
        let mut buffer = vec![0; CHUNK];
        while hashing.read(&mut buffer).map_err(|e| FileError::new("read", path, e))? > 0 {}
        Ok(hashing.sums())
    }
}

/// A reader that hashes what is read through it.
struct Hashing<R> {
    inner: R,
    size: u64,
    blake3: blake3::Hasher,
    sha256: Sha256,
}

impl<R: Read> Hashing<R> {
    /// Nothing was read yet.
    fn new(inner: R) -> Self {
        Self { inner, size: 0, blake3: blake3::Hasher::new(), sha256: Sha256::new() }
    }

    /// What was read so far.
    fn sums(&self) -> Sums {
        let blake3 = Digest(*self.blake3.finalize().as_bytes());
        Sums { size: self.size, blake3, sha256: Sha(self.sha256.clone().finalize().into()) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = &buffer[..count];
        self.size += count as u64;
        if count <= SMALL {
            self.blake3.update(bytes);
            self.sha256.update(bytes);
        } else {
            let (blake3, sha256) = (&mut self.blake3, &mut self.sha256);
            rayon::join(|| sha256.update(bytes), || blake3.update(bytes));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_what_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for size in [0, 3, SMALL + 1, 2 * CHUNK + 5] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * i % 251) as u8).collect();
            fsx::write_atomic(&path, &bytes).unwrap();
            assert_eq!(Sums::of_file(&path).unwrap(), Sums::of(&bytes));
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha::of(b"").to_string(), empty);
        assert_eq!(Sha::parse(empty), Some(Sha::of(b"")));
    }
}
