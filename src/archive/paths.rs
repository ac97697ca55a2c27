//! Where things are in a bag, and which paths may stand in one at all.

use std::collections::BTreeSet;

use crate::base::digest::Digest;
use crate::stage::StageKey;

/// Where the payload is.
pub(super) const PAYLOAD: &str = "data/";
/// What the archive is.
pub(super) const DESCRIPTION: &str = "data/archive.json";
/// All results.
pub(super) const RESULTS: &str = "data/results/";
const OBJECTS: &str = "data/results/store/v1/objects/";
pub(super) const RECORDS: &str = "data/results/store/v1/records/";
/// The longest name that file systems take.
const LONGEST_NAME: usize = 255;

/// Where an object is.
pub(super) fn object(digest: Digest) -> String {
    let hex = digest.to_string();
    format!("{OBJECTS}{}/{}", &hex[..2], &hex[2..])
}

/// Where a record is.
pub(super) fn record(key: StageKey) -> String {
    let hex = key.to_string();
    format!("{RECORDS}{}/{}.json", &hex[..2], &hex[2..])
}

/// Where a file of a pipeline's results is.
pub(super) fn result(pipeline: &str, name: &str) -> String {
    format!("{RESULTS}{pipeline}/{name}")
}

/// The object that a path stands for.
pub(super) fn as_object(path: &str) -> Option<Digest> {
    named(path, OBJECTS, "").filter(|digest| object(*digest) == path)
}

/// The record that a path stands for.
pub(super) fn as_record(path: &str) -> Option<StageKey> {
    named(path, RECORDS, ".json").map(StageKey::from).filter(|key| record(*key) == path)
}

fn named(path: &str, folder: &str, extension: &str) -> Option<Digest> {
    let name = path.strip_prefix(folder)?.strip_suffix(extension)?;
    Digest::parse(&name.replacen('/', "", 1))
}

/// Whether a path stays below the folder that it is relative to, on every system.
pub(super) fn is_safe(path: &str) -> bool {
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= LONGEST_NAME
            && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    path.split('/').all(is_name)
}

/// A path that is the folder of another one.
pub(super) fn clash<'a>(paths: impl Iterator<Item = &'a String> + Clone) -> Option<&'a str> {
    let files: BTreeSet<&str> = paths.clone().map(String::as_str).collect();
    let folders = |path: &'a str| path.match_indices('/').map(move |(end, _)| &path[..end]);
    paths.flat_map(|path| folders(path)).find(|folder| files.contains(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_written() {
        let digest = Digest::of(b"x");
        assert_eq!(as_object(&object(digest)), Some(digest));
        assert_eq!(as_record(&record(digest.into())), Some(digest.into()));
        for wrong in
            [object(digest).to_uppercase(), object(digest) + "/x", object(digest).replace("/v1/", "/v2/")]
        {
            assert_eq!(as_object(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_file_is_a_folder_of_another() {
        let clash = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            super::clash(paths.iter()).map(str::to_owned)
        };
        assert_eq!(clash(&["a", "a.b", "a-/x", "b/c", "b/d"]), None);
        assert_eq!(clash(&["a/b", "a/b-", "a/b/c/d"]).as_deref(), Some("a/b"));
    }

    #[test]
    fn nothing_leads_out() {
        for wrong in ["", "/a", "a//b", "a/", "..", "a/../b", "./a", "a\\b", "a\0b", "a\nb", &"a".repeat(256)]
        {
            assert!(!is_safe(wrong), "{wrong:?}");
        }
        assert!(is_safe("data/results/quick/errors-seed=1.csv") && is_safe("..a"));
    }
}
