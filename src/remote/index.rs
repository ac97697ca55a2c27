//! What one push brought, and where it is.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::remote::piece;
use crate::stage::StageKey;

/// The longest index that is read, packed and unpacked.
pub(super) const LONGEST: u64 = 1 << 28;
const FORMAT: u32 = 1;

/// Records and objects that are there.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    format: u32,
    /// Packs that the pieces are in.
    pub(super) packs: Vec<Digest>,
    pub(super) records: Vec<RecordAt>,
    pub(super) objects: Vec<ObjectAt>,
}

/// Where the text of a record is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordAt {
    pub(super) key: StageKey,
    /// Of the text.
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) at: Piece,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectAt {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// In a pack; a large one has a name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Piece>,
}

/// A frame in a pack: number of the pack in the index, offset, length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece(pub(super) u32, pub(super) u64, pub(super) u64);

/// Why bytes are no index.
#[derive(Debug, PartialEq)]
pub(super) enum NoIndex {
    /// They are not what the name says, or nonsense.
    Damaged,
    /// A later version wrote them.
    Newer,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { format: FORMAT, ..Self::default() }
    }

    /// As it is stored; its name is the digest of this.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        piece::pack(&serde_json::to_vec(self).expect("an index has no maps"))
    }

    /// Reads what is stored under a name.
    pub(super) fn parse(name: Digest, bytes: &[u8]) -> Result<Self, NoIndex> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        if Digest::of(bytes) != name {
            return Err(NoIndex::Damaged);
        }
        let text = piece::unpack_at_most(bytes, LONGEST as usize).ok_or(NoIndex::Damaged)?;
        let head: Head = serde_json::from_slice(&text).map_err(|_| NoIndex::Damaged)?;
        if head.format > FORMAT {
            return Err(NoIndex::Newer);
        }
        let index: Self = serde_json::from_slice(&text).map_err(|_| NoIndex::Damaged)?;
        if index.is_sound() { Ok(index) } else { Err(NoIndex::Damaged) }
    }

    /// Whether every piece is in a pack, and no longer than a frame of its bytes can be.
    fn is_sound(&self) -> bool {
        let is_right = |piece: &Piece, size: u64| {
            let Piece(pack, offset, length) = *piece;
            (pack as usize) < self.packs.len()
                && offset.checked_add(length).is_some()
                && length <= piece::longest(size)
                && size <= LONGEST
        };
        self.records.iter().all(|record| is_right(&record.at, record.size))
            && self.objects.iter().all(|o| o.at.as_ref().is_none_or(|piece| is_right(piece, o.size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let digest = Digest::of(b"x");
        Index {
            packs: vec![digest],
            records: vec![RecordAt { key: digest.into(), digest, size: 9, at: Piece(0, 0, 20) }],
            objects: vec![ObjectAt { digest, size: 1 << 40, at: None }],
            ..Index::new()
        }
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let bytes = index().to_bytes();
        assert_eq!(Index::parse(Digest::of(&bytes), &bytes), Ok(index()));
        assert_eq!(Index::parse(Digest::of(b"x"), &bytes), Err(NoIndex::Damaged));
    }

    #[test]
    fn nonsense_under_its_own_name_is_refused() {
        let read = |index: &Index| Index::parse(Digest::of(&index.to_bytes()), &index.to_bytes());
        let mut wrong = index();
        wrong.format = FORMAT + 1;
        assert_eq!(read(&wrong), Err(NoIndex::Newer));
        for piece in [Piece(1, 0, 20), Piece(0, u64::MAX, 1), Piece(0, 0, 1 << 30)] {
            let mut wrong = index();
            wrong.records[0].at = piece;
            assert_eq!(read(&wrong), Err(NoIndex::Damaged), "{piece:?}");
        }
        let bytes = b"no frame";
        assert_eq!(Index::parse(Digest::of(bytes), bytes), Err(NoIndex::Damaged));
    }
}
