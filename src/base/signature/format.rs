//! The texts of minisign: public keys and signatures. Each has lines for people and lines of base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::signature::{KeyId, SignatureError};

/// What the first line of each file begins with.
pub(super) const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";
/// Ed25519, as keys say it, and signatures of the bytes themselves.
pub(super) const ED25519: [u8; 2] = *b"Ed";
/// Signatures of the bytes' BLAKE2b-512.
const PREHASHED: [u8; 2] = *b"ED";

/// Cuts a fixed number of bytes from the front.
pub(super) fn cut<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*front)
}

pub(super) fn encode(parts: &[&[u8]]) -> String {
    STANDARD.encode(parts.concat())
}

pub(super) fn decode(line: &str) -> Option<Vec<u8>> {
    STANDARD.decode(line.trim_end()).ok()
}

/// The bytes of a key's file: a comment, if there is one, and a line of base64.
pub(super) fn key_bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut lines = text.lines().skip_while(|line| line.starts_with(UNTRUSTED.trim_end()));
    let line = lines.next().ok_or("it has no line with a key")?;
    if lines.any(|line| !line.trim().is_empty()) {
        return Err("something follows the key");
    }
    decode(line).ok_or("its line with the key is not base64")
}

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) id: KeyId,
    pub(super) point: [u8; 32],
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl PublicKey {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = key_bytes(text)?;
        if bytes.len() == super::secret::LENGTH {
            return Err("it is a secret one, to be shown to nobody");
        }
        let mut rest = &bytes[..];
        let parts = (cut(&mut rest), cut(&mut rest), cut(&mut rest));
        match parts {
            (Some(ED25519), Some(id), Some(point)) if rest.is_empty() => Ok(Self { id: KeyId(id), point }),
            (Some(ED25519), ..) => Err("it has another length"),
            _ => Err("it is not of Ed25519"),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let encoded = encode(&[&ED25519, &self.id.0, &self.point]);
        format!("{UNTRUSTED}minisign public key {}\n{encoded}\n", self.id)
    }
}

/// A `.minisig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// Whether not the bytes but their BLAKE2b-512 is signed.
    pub(super) is_prehashed: bool,
    /// Who signed.
    pub(super) key: KeyId,
    /// Signature of the bytes.
    pub(super) signed: [u8; 64],
    /// What the signer says of them.
    pub(super) comment: String,
    /// Signature of `signed` and the comment.
    pub(super) whole: [u8; 64],
}

impl Signature {
    pub(super) fn parse(text: &str) -> Result<Self, SignatureError> {
        let wrong = |reason| SignatureError::NoSignature { reason };
        let lines: Vec<&str> = text.lines().collect();
        let [untrusted, signed, comment, whole] = lines[..] else {
            return Err(wrong("it has not four lines"));
        };
        if !untrusted.starts_with(UNTRUSTED.trim_end()) {
            return Err(wrong("its first line is no comment"));
        }
        let comment = comment.strip_prefix(TRUSTED).ok_or_else(|| wrong("its third line is no comment"))?;
        let (Some(signed), Some(whole)) = (decode(signed), decode(whole)) else {
            return Err(wrong("a line of it is not base64"));
        };
        let mut rest = &signed[..];
        let parts = (cut(&mut rest), cut(&mut rest), cut(&mut rest), <[u8; 64]>::try_from(whole).ok());
        let (Some(algorithm), Some(key), Some(signed), Some(whole)) = parts else {
            return Err(wrong("it is too short"));
        };
        let is_prehashed = match algorithm {
            PREHASHED => true,
            ED25519 => false,
            _ => return Err(wrong("it is not of Ed25519")),
        };
        if !rest.is_empty() {
            return Err(wrong("it is too long"));
        }
        Ok(Self { is_prehashed, key: KeyId(key), signed, comment: comment.to_owned(), whole })
    }

    pub(super) fn to_text(&self) -> String {
        let algorithm = if self.is_prehashed { PREHASHED } else { ED25519 };
        let Self { key, comment, .. } = self;
        let (signed, whole) = (encode(&[&algorithm, &key.0, &self.signed]), encode(&[&self.whole]));
        format!("{UNTRUSTED}signature by layerwise, key {key}\n{signed}\n{TRUSTED}{comment}\n{whole}\n")
    }
}
