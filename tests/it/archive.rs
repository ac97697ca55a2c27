//! Archives: made, checked, taken in, refused, done again; on the quick pipeline.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::determinism;
use crate::space::{Ran, Space};

const CREATE: [&str; 5] = ["archive", "create", "pipelines/quick.yaml", "-o", "a.tar.zst"];
/// How many times an archive is mutated.
const MUTATIONS: usize = 500;

pub(crate) fn archived() -> Space {
    let space = Space::quick();
    space.run_quick(&[]);
    let ran = space.run(&CREATE);
    assert_eq!(ran.code, 0, "{ran:#?}");
    space
}

/// Every file below a folder, with its bytes, but for the locks and times of a store.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(tree(&entry));
        } else {
            found.push((entry.clone(), std::fs::read(&entry).unwrap()));
        }
    }
    found.sort();
    found
}

fn unpacked(space: &Space) -> Vec<u8> {
    zstd::decode_all(&std::fs::read(space.path("a.tar.zst")).unwrap()[..]).unwrap()
}

/// Verifies bytes as an archive; nothing may remain of it.
fn verify(space: &Space, bytes: &[u8]) -> Ran {
    std::fs::write(space.path("b.tar.zst"), bytes).unwrap();
    space.run(&["archive", "verify", "b.tar.zst"])
}

fn packed(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 1).unwrap()
}

#[test]
fn the_same_store_gives_the_same_bytes_and_another_store_takes_them() {
    let space = archived();
    let again = space.run(&["archive", "create", "pipelines/quick.yaml", "-o", "again.tar.zst"]);
    let identity = again.stdout.trim().to_owned();
    let bytes = |name: &str| std::fs::read(space.path(name)).unwrap();
    assert!(bytes("a.tar.zst") == bytes("again.tar.zst"));
    let verified = space.run(&["archive", "verify", "a.tar.zst", "--identity", &identity]);
    assert_eq!((verified.code, verified.stdout.trim()), (0, identity.as_str()), "{verified:?}");
    assert_eq!(space.run(&["archive", "verify", "a.tar.zst", "--identity", "00"]).code, 1);
    let list = space.run(&["archive", "list", "a.tar.zst"]).stdout;
    assert!(list.contains("fit[seed=0]") && list.contains("table.csv"), "{list}");

    let other = Space::quick();
    std::fs::copy(space.path("a.tar.zst"), other.path("a.tar.zst")).unwrap();
    let imported = other.run(&["archive", "import", "a.tar.zst"]);
    assert_eq!(
        (imported.code, imported.stdout.as_str()),
        (0, "11 results imported, 0 known already\n"),
        "{imported:?}"
    );
    let run = other.run_quick(&[]);
    assert!(run.stderr.starts_with("0 of 11 stages to run"), "{}", run.stderr);
    assert!(other.results("quick") == space.results("quick"));
    let back = other.run(&CREATE);
    assert_eq!(back.stdout.trim(), identity, "what was imported is archived as it was");
    let twice = other.run(&["archive", "import", "a.tar.zst"]).stdout;
    assert_eq!(twice, "0 results imported, 11 known already\n");
    assert_eq!(other.run(&["verify"]).code, 0);
}

