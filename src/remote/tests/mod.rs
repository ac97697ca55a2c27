mod hostile;
mod server;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::*;
use crate::base::fsx;
use crate::base::signature::{Signer, Trusted, new_key};
use crate::stage::{KeyFields, StageKey};
use crate::store::{Begin, Provenance, Store};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn fields(number: u64) -> KeyFields {
    KeyFields {
        sources: Vec::new(),
        kind: "toy".to_owned(),
        version: 1,
        numerics: None,
        parameters: serde_json::json!({ "n": number }),
        inputs: Vec::new(),
    }
}

/// A result of a small file of its own, one that all share, and a large one.
fn commit(store: &Store, number: u64) -> StageKey {
    let Begin::Mine(staging) = store.begin(fields(number).key(), false, false).unwrap() else { panic!() };
    let write = |name: &str, bytes: &[u8]| fsx::write_atomic(&staging.out().join(name), bytes).unwrap();
    write("own.txt", format!("result {number}").as_bytes());
    write("shared.txt", b"shared");
    let mut large = vec![0; (1 << 18) + number as usize];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut large);
    write("large.bin", &large);
    staging.commit(fields(number), Vec::new(), Provenance::default()).unwrap().key
}

fn store(folder: &TempDir) -> Store {
    Store::open(folder.path()).unwrap()
}

fn remote(folder: &TempDir) -> Remote {
    Remote::patient(folder.path().to_str().unwrap(), &Access::default(), true, 0).unwrap()
}

fn catalogue(remote: &Remote, store: &Store) -> Catalogue {
    remote.catalogue(&store.indices(), None).unwrap()
}

fn push(remote: &Remote, store: &Store, keys: &[StageKey], repair: bool) -> Pushed {
    let how = Pushing { signer: None, repair, cancelled: &GO_ON, progress: &|_, _| {} };
    remote.push(store, keys, &catalogue(remote, store), &how).unwrap()
}

/// Pulls, and returns what was not taken.
fn pull(remote: &Remote, store: &Store, keys: &[StageKey]) -> Result<(usize, Vec<String>), RemoteError> {
    let there = remote.catalogue(&store.indices(), None)?;
    let (records, wrong) = remote.records(&there, &keys.iter().copied().collect())?;
    let taken = remote.take(store, &there, &records, &GO_ON, &|_, _| {})?;
    let mut refused: Vec<_> = taken.refused.values().map(ToString::to_string).collect();
    refused.extend(wrong.iter().map(|_| Refusal::Record.to_string()));
    Ok((taken.results, refused))
}

/// Every object of a store is what its name says, and every record has its objects.
fn check(store: &Store, keys: &[StageKey]) -> usize {
    let audit = store.audit(&|_, _| {}).unwrap();
    assert!(audit.troubles.is_empty(), "{:?}", audit.troubles);
    keys.iter().filter(|key| store.lookup(**key).unwrap().is_some()).count()
}

fn only_file(folder: &Path) -> PathBuf {
    let names = fsx::files_below(folder).unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    folder.join(&names[0])
}

#[test]
fn what_is_pushed_comes_back_and_is_not_pushed_twice() {
    let [here, there, cache] = [(); 3].map(|()| TempDir::new().unwrap());
    let (a, remote) = (store(&here), remote(&cache));
    let keys: Vec<_> = (0..20).map(|number| commit(&a, number)).collect();
    let pushed = push(&remote, &a, &keys[..10], false);
    assert_eq!((pushed.new, pushed.known, pushed.objects), (10, 0, 21));
    let pushed = push(&remote, &a, &keys, false);
    assert_eq!((pushed.new, pushed.known, pushed.objects), (10, 10, 20));
    let b = store(&there);
    assert_eq!(pull(&remote, &b, &keys).unwrap(), (20, Vec::new()));
    assert_eq!(check(&b, &keys), 20);
    let bytes = |store: &Store| {
        keys.iter().map(|key| fsx::read(&store.record_path(*key)).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&a), bytes(&b));
    drop(b);
    assert_eq!(check(&store(&there), &keys), 20, "to another process too");
}

