//! Any bytes as an archive, and a small valid one changed: no panic, nothing written but in the store, and what a store takes is right.
//!
//! The first byte says what the others are: the file itself, a tar file, changes to the bytes of the valid one's tar file, or changes
//! to its files, which are then sealed again, so that all manifests agree.

#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use layerwise::archive;
use layerwise::base::signature::Trusted;
use layerwise::store::Store;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/bag.rs"]
mod bag;

/// Two stages of the kind `command`, signed. Should keys move, it is made anew: `archive create` in a project with short texts.
const VALID: &[u8] = include_bytes!("../archive/tiny.tar.zst.seed");
const KEY: &str = include_str!("../archive/key.pub");

struct Ground {
    /// The input, the store and nothing else are in here.
    folder: PathBuf,
    valid: bag::Bag,
    tar: Vec<u8>,
    trusted: Trusted,
}

fn ground() -> &'static Ground {
    static GROUND: OnceLock<Ground> = OnceLock::new();
    GROUND.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("layerwise-fuzz-").tempdir_in(parent);
        let folder = folder.expect("a folder can be made").keep();
        std::fs::write(folder.join("key.pub"), KEY).expect("the folder can be written to");
        let trusted = Trusted::read(&[folder.join("key.pub")]).expect("a public key");
        let tar = zstd::decode_all(VALID).expect("it is compressed");
        let ground = Ground { valid: bag::Bag::open(VALID), tar, trusted, folder };
        assert!(try_all(&ground, VALID), "the valid archive is taken");
        assert!(try_all(&ground, &ground.valid.pack()), "sealed again it is, too");
        ground
    })
}

/// All files below a folder, and their sizes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(tree(&entry.path())),
            Ok(metadata) => _ = found.insert(entry.path(), metadata.len()),
            Err(_) => {}
        }
    }
    found
}

/// Reads an archive, then takes it into an empty store: whether that went well.
fn try_all(ground: &Ground, packed: &[u8]) -> bool {
    let (file, results) = (ground.folder.join("input"), ground.folder.join("store"));
    std::fs::write(&file, packed).expect("the folder can be written to");
    let read = archive::read(&file, None, &|_| None, &|_, _| {});
    let store = Store::open(&results).expect("a store can be made");
    let before = tree(&ground.folder);
    let imported = archive::import(&file, &store, None, &|_, _| {});
    if let Ok(holdings) = &read {
        // A signature that is believed is one of the very bytes that were signed.
        if holdings.signer(&ground.trusted).is_ok() {
            assert_eq!(holdings.signed.0, ground.valid.files["data/results/tiny/lock.json"]);
        }
    }
    let is_taken = match imported {
        Ok(imported) => {
            assert_eq!(imported.holdings.identity, read.expect("it was read").identity);
            let audit = store.audit(&|_, _| {}).expect("the store can be read");
            assert!(audit.troubles.is_empty(), "{:?}", audit.troubles);
            true
        }
        Err(_) => {
            assert_eq!(tree(&ground.folder), before, "nothing is left of what was refused");
            false
        }
    };
    drop(store);
    std::fs::remove_dir_all(&results).expect("it was just made");
    let left: Vec<_> = tree(&ground.folder).into_keys().collect();
    assert_eq!(left, [file, ground.folder.join("key.pub")], "nothing outside of the store");
    is_taken
}

/// Numbers and texts, taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn place(&mut self, length: usize) -> Option<usize> {
        let number = u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, 0]) as usize;
        Some(number % (length + 1))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()? as usize;
        let (text, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(text)
    }
}

/// Puts a text in the place of a part of some bytes.
fn change(bytes: &mut Vec<u8>, input: &mut Input<'_>) -> Option<()> {
    let from = input.place(bytes.len())?;
    let to = (from + input.byte()? as usize).min(bytes.len());
    bytes.splice(from..to, input.text()?.iter().copied());
    Some(())
}

/// Changes, removes, adds, renames or copies a file.
fn forge(bag: &mut bag::Bag, input: &mut Input<'_>) -> Option<()> {
    let paths: Vec<String> = bag.files.keys().cloned().collect();
    let path = paths.get(input.byte()? as usize % paths.len().max(1))?.clone();
    let mut name = |input: &mut Input<'_>| Some(String::from_utf8_lossy(input.text()?).into_owned());
    match input.byte()? % 8 {
        0 => _ = bag.files.remove(&path),
        1 => _ = bag.files.insert(name(input)?, input.text()?.to_vec()),
        2 => {
            let bytes = bag.files.remove(&path)?;
            bag.files.insert(name(input)?, bytes);
        }
        3 => {
            let other = paths.get(input.byte()? as usize % paths.len())?;
            let bytes = bag.files.get(other)?.clone();
            bag.files.insert(path, bytes);
        }
        4 => bag.name = name(input)?,
        _ => change(bag.files.get_mut(&path)?, input)?,
    }
    Some(())
}

fuzz_target!(|bytes: &[u8]| {
    let ground = ground();
    let Some((way, rest)) = bytes.split_first() else { return };
    let packed = |tar: &[u8]| zstd::encode_all(tar, 1).expect("memory");
    let mut input = Input(rest);
    match way % 4 {
        0 => try_all(ground, rest),
        1 => try_all(ground, &packed(rest)),
        2 => {
            let mut tar = ground.tar.clone();
            while change(&mut tar, &mut input).is_some() {}
            try_all(ground, &packed(&tar))
        }
        _ => {
            let mut bag = ground.valid.clone();
            while forge(&mut bag, &mut input).is_some() {}
            try_all(ground, &bag.pack())
        }
    };
});
