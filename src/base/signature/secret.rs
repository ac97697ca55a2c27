//! Secret keys: made, written, read, unlocked.
//!
//! A protected one is its bytes XOR a stream that scrypt makes of the password; the checksum among them tells whether it was the right
//! one. An unprotected one (`minisign -W`) may have zeros in the place of the checksum.

use std::path::Path;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::base::signature::format::{ED25519, UNTRUSTED, cut, encode, key_bytes};
use crate::base::signature::{KeyId, SignatureError, Signer};

/// Bytes of a secret key's file, decoded.
pub(super) const LENGTH: usize = 158;
const SCRYPT: [u8; 2] = *b"Sc";
const NONE: [u8; 2] = [0, 0];
const BLAKE2B: [u8; 2] = *b"B2";
/// What is hidden: id, seed and public half, checksum.
const HIDDEN: usize = 8 + 64 + 32;
/// scrypt's block size, in minisign always this.
const BLOCK: u32 = 8;
/// The most that a key may ask for: what minisign itself asks for is 1 GiB.
const MOST_LOG_N: u8 = 20;
const MOST_PARALLEL: u32 = 16;
/// What our keys ask for, in minisign's terms: N = 2¹⁷, 128 MiB.
const OPERATIONS: u64 = 1 << 22;
const MEMORY: u64 = 1 << 27;

/// The files of a new key pair.
pub struct NewKey {
    /// The secret half.
    pub secret: String,
    /// The public one.
    pub public: String,
    /// Its id.
    pub id: String,
}

/// Makes a key pair; the secret half is protected if there is a password.
pub fn new_key(password: Option<&str>) -> Result<NewKey, SignatureError> {
    let mut random = [0; 8 + 32 + 32];
    SystemRandom::new().fill(&mut random).map_err(|_| SignatureError::NoRandomness)?;
    let (id, rest) = random.split_at(8);
    let (seed, salt) = rest.split_at(32);
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignatureError::NoRandomness)?;
    let both = [seed, pair.public_key().as_ref()].concat();
    let mut hidden = [id, &both, &checksum(id, &both)].concat();
    let (way, salt, operations, memory) = match password {
        Some(_) => (SCRYPT, salt, OPERATIONS, MEMORY),
        None => (NONE, &[0; 32][..], 0, 0),
    };
    if let Some(password) = password {
        cover(&mut hidden, password, salt, operations, memory).ok_or(SignatureError::NoRandomness)?;
    }
    let (operations, memory) = (operations.to_le_bytes(), memory.to_le_bytes());
    let encoded = encode(&[&ED25519, &way, &BLAKE2B, salt, &operations, &memory, &hidden]);
    let kind = if password.is_some() { "encrypted " } else { "" };
    let mut name = [0; 8];
    name.copy_from_slice(id);
    let signer = Signer { id: KeyId(name), pair };
    Ok(NewKey {
        secret: format!("{UNTRUSTED}minisign {kind}secret key\n{encoded}\n"),
        public: signer.public_key(),
        id: signer.key_id(),
    })
}

/// Reads the text of a secret key's file.
pub(super) fn open(path: &Path, text: &str, password: Option<&str>) -> Result<Signer, SignatureError> {
    let wrong = |reason| SignatureError::NoKey { path: path.to_owned(), kind: "secret", reason };
    let bytes = key_bytes(text).map_err(wrong)?;
    let mut rest = &bytes[..];
    let head: (_, _, _) = (cut(&mut rest), cut(&mut rest), cut(&mut rest));
    let (Some(ED25519), Some(way), Some(BLAKE2B)) = head else {
        return Err(wrong("it is not of Ed25519"));
    };
    let limits = (cut::<32>(&mut rest), cut(&mut rest), cut(&mut rest), cut::<HIDDEN>(&mut rest));
    let (Some(salt), Some(operations), Some(memory), Some(mut hidden)) = limits else {
        return Err(wrong("it is too short"));
    };
    if !rest.is_empty() {
        return Err(wrong("it is too long"));
    }
    let is_locked = match way {
        NONE => false,
        SCRYPT => true,
        _ => return Err(wrong("it is protected in a way that is not known")),
    };
    if is_locked {
        let password = password.ok_or_else(|| SignatureError::Locked { path: path.to_owned() })?;
        let limits = (u64::from_le_bytes(operations), u64::from_le_bytes(memory));
        cover(&mut hidden, password, &salt, limits.0, limits.1)
            .ok_or_else(|| wrong("it asks for more memory than any key does"))?;
    }
    let (id, rest) = hidden.split_at(8);
    let (both, told) = rest.split_at(64);
    let is_right = told == checksum(id, both) || (!is_locked && told == [0; 32]);
    if !is_right && is_locked {
        return Err(SignatureError::WrongPassword { path: path.to_owned() });
    }
    let (seed, public) = both.split_at(32);
    let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
    let mut name = [0; 8];
    name.copy_from_slice(id);
    match pair {
        Ok(pair) if is_right => Ok(Signer { id: KeyId(name), pair }),
        _ => Err(wrong("it is damaged")),
    }
}

fn checksum(id: &[u8], both: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::new().chain_update(ED25519).chain_update(id).chain_update(both).finalize().into()
}

/// Hides bytes by a password, or shows them again; `None` if that would ask for too much.
fn cover(bytes: &mut [u8], password: &str, salt: &[u8], operations: u64, memory: u64) -> Option<()> {
    let (log_n, parallel) = cost(operations, memory);
    if log_n > MOST_LOG_N || parallel > MOST_PARALLEL {
        return None;
    }
    let cost = scrypt::Params::new(log_n, BLOCK, parallel, bytes.len().min(64)).ok()?;
    let mut stream = vec![0; bytes.len()];
    scrypt::scrypt(password.as_bytes(), salt, &cost, &mut stream).ok()?;
    bytes.iter_mut().zip(stream).for_each(|(byte, other)| *byte ^= other);
    Some(())
}

/// scrypt's log₂ N and p of libsodium's two limits, as libsodium picks them.
fn cost(operations: u64, memory: u64) -> (u8, u32) {
    let (operations, block) = (operations.max(32768), u64::from(BLOCK));
    let log_of = |most: u64| (1..63).find(|log| 1_u64 << log > most / 2).unwrap_or(63);
    if operations < memory / 32 {
        return (log_of(operations / (block * 4)), 1);
    }
    let log_n = log_of(memory / (block * 128));
    let product = ((operations / 4) >> log_n).min(0x3fff_ffff);
    (log_n, (product / block) as u32)
}