#[test]
fn only_what_is_asked_for_travels() {
    let [here, there, cache] = [(); 3].map(|()| TempDir::new().unwrap());
    let (a, b, remote) = (store(&here), store(&there), remote(&cache));
    let keys: Vec<_> = (0..50).map(|number| commit(&a, number)).collect();
    push(&remote, &a, &keys, false);
    let there = catalogue(&remote, &b);
    let (records, _) = remote.records(&there, &[keys[7]].into()).unwrap();
    let taken = remote.take(&b, &there, &records, &GO_ON, &|_, _| {}).unwrap();
    assert_eq!((taken.results, taken.objects), (1, 3));
    assert!(taken.received < (1 << 18) + 5000, "{} bytes", taken.received);
    assert_eq!(fsx::files_below(&b.indices()).unwrap().len(), 1);
    assert_eq!(check(&b, &keys), 1);
}

#[test]
fn a_damaged_object_is_refused_alone_and_can_be_repaired() {
    let [here, there, cache] = [(); 3].map(|()| TempDir::new().unwrap());
    let (a, b, remote) = (store(&here), store(&there), remote(&cache));
    let keys = [commit(&a, 1), commit(&a, 2)];
    push(&remote, &a, &keys, false);
    let large = a.lookup(keys[0]).unwrap().unwrap().outputs[0].clone();
    assert_eq!(large.name, "large.bin");
    let path = cache.path().join(wire::object(large.digest));
    let mut bytes = fsx::read(&path).unwrap();
    bytes[1000] ^= 1;
    fsx::write_atomic(&path, &bytes).unwrap();
    let told = format!("object {} (large.bin) is damaged", large.digest.short());
    assert_eq!(pull(&remote, &b, &keys).unwrap(), (1, vec![told]));
    assert_eq!(check(&b, &keys), 1);
    fsx::remove_file(&path).unwrap();
    let told = format!("object {} (large.bin) is missing", large.digest.short());
    assert_eq!(pull(&remote, &b, &keys).unwrap(), (1, vec![told]));
    push(&remote, &a, &keys, true);
    assert_eq!(pull(&remote, &b, &keys).unwrap(), (2, Vec::new()));
    assert_eq!(check(&b, &keys), 2);
}

#[test]
fn a_push_that_broke_off_is_gone_on_with() {
    let [here, cache] = [(); 2].map(|()| TempDir::new().unwrap());
    let (a, remote) = (store(&here), remote(&cache));
    let keys = [commit(&a, 1), commit(&a, 2)];
    push(&remote, &a, &keys, false);
    // All but the index came; half of the pack.
    fsx::remove_file(&only_file(&cache.path().join("v1/index"))).unwrap();
    let pack = only_file(&cache.path().join("v1/packs"));
    let bytes = fsx::read(&pack).unwrap();
    fsx::write_atomic(&pack, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(catalogue(&remote, &a).len(), 0);
    push(&remote, &a, &keys, false);
    assert_eq!(fsx::read(&pack).unwrap(), bytes);
    assert_eq!(catalogue(&remote, &a).len(), 2);
}

#[test]
fn a_damaged_object_is_not_pushed() {
    let [here, cache] = [(); 2].map(|()| TempDir::new().unwrap());
    let (a, remote) = (store(&here), remote(&cache));
    let key = commit(&a, 1);
    let output = a.lookup(key).unwrap().unwrap().outputs[0].clone();
    // With the size and times that it had: as a disk that forgets does it.
    let path = a.object_path(output.digest);
    let metadata = fsx::metadata(&path).unwrap();
    let mut writable = metadata.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o644);
    std::fs::set_permissions(&path, writable).unwrap();
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    fsx::write_all(&mut file, &path, b"other").unwrap();
    file.set_times(std::fs::FileTimes::new().set_modified(metadata.modified().unwrap())).unwrap();
    let how = Pushing { signer: None, repair: false, cancelled: &GO_ON, progress: &|_, _| {} };
    let error = remote.push(&a, &[key], &Catalogue::default(), &how).unwrap_err();
    assert!(matches!(error, RemoteError::Damaged { object } if object == output.digest), "{error}");
    assert_eq!(catalogue(&remote, &a).len(), 0);
}

