//! Who vouches for bytes: Ed25519 signatures and keys in the format of minisign (<https://jedisct1.github.io/minisign>).
//!
//! Signatures are made over the BLAKE2b-512 of the bytes, as that program makes them, and so are the same each time. What it made
//! without that hash (`minisign -l`) is read too. Deliberately not here: where keys and passwords come from.

mod format;
mod secret;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use blake2::{Blake2b512, Digest as _};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::base::fsx::{self, FileError};
use format::{PublicKey, Signature};
pub use secret::{NewKey, new_key};

/// Identity of a key pair: eight random bytes, which minisign writes as a number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

/// Why bytes cannot be signed, or a signature is not believed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no key of this format.
    #[error("'{}' is no {kind} key of minisign: {reason}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// `secret` or `public`.
        kind: &'static str,
        /// What is the matter.
        reason: &'static str,
    },
    /// The key is protected, and no password was given.
    #[error("the secret key '{}' is protected by a password, and none was given", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The password is another.
    #[error("the password is not that of the secret key '{}'", path.display())]
    WrongPassword {
        /// The file.
        path: PathBuf,
    },
    /// It is no signature of this format.
    #[error("it is no signature of minisign: {reason}")]
    NoSignature {
        /// What is the matter.
        reason: &'static str,
    },
    /// Nobody said that this key is to be believed.
    #[error("it is signed by the key {key}, which is not trusted")]
    NotTrusted {
        /// Id of the key that signed, as the signature says.
        key: String,
    },
    /// The bytes are not those that were signed.
    #[error("the bytes are not those that the key {key} signed")]
    Changed {
        /// Id of the key.
        key: String,
    },
    /// The bytes are right, but not what the signature says of them.
    #[error("the trusted comment is not the one that the key {key} signed")]
    CommentChanged {
        /// Id of the key.
        key: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key")]
    NoRandomness,
}

/// A secret key, unlocked. Shown, it is its id only.
pub struct Signer {
    id: KeyId,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.id)
    }
}

impl Signer {
    /// Reads the file of a secret key; [`SignatureError::Locked`] if it needs a password and there is none.
    pub fn open(path: &Path, password: Option<&str>) -> Result<Self, SignatureError> {
        secret::open(path, &fsx::read_to_string(path)?, password)
    }

    /// Signs bytes: the text of a `.minisig`. The comment, a line, is signed too.
    pub fn sign(&self, bytes: &[u8], trusted_comment: &str) -> String {
        let comment = trusted_comment.replace(char::is_control, " ").trim().to_owned();
        let sign = |message: &[u8]| {
            let mut bytes = [0; 64];
            bytes.copy_from_slice(self.pair.sign(message).as_ref());
            bytes
        };
        let signed = sign(&Blake2b512::digest(bytes));
        let whole = sign(&[&signed[..], comment.as_bytes()].concat());
        let signature = Signature { is_prehashed: true, key: self.id, signed, comment, whole };
        signature.to_text()
    }

    /// Id of the key, as minisign writes it.
    pub fn key_id(&self) -> String {
        self.id.to_string()
    }

    /// The file of the public key.
    pub fn public_key(&self) -> String {
        let mut point = [0; 32];
        point.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey { id: self.id, point }.to_text()
    }
}

/// Public keys that are believed.
#[derive(Debug, Clone)]
pub struct Trusted(Vec<PublicKey>);

impl Trusted {
    /// Reads the files of public keys.
    pub fn read(paths: &[PathBuf]) -> Result<Self, SignatureError> {
        let read = |path: &PathBuf| {
            PublicKey::parse(&fsx::read_to_string(path)?).map_err(|reason| SignatureError::NoKey {
                path: path.clone(),
                kind: "public",
                reason,
            })
        };
        paths.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Checks that one of these keys signed these bytes: its id.
    pub fn verify(&self, bytes: &[u8], signature: &str) -> Result<String, SignatureError> {
        let signature = Signature::parse(signature)?;
        let key = signature.key.to_string();
        let mut candidates = self.0.iter().filter(|public| public.id == signature.key).peekable();
        if candidates.peek().is_none() {
            return Err(SignatureError::NotTrusted { key });
        }
        let hashed = Blake2b512::digest(bytes);
        let message = if signature.is_prehashed { &hashed[..] } else { bytes };
        // An id is eight bytes that anybody can write: two keys may have the same.
        let is_by = |public: &&PublicKey, message: &[u8], signed: &[u8]| {
            UnparsedPublicKey::new(&ED25519, &public.point).verify(message, signed).is_ok()
        };
        let Some(signer) = candidates.find(|public| is_by(public, message, &signature.signed)) else {
            return Err(SignatureError::Changed { key });
        };
        let whole = [&signature.signed[..], signature.comment.as_bytes()].concat();
        if is_by(&signer, &whole, &signature.whole) {
            Ok(key)
        } else {
            Err(SignatureError::CommentChanged { key })
        }
    }
}

/// What a signature says of the bytes; `None` if it is no signature. Only a verified one is to be believed.
pub fn comment(signature: &str) -> Option<String> {
    Signature::parse(signature).ok().map(|signature| signature.comment)
}
