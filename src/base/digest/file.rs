//! BLAKE3 of a file: its subtrees are read and hashed side by side, on the threads of the current rayon pool.
//!
//! Reading into a buffer that stays in the cache is as fast as mapping the file, and a file that shrinks meanwhile is an error, not
//! a signal that ends the program.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::base::fsx::{self, FileError};

/// What one thread reads at a time: a power of two, as subtrees are.
const LEAF: u64 = 1 << 18;
/// Up to this size a file is read at once: smaller ones are many.
const SMALL: u64 = 1 << 16;
/// With less free space, `read_to_end` reads into a buffer of its own first.
const ROOM: usize = 32;

/// The hash of a file, and its size in bytes.
pub(super) fn hash(path: &Path) -> Result<(blake3::Hash, u64), FileError> {
    let mut file = fsx::open(path)?;
    let mut hash = || {
        let size = file.metadata()?.len();
        if size <= SMALL {
            let mut bytes = Vec::with_capacity(size as usize + ROOM);
            // Through `take`, or the size would be asked for again.
            file.by_ref().take(u64::MAX).read_to_end(&mut bytes)?;
            return Ok((blake3::hash(&bytes), bytes.len() as u64));
        }
        if size <= LEAF {
            let mut hasher = blake3::Hasher::new();
            read(&file, 0, size, |bytes| {
                hasher.update(bytes);
            })?;
            return Ok((hasher.finalize(), size));
        }
        let left = left_subtree_len(size);
        let (a, b) = rayon::join(|| subtree(&file, 0, left), || subtree(&file, left, size - left));
        Ok((merge_subtrees_root(&a?, &b?, Mode::Hash), size))
    };
    hash().map_err(|e: io::Error| FileError::new("read", path, e))
}

fn subtree(file: &File, offset: u64, length: u64) -> io::Result<ChainingValue> {
    if length <= LEAF {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset);
        read(file, offset, length, |bytes| {
            hasher.update(bytes);
        })?;
        return Ok(hasher.finalize_non_root());
    }
    let left = left_subtree_len(length);
    let (a, b) = rayon::join(|| subtree(file, offset, left), || subtree(file, offset + left, length - left));
    Ok(merge_subtrees_non_root(&a?, &b?, Mode::Hash))
}

/// Hands over the bytes of a range of at most [`LEAF`].
fn read(file: &File, offset: u64, length: u64, take: impl FnOnce(&[u8])) -> io::Result<()> {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(LEAF as usize, 0);
        let buffer = &mut buffer[..length as usize];
        fsx::read_exact_at(file, buffer, offset)?;
        take(buffer);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    #[test]
    fn subtrees_give_the_hash_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut numbers = rng::stream(0, &["bytes"]);
        let bytes: Vec<u8> = (0..LEAF * 5).map(|_| numbers.below(256) as u8).collect();
        for size in
            [0, 1, SMALL, SMALL + 1, LEAF, LEAF + 1, 2 * LEAF, 2 * LEAF + 1023, 4 * LEAF, 5 * LEAF - 1]
        {
            let bytes = &bytes[..size as usize];
            fsx::write_atomic(&path, bytes).unwrap();
            assert_eq!(hash(&path).unwrap(), (blake3::hash(bytes), size), "{size} bytes");
        }
    }
}
