//! Where things are in a bag, and which paths may stand in one at all.

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
}
