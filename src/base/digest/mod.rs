//! BLAKE3 digests, and the one way to hash a structure.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::fsx::FileError;

mod file;
mod stream;

pub use stream::{Sha, Sums};

/// A BLAKE3 hash of some content: 32 bytes, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Hashes a file without holding it in memory, and returns its size in bytes too.
    pub fn of_file(path: &Path) -> Result<(Self, u64), FileError> {
        file::hash(path).map(|(hash, size)| (Self(*hash.as_bytes()), size))
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// The raw bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hex digits: enough for a person.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("'{text}' is not 64 hex digits")))
    }
}

/// Hashes a structure as a sequence of tagged, length-prefixed fields.
///
/// Encoding of one field: length of the tag (u64, little endian), the tag, length of the value, the value.
/// So `("ab", "c")` and `("a", "bc")` differ, and an absent field differs from an empty one.
pub struct Fields(blake3::Hasher);

impl Fields {
    /// Starts a structure; `domain` keeps structures of different purpose apart.
    pub fn new(domain: &str) -> Self {
        let mut fields = Self(blake3::Hasher::new());
        fields.add("domain", domain.as_bytes());
        fields
    }

    /// Adds one field.
    pub fn add(&mut self, tag: &str, value: &[u8]) {
        for part in [tag.as_bytes(), value] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// The digest of all fields so far.
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let digest = |fields: &[(&str, &str)]| {
            let mut hasher = Fields::new("test");
            for (tag, value) in fields {
                hasher.add(tag, value.as_bytes());
            }
            hasher.finish()
        };
        assert_ne!(digest(&[("ab", "c")]), digest(&[("a", "bc")]));
        assert_ne!(digest(&[("a", "")]), digest(&[]));
        assert_ne!(digest(&[("a", "x"), ("b", "y")]), digest(&[("b", "y"), ("a", "x")]));
    }

    #[test]
    fn digest_of_nothing_is_the_published_one() {
        let hex = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_string(), hex);
        assert_eq!(Digest::parse(hex), Some(Digest::of(b"")));
        assert_eq!(Digest::parse("zz"), None);
    }
}
