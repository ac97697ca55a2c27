//! An append-only file of checksummed frames: for what can be computed again but is slow to, such as an index.
//!
//! A frame is its length (u32, little endian), the first eight bytes of its payload's BLAKE3, and the payload. Each is appended by
//! one write, so processes do not mix theirs. What a crash tore, and all behind it, is not read.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::fsx::{self, FileError};

const HEAD: usize = 12;

/// What a journal holds.
#[derive(Debug)]
pub struct Journal<T> {
    /// Its entries, in the order in which they were appended.
    pub entries: Vec<T>,
    /// Whether all of the file could be read.
    pub is_whole: bool,
}

/// Reads a journal; one that is not there is empty.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Journal<T>, FileError> {
    let bytes = match fsx::read(path) {
        Err(error) if error.is_not_found() => Vec::new(),
        other => other?,
    };
    let (mut entries, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((payload, behind)) = frame(rest) {
        let Ok(entry) = postcard::from_bytes(payload) else { break };
        entries.push(entry);
        rest = behind;
    }
    Ok(Journal { entries, is_whole: rest.is_empty() })
}

/// Appends entries, by one write.
pub fn append<T: Serialize>(path: &Path, entries: &[T]) -> Result<(), FileError> {
    let bytes = bytes(entries);
    fsx::write_all(&mut fsx::append(path)?, path, &bytes)
}

/// Puts a journal of these entries in the place of the one that is there.
pub fn replace<T: Serialize>(path: &Path, entries: &[T]) -> Result<(), FileError> {
    fsx::write_atomic(path, &bytes(entries))
}

fn bytes<T: Serialize>(entries: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let payload = postcard::to_stdvec(entry).expect("entries are plain data");
        bytes.extend(u32::try_from(payload.len()).expect("an entry is far below 4 GiB").to_le_bytes());
        bytes.extend(&blake3::hash(&payload).as_bytes()[..8]);
        bytes.extend(payload);
    }
    bytes
}

/// The payload of the first frame, and what is behind it; `None` at the end or at something torn.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let (payload, behind) = rest.split_at_checked(length)?;
    (blake3::hash(payload).as_bytes()[..8] == head[4..]).then_some((payload, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_torn_the_entries_before_it_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        assert!(read::<String>(&path).unwrap().is_whole);
        append(&path, &["one", "two"]).unwrap();
        append(&path, &["three"]).unwrap();
        let whole = fsx::read(&path).unwrap();
        assert_eq!(read::<String>(&path).unwrap().entries, ["one", "two", "three"]);
        for end in 0..whole.len() {
            fsx::write_atomic(&path, &whole[..end]).unwrap();
            let journal = read::<String>(&path).unwrap();
            let count = [16, 32, whole.len()].iter().filter(|boundary| **boundary <= end).count();
            assert_eq!((journal.entries.len(), journal.is_whole), (count, [0, 16, 32].contains(&end)));
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            fsx::write_atomic(&path, &flipped).unwrap();
            let journal = read::<String>(&path).unwrap();
            assert_eq!(
                journal.entries.len(),
                if at < 16 {
                    0
                } else if at < 32 {
                    1
                } else {
                    2
                }
            );
        }
        replace(&path, &["four"]).unwrap();
        assert_eq!(read::<String>(&path).unwrap().entries, ["four"]);
    }
}
