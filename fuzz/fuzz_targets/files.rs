//! Any bytes as the files that the program keeps: records, locks, the store's index, parameters in a record.
//!
//! What is read is written and read again as the same.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use layerwise::engine::Lock;
use layerwise::kinds::KINDS;
use layerwise::stage::Registry;
use layerwise::store::{Digests, Record, Store, Summary};
use libfuzzer_sys::fuzz_target;

/// An empty store, in memory where the system has that.
fn store() -> &'static PathBuf {
    static STORE: OnceLock<PathBuf> = OnceLock::new();
    STORE.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("layerwise-fuzz-").tempdir_in(parent);
        let folder = folder.expect("a folder can be made").keep();
        Store::open(&folder).expect("a store can be made");
        folder
    })
}

/// A frame of a journal, whole: bytes at random would never pass its checksum.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("inputs are short").to_le_bytes();
    [&length[..], &blake3::hash(payload).as_bytes()[..8], payload].concat()
}

fn record(bytes: &[u8]) {
    let Some(record) = Record::parse(bytes) else { return };
    let again = Record::parse(record.to_text().as_bytes()).expect("what is written is read");
    // Not the numbers among the parameters: `serde_json` may read a neighbour.
    let sure =
        |record: &Record| (record.key, record.content, record.inputs.clone(), Summary::of(record).outputs);
    assert_eq!(sure(&again), sure(&record));
    record.fields.key();
    if let Some(kind) = Registry(KINDS).find(&record.fields.kind)
        && let Ok(work) = kind.parse(&record.fields.parameters)
    {
        // What a kind makes of parameters, it makes of them again.
        let parameters = work.parameters();
        let again = kind.parse(&parameters).unwrap_or_else(|_| panic!("not read again: {parameters}"));
        assert_eq!(again.parameters(), parameters);
        work.sources();
    }
}

fn lock(bytes: &[u8]) {
    let Some(lock) = Lock::parse(bytes) else { return };
    let text = serde_json::to_vec(&lock).expect("a lock is plain data");
    assert_eq!(Lock::parse(&text), Some(lock));
}

/// The first byte says which journal, and whether its frames are whole.
fn journal(bytes: &[u8]) {
    let Some((choice, payload)) = bytes.split_first() else { return };
    let (name, is_framed) = match choice {
        0 => ("index", true),
        1 => ("index", false),
        2 => ("digests", true),
        3 => ("digests", false),
        _ => return,
    };
    let content = if is_framed { frame(payload) } else { payload.to_vec() };
    let path = store().join("v1").join(name);
    std::fs::write(&path, content).expect("the folder can be written to");
    if name == "index" {
        let opened = Store::open(store()).expect("an index is never needed");
        for summary in opened.summaries() {
            opened.find(summary.key).expect("a key that has no record is a miss");
            summary.content.map(|content| opened.find_content(content).expect("likewise"));
        }
    } else {
        Digests::new(store()).of(&path).expect("the file is there");
    }
    std::fs::remove_file(&path).expect("it was just written");
}

fuzz_target!(|bytes: &[u8]| {
    record(bytes);
    lock(bytes);
    journal(bytes);
});
