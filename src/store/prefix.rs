//! Names by their first digits: what a person types instead of 64.

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::stage::StageKey;
use crate::store::Store;

/// Fewest digits that may stand for a whole name.
pub const LEAST_DIGITS: usize = 6;

impl Store {
    /// The objects whose digests begin with these hex digits, sorted; none if there are fewer than [`LEAST_DIGITS`].
    pub fn objects_like(&self, digits: &str) -> Vec<Digest> {
        self.names_like("objects", digits, "").iter().filter_map(|name| Digest::parse(name)).collect()
    }

    /// The keys of records that begin with these hex digits, sorted; none if there are fewer than [`LEAST_DIGITS`].
    pub fn keys_like(&self, digits: &str) -> Vec<StageKey> {
        self.names_like("records", digits, ".json").iter().filter_map(|name| StageKey::parse(name)).collect()
    }

    fn names_like(&self, part: &str, digits: &str, extension: &str) -> Vec<String> {
        if digits.len() < LEAST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Vec::new();
        }
        let digits = digits.to_ascii_lowercase();
        let (fan, rest) = digits.split_at(2);
        // A folder that is not there holds nothing of that name.
        let names = fsx::list(&self.root.join(part).join(fan)).unwrap_or_default();
        let names = names.iter().filter(|name| name.starts_with(rest));
        names.filter_map(|name| Some(format!("{fan}{}", name.strip_suffix(extension)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_find_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"bytes");
        fsx::write_atomic(&store.object_path(digest), b"bytes").unwrap();
        let hex = digest.to_string();
        for digits in [&hex[..6], &hex[..6].to_uppercase(), &hex] {
            assert_eq!(store.objects_like(digits), [digest], "{digits}");
        }
        let changed = format!("{}{}", &hex[..5], if hex.as_bytes()[5] == b'0' { '1' } else { '0' });
        for digits in [&hex[..5], &changed, "", "../../etc/passwd", "zzzzzz"] {
            assert_eq!(store.objects_like(digits), [], "{digits}");
        }
        assert_eq!(store.keys_like(&hex), []);
    }
}
