//! Single results of probes, kept as parts, so that an evaluation makes only those that nobody has made.
//!
//! A cell is one number: one metric under one patch. The cells of one host on one split lie under one key; each batch of probes adds
//! a part, and a reader takes them all together. A name holds all that the number depends on beside the key, so cells never change
//! and equal names have equal values.

use std::collections::BTreeMap;

use crate::base::digest::Digest;
use crate::base::fsx::FileError;
use crate::stage::parts::Parts;

/// Bytes of a name, and of the bits of a value, little endian.
type Row = ([u8; 32], [u8; 8]);
const ROW: usize = size_of::<Row>();

/// The known cells under one key.
pub(in crate::kinds) struct Cells<'a> {
    parts: &'a dyn Parts,
    key: Digest,
    known: BTreeMap<[u8; 32], f64>,
}

impl<'a> Cells<'a> {
    /// Reads what is known.
    pub(in crate::kinds) fn open(parts: &'a dyn Parts, key: Digest) -> Result<Self, FileError> {
        let mut known = BTreeMap::new();
        for part in parts.read(key)? {
            let (rows, _) = part.as_chunks::<ROW>();
            known.extend(rows.iter().map(|row| {
                let (name, value) = row.split_first_chunk().expect("a row begins with a name");
                let value = value.try_into().expect("a row ends with a value");
                (*name, f64::from_bits(u64::from_le_bytes(value)))
            }));
        }
        Ok(Self { parts, key, known })
    }

    /// The value of a cell, if it is known.
    pub(in crate::kinds) fn get(&self, name: Digest) -> Option<f64> {
        self.known.get(name.bytes()).copied()
    }

    /// Adds cells, for this execution and for later ones.
    pub(in crate::kinds) fn add(&mut self, cells: &[(Digest, f64)]) -> Result<(), FileError> {
        let mut part = Vec::with_capacity(cells.len() * ROW);
        for (name, value) in cells {
            part.extend(name.bytes());
            part.extend(value.to_bits().to_le_bytes());
        }
        self.known.extend(cells.iter().map(|(name, value)| (*name.bytes(), *value)));
        self.parts.add(self.key, &part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::parts::Memory;

    #[test]
    fn cells_come_back_to_the_bit_from_all_parts_of_their_key() {
        let parts = Memory::default();
        let [key, other, a, b, c] = ["key", "other", "a", "b", "c"].map(|text| Digest::of(text.as_bytes()));
        let nan = f64::from_bits(0x7ff8_0000_0000_0abc);
        Cells::open(&parts, key).unwrap().add(&[(a, 0.1 + 0.2), (b, nan)]).unwrap();
        let mut cells = Cells::open(&parts, key).unwrap();
        cells.add(&[(c, -0.0)]).unwrap();
        for cells in [cells, Cells::open(&parts, key).unwrap()] {
            let bits = [a, b, c].map(|name| cells.get(name).map(f64::to_bits));
            assert_eq!(bits, [0.1 + 0.2, nan, -0.0].map(|value| Some(value.to_bits())));
        }
        assert_eq!(Cells::open(&parts, other).unwrap().get(a), None);
    }
}