#[test]
fn data_and_results_can_be_left_out() {
    let space = archived();
    let create = |more: &[&str]| {
        let ran = space.run(&[&CREATE[..], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        std::fs::metadata(space.path("a.tar.zst")).unwrap().len()
    };
    let (all, without) = (create(&[]), create(&["--without-data"]));
    assert!(without + 10_000_000 < all, "{without} of {all}");
    let other = Space::quick();
    std::fs::copy(space.path("a.tar.zst"), other.path("a.tar.zst")).unwrap();
    assert_eq!(
        other.run(&["archive", "import", "a.tar.zst"]).stdout,
        "10 results imported, 0 known already\n"
    );
    assert!(other.run_quick(&[]).stderr.starts_with("1 of 11 stages to run"));
    assert!(other.results("quick") == space.results("quick"));

    assert!(create(&["--only", "tables"]) < without);
    assert_eq!(space.run(&["archive", "verify", "a.tar.zst"]).code, 0);
    let refused = space.run(&["archive", "import", "a.tar.zst"]);
    assert!(refused.code == 1 && refused.stderr.contains("tables only"), "{refused:?}");
    let forecast = space.run(&["archive", "create", "pipelines/quick.yaml", "--dry-run", "-o", "none"]);
    assert!(forecast.code == 0 && forecast.stdout.contains("before compression"), "{forecast:?}");
    assert!(!space.path("none").exists());
}

#[test]
fn what_was_not_run_is_named() {
    let space = Space::quick();
    let ran = space.run(&CREATE);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!("archive_not_run", ran.stderr);
    assert!(!space.path("a.tar.zst").exists());
}

#[test]
fn two_archives_are_compared() {
    let space = archived();
    space.run_quick(&["--set", "seed=1"]);
    let other =
        space.run(&["archive", "create", "pipelines/quick.yaml", "--set", "seed=1", "-o", "b.tar.zst"]);
    assert_eq!(other.code, 0, "{other:?}");
    let same = space.run(&["archive", "diff", "a.tar.zst", "a.tar.zst", "--exit-code"]);
    assert_eq!((same.code, same.stdout.as_str()), (0, "no difference: 11 stages\n"));
    let ran = space.run(&["archive", "diff", "a.tar.zst", "b.tar.zst", "--exit-code"]);
    assert!(ran.code == 1 && ran.stdout.contains("fit[seed=1]"), "{ran:?}");
}

#[test]
fn an_archive_is_done_again_with_the_same_bytes() {
    let space = archived();
    let ran = space.run(&["reproduce", "a.tar.zst"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let is_identical = |line: &&str| line.ends_with("  identical");
    assert_eq!(ran.stdout.lines().filter(is_identical).count(), 11, "{}", ran.stdout);
    let from = space.run(&["reproduce", "a.tar.zst", "--from", "probe", "--into", "again"]);
    assert!(from.code == 0 && from.stderr.contains("4 of 11 stages to run"), "{from:#?}");
    let refused = space.run(&["reproduce", "a.tar.zst"]);
    assert!(refused.code == 2 && refused.stderr.contains("is there already"), "{refused:?}");
}

/// What a stopped command advises is true of this one too.
#[test]
fn an_interrupted_reproduction_is_gone_on_with() {
    let space = Space::with_quick("epochs: 3", "epochs: 12");
    space.run_quick(&[]);
    assert_eq!(space.run(&CREATE).code, 0);
    let mut child = space.start(&["reproduce", "a.tar.zst"]);
    determinism::wait_for_state_in(&space.path("quick-reproduced/results/store/v1/staging"), &mut child);
    determinism::signal(&child, "-INT");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    let again = space.run(&["reproduce", "a.tar.zst"]);
    assert!(again.code == 0 && !again.stderr.contains("mnist: download"), "{again:#?}");
    assert_eq!(again.stdout.lines().filter(|line| line.ends_with("  identical")).count(), 11, "{again:#?}");
    let left = std::fs::read_dir(space.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(".reproduce")));
    assert_eq!(space.run(&["reproduce", "a.tar.zst"]).code, 2, "it is done");
}

#[test]
fn what_comes_out_otherwise_is_named() {
    let clock = "  training: ";
    let stage = "  clock: { command: { run: \"date +%s%N > now.txt\", outputs: [now.txt] } }\n  training: ";
    let space = Space::with_quick(clock, stage);
    space.run_quick(&[]);
    assert_eq!(space.run(&CREATE).code, 0);
    let ran = space.run(&["reproduce", "a.tar.zst"]);
    assert!(ran.code == 1 && ran.stderr.contains("not reproduced: clock"), "{ran:#?}");
    assert!(
        ran.stdout.lines().any(|line| line.starts_with("clock ") && line.contains("now.txt was")),
        "{ran:#?}"
    );
}

/// A header of a tar file with its checksum.
fn header(path: &str, ty: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(tar::EntryType::new(ty));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Few bytes that say that they are very many.
fn bomb() -> Vec<u8> {
    let texts = [
        ("quick/bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"),
        ("quick/bag-info.txt", "Layerwise-Archive-Format: 1\nPayload-Oxum: 999999999999999.3\n"),
    ];
    let mut tar = Vec::new();
    for (path, text) in texts {
        tar.extend(header(path, b'0', text.len() as u64));
        tar.extend(text.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    packed(&tar)
}

/// What lies behind the files that say what is to come.
fn place_of_payload(tar: &[u8]) -> usize {
    let mut place = 0;
    for _ in 0..4 {
        let size = tar::Header::from_byte_slice(&tar[place..place + 512]).entry_size().unwrap() as usize;
        place += 512 + size.div_ceil(512) * 512;
    }
    place
}

#[test]
fn whatever_is_not_an_archive_is_refused_with_the_reason() {
    let space = archived();
    let bytes = std::fs::read(space.path("a.tar.zst")).unwrap();
    let tar = unpacked(&space);
    let place = place_of_payload(&tar);
    let insert = |extra: &[u8]| packed(&[&tar[..place], extra, &tar[place..]].concat());
    let repeated = insert(&tar[..1024]);
    let find = |text: &str| tar.windows(text.len()).position(|w| w == text.as_bytes()).unwrap();
    let edited = |from: &str, to: &str| {
        let (mut tar, at) = (tar.clone(), find(from));
        tar[at..at + to.len()].copy_from_slice(to.as_bytes());
        packed(&tar)
    };
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("empty", Vec::new(), "it is no archive"),
        ("cut off", bytes[..bytes.len() / 2].to_vec(), "cannot be unpacked"),
        ("another program's", b"PK\x03\x04 a zip".to_vec(), "it is no archive"),
        ("newer", edited("Archive-Format: 1", "Archive-Format: 9"), "of format 9"),
        ("another pipeline", edited("pipeline: quick", "pipeline: quack"), "was changed: SHA-256"),
        ("a bomb", bomb(), "which a file of"),
        ("leading out", insert(&header("quick/../../out", b'0', 0)), "has a name that no archive has"),
        ("from the root", insert(&header("/etc/out", b'0', 0)), "has a name that no archive has"),
        ("a link", insert(&header("quick/data/link", b'2', 0)), "is not a plain file"),
        ("planted", insert(&header("quick/data/results/store/v1/index", b'0', 0)), "is in no manifest"),
        ("twice", repeated, "stands there twice"),
    ];
    for (name, bytes, reason) in cases {
        let ran = verify(&space, &bytes);
        assert!(ran.code == 1 && ran.stderr.replace("\n  │ ", " ").contains(reason), "{name}: {ran:#?}");
    }
    let huge = insert(&header("quick/data/archive.json", b'0', u64::from(u32::MAX)));
    assert_eq!(verify(&space, &huge).code, 1);
}

/// Numbers that are the same in every run: splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Changes a few bytes, or cuts, repeats or removes a part.
fn mutate(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut place = |length: usize| (next(state) % length.max(1) as u64) as usize;
    let (mut changed, at) = (bytes.to_vec(), place(bytes.len()));
    let length = place(2000).min(bytes.len() - at);
    match place(5) {
        0 => changed.truncate(at),
        1 => drop(changed.drain(at..at + length)),
        2 => drop(changed.splice(at..at, bytes[at..at + length].to_vec())),
        _ => changed[at] ^= 1 << place(8),
    }
    changed
}

#[test]
fn no_mutation_gets_a_wrong_byte_in() {
    // Small, so that most mutations hit what is looked into.
    let space = archived();
    let small = space.run(&[&CREATE[..], &["--without-data"]].concat());
    let identity = small.stdout.trim().to_owned();
    let (bytes, tar) = (std::fs::read(space.path("a.tar.zst")).unwrap(), unpacked(&space));
    let other = Space::quick();
    let (mut state, mut refused, mut taken) = (1, 0, 0);
    let outside = |space: &Space| {
        let tree = tree(&space.path(""));
        tree.into_iter()
            .filter(|(path, _)| !path.starts_with(space.path("results")))
            .map(|(p, _)| p)
            .collect::<Vec<_>>()
    };
    std::fs::write(other.path("b.tar.zst"), b"").unwrap();
    let before = outside(&other);
    for round in 0..MUTATIONS {
        // Half of them behind the compression, which finds nearly everything itself.
        let mutated =
            if round % 2 == 0 { mutate(&bytes, &mut state) } else { packed(&mutate(&tar, &mut state)) };
        std::fs::File::create(other.path("b.tar.zst")).unwrap().write_all(&mutated).unwrap();
        let ran = other.run(&["archive", "import", "b.tar.zst", "--json"]);
        match ran.code {
            0 => {
                assert!(ran.stdout.contains(&identity), "round {round}: other contents were taken: {ran:#?}");
                taken += 1;
            }
            1 => refused += 1,
            _ => panic!("round {round}: {ran:#?}"),
        }
        assert!(!ran.stderr.contains("panicked"), "round {round}: {ran:#?}");
    }
    assert_eq!(outside(&other), before, "nothing outside of the store");
    assert!(other.path("results/store").exists() == (taken > 0));
    if taken > 0 {
        assert_eq!(other.run(&["verify"]).code, 0);
    }
    assert!(refused > MUTATIONS / 2, "{refused} refused");
    eprintln!("{MUTATIONS} mutations: {refused} refused, {taken} with the same contents, none wrong");
}

/// A Python with both validators, if there is one.
fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("LAYERWISE_PYTHON").map(PathBuf::from);
    let python = chosen.unwrap_or_else(|| "python3".into());
    let has = Command::new(&python).args(["-c", "import bagit, rocrate_validator"]).output();
    has.is_ok_and(|output| output.status.success()).then_some(python)
}

/// Others' tools accept an archive. The RO-Crate validator needs contexts, from a cache where there is no network.
#[test]
fn validators_of_others_accept_it() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: no python3 with bagit and roc-validator: run `make test-archive`");
        return;
    };
    let space = archived();
    for more in [&[][..], &["--without-data"], &["--only", "tables"]] {
        let ran = space.run(&[&CREATE[..], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let folder = space.path("bag");
        _ = std::fs::remove_dir_all(&folder);
        tar::Archive::new(&unpacked(&space)[..]).unpack(&folder).unwrap();
        if more != ["--without-data"] {
            // That one is incomplete by intention: fetch.txt says where the rest is.
            let bagit =
                Command::new(&python).args(["-m", "bagit", "--validate"]).arg(folder.join("quick")).output();
            let bagit = bagit.unwrap();
            assert!(bagit.status.success(), "{more:?}: {bagit:#?}");
        }
        let Some(cache) = std::env::var_os("LAYERWISE_ROCRATE_CACHE") else {
            eprintln!("SKIPPED: roc-validator has no cache of contexts: run `make test-archive`");
            continue;
        };
        for profile in
            ["ro-crate-1.1", "process-run-crate-0.5", "workflow-run-crate-0.5", "provenance-run-crate-0.5"]
        {
            let validator = python.with_file_name("rocrate-validator");
            let mut command = Command::new(validator);
            command
                .args(["--no-interactive", "validate", "--offline", "--no-paging", "--cache-path"])
                .arg(&cache);
            let output = command.args(["-p", profile]).arg(folder.join("quick")).output().unwrap();
            assert!(
                output.status.success(),
                "{more:?} {profile}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}
