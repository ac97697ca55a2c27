//! The texts of a `BagIt` bag, written and read: RFC 8493.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::archive::FORMAT;
use crate::base::digest::Sha;

/// What a bag says that it is.
pub(super) const DECLARATION: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// Names of the files that say what is to come, in the order in which they lie in an archive.
pub(super) const HEAD: [&str; 4] = [DECLARED, INFO, TAG_MANIFEST, MANIFEST];
pub(super) const DECLARED: &str = "bagit.txt";
pub(super) const INFO: &str = "bag-info.txt";
pub(super) const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
pub(super) const MANIFEST: &str = "manifest-sha256.txt";
pub(super) const FETCH: &str = "fetch.txt";

/// SHA-256 by path.
pub(super) type Manifest = BTreeMap<String, Sha>;

/// `bag-info.txt`: what a reader must know before the first file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info {
    /// See [`FORMAT`].
    pub(super) format: u32,
    /// Bytes of the payload, also of what is to be fetched.
    pub(super) bytes: u64,
    /// Files of it.
    pub(super) files: u64,
}

const FORMAT_TAG: &str = "Layerwise-Archive-Format";
const OXUM_TAG: &str = "Payload-Oxum";

impl Info {
    pub(super) fn to_text(&self) -> String {
        let Self { format, bytes, files } = self;
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "Bag-Software-Agent: layerwise {version}\n{FORMAT_TAG}: {format}\n{OXUM_TAG}: {bytes}.{files}\n"
        )
    }

    /// `None` if it is not a text that an archive of some format has.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value = |tag: &str| {
            let mut found = text.lines().filter_map(|line| line.strip_prefix(tag)?.strip_prefix(": "));
            found.next().filter(|_| found.next().is_none())
        };
        let format = value(FORMAT_TAG)?.parse().ok()?;
        // What a newer format says of its payload is not ours to understand.
        let oxum = value(OXUM_TAG).and_then(|oxum| oxum.split_once('.'));
        let oxum = oxum.and_then(|(bytes, files)| Some((bytes.parse().ok()?, files.parse().ok()?)));
        let (bytes, files) = if format > FORMAT { oxum.unwrap_or_default() } else { oxum? };
        Some(Self { format, bytes, files })
    }
}

/// A line per file: the digest, two spaces, the path.
pub(super) fn manifest_text(manifest: &Manifest) -> String {
    let mut text = String::new();
    for (path, sha256) in manifest {
        _ = writeln!(text, "{sha256}  {}", encode(path));
    }
    text
}

/// `None` if a line is not one, or a path stands there twice.
pub(super) fn parse_manifest(text: &str) -> Option<Manifest> {
    let mut manifest = Manifest::new();
    for line in text.lines() {
        let (digest, path) = line.split_once("  ")?;
        if manifest.insert(decode(path), Sha::parse(digest)?).is_some() {
            return None;
        }
    }
    Some(manifest)
}

/// A line of `fetch.txt`.
pub(super) fn fetch_line(url: &str, size: u64, path: &str) -> String {
    format!("{url} {size} {}\n", encode(path))
}

/// The paths in `fetch.txt`; `None` if a line is not one.
pub(super) fn fetched(text: &str) -> Option<Vec<String>> {
    text.lines().map(|line| line.splitn(3, ' ').nth(2).map(decode)).collect()
}

/// What the RFC demands of paths: no line ends, and so no percent sign either.
fn encode(path: &str) -> String {
    path.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn decode(path: &str) -> String {
    path.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let info = Info { format: FORMAT, bytes: 12, files: 3 };
        assert_eq!(Info::parse(&info.to_text()), Some(info.clone()));
        assert_eq!(Info::parse(&info.to_text().replace("12.3", "12")), None);
        let newer = info.to_text().replace("12.3", "some").replace("Format: 1", "Format: 9");
        assert_eq!(Info::parse(&newer).map(|info| info.format), Some(9));

        let paths = ["a b", "50%25\n"].map(str::to_owned);
        let manifest: Manifest = paths.into_iter().map(|path| (path, Sha::of(b"x"))).collect();
        let text = manifest_text(&manifest);
        assert_eq!((text.lines().count(), parse_manifest(&text)), (2, Some(manifest)));
        assert_eq!(parse_manifest(&(text.clone() + &text)), None);
        assert_eq!(fetched(&fetch_line("https://example.org/a", 3, "a b")), Some(vec!["a b".to_owned()]));
    }
}
