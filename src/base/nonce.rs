//! Names that nobody else has: for attempts, claims, files. Never part of a result.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Sixteen hexadecimal digits that no other process, here or on another host, comes upon.
pub fn nonce() -> String {
    // The standard library's hashers are keyed by the system's randomness, each with another key.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_are_equal() {
        let many: BTreeSet<String> = (0..1000).map(|_| nonce()).collect();
        assert_eq!((many.len(), many.first().map(String::len)), (1000, Some(16)));
    }
}
