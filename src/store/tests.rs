use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::stage::KeyFields;

pub(super) fn fields(parameter: u64) -> KeyFields {
    KeyFields {
        sources: Vec::new(),
        kind: "toy".to_owned(),
        version: 1,
        numerics: None,
        parameters: serde_json::json!({ "n": parameter }),
        inputs: Vec::new(),
    }
}

pub(super) fn stage(store: &Store, fields: &KeyFields) -> Staging {
    match store.begin(fields.key(), false, true).unwrap() {
        Begin::Mine(staging) => *staging,
        other => panic!("expected a free key, got {other:?}"),
    }
}

pub(super) fn write(staging: &Staging, name: &str, bytes: &[u8]) {
    fsx::write_atomic(&staging.out().join(name), bytes).unwrap();
}

#[test]
fn a_committed_result_is_found_and_cannot_be_written() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let staging = stage(&store, &fields(1));
    write(&staging, "a.txt", b"alpha");
    let record = staging.commit(fields(1), Vec::new(), Provenance::default()).unwrap();
    assert_eq!(store.find(record.key).unwrap(), Found::Whole(record.clone()));
    assert_eq!(store.lookup(record.key).unwrap().map(|found| Summary::of(&found)), Some((*record).clone()));
    assert!(matches!(store.begin(record.key, false, true).unwrap(), Begin::Done(found) if found == record));
    let path = store.files(&record.outputs).path("a.txt").unwrap().to_owned();
    assert_eq!(fsx::read(&path).unwrap(), b"alpha");
    assert!(path.metadata().unwrap().permissions().readonly());
    assert!(fsx::list(&folder.path().join("v1/staging")).unwrap().is_empty());
    assert!(fsx::list(&folder.path().join("v1/leases")).unwrap().is_empty());
}

#[test]
fn one_writer_at_a_time_and_interrupted_work_stays() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let first = stage(&store, &fields(1));
    fsx::write_atomic(&first.scratch().join("state"), b"half").unwrap();
    assert!(matches!(store.begin(fields(1).key(), false, true).unwrap(), Begin::Busy));
    drop(first);
    assert!(store.is_staged(fields(1).key()));
    let second = stage(&store, &fields(1));
    assert_eq!(fsx::read(&second.scratch().join("state")).unwrap(), b"half");
    assert!(matches!(second.commit(fields(1), Vec::new(), Provenance::default()), Err(StoreError::NoOutput)));
}

#[test]
fn a_lost_object_or_a_torn_record_is_a_miss_that_heals() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let commit = || {
        let staging = stage(&store, &fields(1));
        write(&staging, "a.txt", b"alpha");
        staging.commit(fields(1), Vec::new(), Provenance::default()).unwrap()
    };
    let record = commit();
    fsx::remove_file(&store.object_path(record.outputs[0].digest)).unwrap();
    assert_eq!(store.lookup(record.key).unwrap(), None);
    assert_eq!(store.find(record.key).unwrap(), Found::Missing(record.outputs[0].clone()));
    assert_eq!(commit(), record);
    fsx::write_atomic(&store.record_path(record.key), b"{\"key\": \"").unwrap();
    assert_eq!(store.lookup(record.key).unwrap(), None);
    assert_eq!(commit(), record);
}

#[test]
fn an_index_full_of_stale_entries_is_written_anew() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let staging = stage(&store, &fields(1));
    write(&staging, "a.txt", b"alpha");
    let record = staging.commit(fields(1), Vec::new(), Provenance::default()).unwrap();
    let object = fsx::open(&store.object_path(record.outputs[0].digest)).unwrap();
    for second in 0..150 {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
        object.set_times(std::fs::FileTimes::new().set_modified(time)).unwrap();
        assert_eq!(store.find(record.key).unwrap(), Found::Whole(record.clone()));
        store.flush().unwrap();
    }
    let size = || fsx::size(&folder.path().join("v1/index")).unwrap();
    let long = size();
    assert_eq!(Store::open(folder.path()).unwrap().find(record.key).unwrap(), Found::Whole(record));
    assert!(size() * 100 < long, "{} of {long}", size());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever is committed under whatever keys, each key gives back exactly its own bytes.
    #[test]
    fn the_store_is_a_map(contents in prop::collection::btree_map(any::<u64>(), prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..64), 1..4), 1..6)) {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for (parameter, files) in &contents {
            let staging = stage(&store, &fields(*parameter));
            for (name, bytes) in files {
                write(&staging, name, bytes);
            }
            staging.commit(fields(*parameter), Vec::new(), Provenance::default()).unwrap();
        }
        for (parameter, files) in &contents {
            let record = store.lookup(fields(*parameter).key()).unwrap().unwrap();
            let found = store.files(&record.outputs);
            prop_assert_eq!(found.0.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
            for (name, bytes) in files {
                prop_assert_eq!(&fsx::read(found.path(name).unwrap()).unwrap(), bytes);
            }
        }
    }
}

#[test]
fn between_hosts_the_first_commit_stays_and_each_writes_for_itself() {
    let folder = TempDir::new().unwrap();
    let mut first = Store::open(folder.path()).unwrap();
    first.share().unwrap();
    let ours = stage(&first, &fields(1));
    let claim = folder.path().join("v1/claims").join(fields(1).key().to_string());
    // What another host sees of one that was taken for dead: no lock, no claim, and perhaps it lives.
    let lease = folder.path().join("v1/leases").join(fields(1).key().to_string());
    fsx::remove_file(&claim).unwrap();
    fsx::remove_file(&lease).unwrap();
    let second = Store::open_as_worker(folder.path()).unwrap();
    let theirs = stage(&second, &fields(1));
    assert_ne!(ours.out(), theirs.out());
    write(&ours, "a.txt", b"ours");
    write(&theirs, "a.txt", b"theirs");
    let them = theirs.commit(fields(1), Vec::new(), Provenance::default()).unwrap();
    let us = ours.commit(fields(1), Vec::new(), Provenance::default()).unwrap();
    assert_eq!(us.outputs, them.outputs, "who comes second finds the first's result");
    assert!(
        matches!(first.find(fields(1).key()).unwrap(), Found::Whole(found) if found.outputs == them.outputs)
    );
    assert!(fsx::list(&folder.path().join("v1/claims")).unwrap().is_empty());
}
