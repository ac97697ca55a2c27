//! What identifies bytes, and whether they are what was published.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::base::digest::Digest;
use crate::data::catalogue::{Archive, DataFile, Packed};

/// What is to be downloaded: a file of the dataset, or something that contains some.
pub(super) struct Expected<'a> {
    /// The name under which it is kept.
    pub(super) name: String,
    pub(super) size: u64,
    sha256: &'a str,
    blake3: Option<Digest>,
    /// Whether it is a file of the dataset.
    pub(super) is_file: bool,
}

impl<'a> Expected<'a> {
    pub(super) fn file(file: &'a DataFile) -> Self {
        let DataFile { name, size, sha256, blake3, .. } = file;
        Self { name: name.clone(), size: *size, sha256, blake3: *blake3, is_file: true }
    }

    pub(super) fn packed(file: &DataFile, packed: &'a Packed) -> Self {
        Self {
            name: format!("{}.gz", file.name),
            size: packed.size,
            sha256: &packed.sha256,
            blake3: None,
            is_file: false,
        }
    }

    pub(super) fn archive(archive: &'a Archive) -> Self {
        let name = archive.archive.rsplit('/').next().unwrap_or_default().to_owned();
        Self { name, size: archive.size, sha256: &archive.sha256, blake3: None, is_file: false }
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

impl Mismatch {
    /// The difference in a few words.
    pub fn in_short(&self) -> String {
        let Self { found, expected } = self;
        if found.size == expected.size {
            format!("its SHA-256 is {}, not {}", found.sha256, expected.sha256)
        } else {
            format!("it has {} bytes, not {}", found.size, expected.size)
        }
    }
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
    /// Likewise of BLAKE3, where it was declared.
    pub blake3: Option<Digest>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} bytes\n  SHA-256 {}", self.size, self.sha256)?;
        self.blake3.map_or(Ok(()), |blake3| write!(f, "\n  BLAKE3  {blake3}"))
    }
}

/// Identifies bytes as they stream by.
#[derive(Default)]
pub(super) struct Meter {
    pub(super) size: u64,
    sha256: Sha256,
    blake3: blake3::Hasher,
}

impl Meter {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        self.blake3.update(bytes);
    }

    pub(super) fn compare(&self, expected: &Expected) -> Result<(), Box<Mismatch>> {
        let blake3 = Digest::parse(&self.blake3.finalize().to_hex()).expect("its own hex digits");
        let sha256 = format!("{:x}", self.sha256.clone().finalize());
        let found = Identity { size: self.size, sha256, blake3: expected.blake3.map(|_| blake3) };
        let (size, sha256, blake3) = (expected.size, expected.sha256.to_owned(), expected.blake3);
        let expected = Identity { size, sha256, blake3 };
        if found == expected { Ok(()) } else { Err(Box::new(Mismatch { found, expected })) }
    }
}
