//! The bytes of many images: in memory, or where they lie on the disk.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use crate::base::fsx;

/// Bytes that are read piece by piece, in any order, by many threads.
#[derive(Debug)]
pub enum Bytes {
    /// In memory.
    Held(Vec<u8>),
    /// In a file, of which the system keeps in memory what it has room for: more than memory is allowed.
    Lying(Lying),
}

/// The beginning of a file.
///
/// It is read, not mapped: a disk that fails then gives an error, where a mapping ends the process.
#[derive(Debug)]
pub struct Lying {
    file: File,
    length: usize,
    failure: OnceLock<io::Error>,
}

thread_local! {
    /// The latest piece of a file.
    static PIECE: RefCell<Vec<u8>> = RefCell::default();
}

impl Bytes {
    /// All bytes of a file, which are so many.
    pub fn of_file(file: File, length: usize) -> Self {
        Self::Lying(Lying { file, length, failure: OnceLock::new() })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Held(bytes) => bytes.len(),
            Self::Lying(lying) => lying.length,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first ones.
    pub fn truncate(&mut self, length: usize) {
        match self {
            Self::Held(bytes) => bytes.truncate(length),
            Self::Lying(lying) => lying.length = lying.length.min(length),
        }
    }

    /// Lends a piece. What cannot be read is zeros, and [`Bytes::check`] tells of it.
    pub fn with<T>(&self, range: Range<usize>, reader: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Held(bytes) => reader(&bytes[range]),
            Self::Lying(lying) => PIECE.with_borrow_mut(|piece| {
                assert!(range.end <= lying.length, "{range:?} of {} bytes", lying.length);
                piece.resize(range.len(), 0);
                if let Err(error) = fsx::read_exact_at(&lying.file, piece, range.start as u64) {
                    piece.fill(0);
                    // Of several failures the first one is told.
                    let _ = lying.failure.set(error);
                }
                reader(piece)
            }),
        }
    }

    /// Says whether something that was lent could not be read: whoever made a result of these bytes asks before it is used.
    pub fn check(&self) -> io::Result<()> {
        match self {
            Self::Lying(Lying { failure, .. }) => match failure.get() {
                Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
                None => Ok(()),
            },
            Self::Held(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_file_are_those_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, all) = (folder.path().join("bytes"), (0..=255).collect::<Vec<u8>>());
        fsx::write_atomic(&path, &all).unwrap();
        let mut lying = Bytes::of_file(fsx::open(&path).unwrap(), 256);
        let mut held = Bytes::Held(all);
        for bytes in [&mut lying, &mut held] {
            bytes.truncate(200);
            assert_eq!((bytes.len(), bytes.is_empty()), (200, false));
            for range in [0..200, 7..9, 199..200, 3..3] {
                bytes.with(range.clone(), |piece| {
                    assert!(piece.iter().map(|byte| usize::from(*byte)).eq(range));
                });
            }
            assert!(bytes.check().is_ok());
        }
    }

    #[test]
    fn a_file_that_shrinks_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        fsx::write_atomic(&path, &[7; 10]).unwrap();
        let bytes = Bytes::of_file(fsx::open(&path).unwrap(), 20);
        bytes.with(0..10, |piece| assert_eq!(piece, [7; 10]));
        assert!(bytes.check().is_ok());
        bytes.with(5..15, |piece| assert_eq!(piece, [0; 10]));
        assert_eq!(bytes.check().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