#[test]
fn of_two_records_all_take_the_same() {
    let folders = [(); 4].map(|()| TempDir::new().unwrap());
    let [one, two, cache, other] = &folders;
    let (a, b, remote) = (store(one), store(two), remote(cache));
    let (key, again) = (commit(&a, 1), commit(&b, 1));
    assert_eq!(key, again);
    let how = Pushing { signer: None, repair: false, cancelled: &GO_ON, progress: &|_, _| {} };
    // The same key with another time in its record, from machines that did not know of each other.
    let mut record = b.lookup(key).unwrap().unwrap();
    record.provenance.seconds += 1.0;
    b.reception().unwrap().admit(&record, record.to_text().as_bytes()).unwrap();
    remote.push(&a, &[key], &Catalogue::default(), &how).unwrap();
    remote.push(&b, &[key], &Catalogue::default(), &how).unwrap();
    let there = catalogue(&remote, &a);
    assert_eq!(there.records(key).len(), 2);
    let texts = [&a, &b].map(|store| fsx::read(&store.record_path(key)).unwrap());
    let first = texts.iter().min_by_key(|text| Digest::of(text)).unwrap();
    let (records, _) = remote.records(&there, &BTreeSet::from([key])).unwrap();
    assert_eq!(records[&key].1, *first);
    assert_eq!(pull(&remote, &store(other), &[key]).unwrap(), (1, Vec::new()));
}

#[test]
fn a_web_server_gives_and_takes_nothing() {
    let [here, there, cache] = [(); 3].map(|()| TempDir::new().unwrap());
    let (a, b) = (store(&here), store(&there));
    let keys = [commit(&a, 1), commit(&a, 2)];
    push(&remote(&cache), &a, &keys, false);
    server::serve(cache.path(), &|_, answer| answer, |address| {
        let remote = Remote::patient(address, &Access::default(), false, 0).unwrap();
        assert_eq!(pull(&remote, &b, &keys).unwrap(), (2, Vec::new()));
        let how = Pushing { signer: None, repair: false, cancelled: &GO_ON, progress: &|_, _| {} };
        let error = remote.push(&a, &keys, &Catalogue::default(), &how).unwrap_err();
        assert!(matches!(error, RemoteError::ReadOnly { .. }), "{error}");
        let elsewhere = format!("{address}/elsewhere");
        let remote = Remote::patient(&elsewhere, &Access::default(), false, 0).unwrap();
        let error = pull(&remote, &b, &keys).unwrap_err();
        assert!(matches!(error, RemoteError::Answer { sort: Sort::NotThere, .. }), "{error}");
    });
    assert_eq!(check(&b, &keys), 2);
}

#[test]
fn only_what_a_trusted_key_signed_counts() {
    let [here, there, cache, keys] = [(); 4].map(|()| TempDir::new().unwrap());
    let (a, b, remote) = (store(&here), store(&there), remote(&cache));
    let (signed, unsigned) = (commit(&a, 1), commit(&a, 2));
    let signer = |name: &str| {
        let path = keys.path().join(name);
        let key = new_key(None).unwrap();
        fsx::write_new(&path, key.secret.as_bytes()).unwrap();
        fsx::write_new(&path.with_extension("pub"), key.public.as_bytes()).unwrap();
        (Signer::open(&path, None).unwrap(), Trusted::read(&[path.with_extension("pub")]).unwrap())
    };
    let ((ours, trusted), (theirs, _)) = (signer("ours"), signer("theirs"));
    let push = |key, signer: Option<&Signer>| {
        let how = Pushing { signer, repair: false, cancelled: &GO_ON, progress: &|_, _| {} };
        remote.push(&a, &[key], &Catalogue::default(), &how).unwrap();
    };
    push(signed, Some(&ours));
    push(unsigned, None);
    let look = || remote.catalogue(&b.indices(), Some(&trusted)).unwrap();
    assert_eq!((look().len(), look().untrusted, look().has(signed)), (1, 1, true));
    // What somebody else vouched for, and then we: it is sent again, as what is not signed is not known.
    push(unsigned, Some(&theirs));
    assert_eq!((look().len(), look().untrusted), (1, 1));
    let how = Pushing { signer: Some(&ours), repair: false, cancelled: &GO_ON, progress: &|_, _| {} };
    remote.push(&a, &[unsigned], &look(), &how).unwrap();
    assert_eq!((look().len(), look().untrusted), (2, 1));
    // A signature of another index is none of this one.
    let names = fsx::list(&cache.path().join("v1/index")).unwrap();
    let signatures: Vec<_> = names.iter().filter(|name| name.contains(&ours.key_id())).collect();
    let path = |name: &str| cache.path().join("v1/index").join(name);
    fsx::write_atomic(&path(signatures[0]), &fsx::read(&path(signatures[1])).unwrap()).unwrap();
    assert_eq!((look().len(), look().untrusted), (1, 2));
}
