//! The store under faults: each file-system call of each of its operations is made to fail, as if the process had died there, the
//! disk were full for a moment, or the power had failed. Whatever happened, a result is whole or not there, and the work goes on.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::tests::{fields, stage};
use super::*;
use crate::base::fault::{self, Fault};
use crate::base::rng;
use crate::stage::parts::Parts;

/// An operation, and what is there before it.
struct Scenario {
    name: &'static str,
    before: fn(&Path),
    run: fn(&Path) -> Result<(), StoreError>,
}

const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "first commit", before: |_| {}, run: |folder| commit(folder, 1) },
    Scenario { name: "commit", before: bystander, run: |folder| commit(folder, 1) },
    Scenario { name: "commit over a damaged object", before: damaged, run: |folder| commit(folder, 1) },
    Scenario { name: "adopt", before: bystander, run: adopt },
    Scenario { name: "receive what a commit elsewhere gave", before: bystander, run: receive },
    Scenario { name: "add a part", before: bystander, run: add_part },
    Scenario { name: "collect", before: rubbish, run: collect },
    Scenario { name: "repair", before: damaged, run: repair },
];

/// The files of a result; some are the same in all.
fn contents(parameter: u64) -> [(&'static str, Vec<u8>); 3] {
    [
        ("own.txt", format!("result {parameter}").into_bytes()),
        ("deep/own.txt", vec![parameter as u8; 5000]),
        ("shared.txt", b"in every result".to_vec()),
    ]
}

fn commit(folder: &Path, parameter: u64) -> Result<(), StoreError> {
    let store = Store::open(folder)?;
    let staging = match store.begin(fields(parameter).key(), false, true)? {
        Begin::Mine(staging) => *staging,
        Begin::Done(_) => return Ok(()),
        Begin::Busy => panic!("nobody else is here"),
    };
    for (name, bytes) in contents(parameter) {
        let path = staging.out().join(name);
        fsx::create_dir_all(path.parent().unwrap())?;
        // As stages do: not synced.
        fsx::write_all(&mut fsx::create(&path)?, &path, &bytes)?;
    }
    staging.commit(fields(parameter), Vec::new(), Provenance::default())?;
    store.flush()
}

fn bystander(folder: &Path) {
    commit(folder, 0).unwrap();
}

fn damaged(folder: &Path) {
    bystander(folder);
    commit(folder, 1).unwrap();
    let store = Store::open(folder).unwrap();
    let path = store.object_path(Digest::of(&contents(1)[0].1));
    fsx::write_atomic(&path, b"damaged!").unwrap();
}

fn rubbish(folder: &Path) {
    (0..3).for_each(|parameter| commit(folder, parameter).unwrap());
    let store = Store::open(folder).unwrap();
    drop(stage(&store, &fields(3)));
    store.parts().add(Digest::of(b"part"), b"part").unwrap();
    fsx::write_atomic(&store.root.join("quarantine/some"), b"damaged!").unwrap();
}

fn adopt(folder: &Path) -> Result<(), StoreError> {
    let store = Store::open(folder)?;
    let Found::Whole(of) = store.find(fields(0).key())? else { panic!("it is there") };
    store.adopt(&fields(1), Vec::new(), &of, Provenance::default())?;
    store.flush()
}

fn receive(folder: &Path) -> Result<(), StoreError> {
    let elsewhere = self::folder();
    commit(elsewhere.path(), 1)?;
    let other = Store::open(elsewhere.path())?;
    let record = other.record(fields(1).key())?.expect("it was committed");
    let store = Store::open(folder)?;
    let reception = store.reception()?;
    for output in &record.outputs {
        let (path, bytes) = (reception.path(output.digest), fsx::read(&other.object_path(output.digest))?);
        fsx::write_all(&mut fsx::create_new(&path)?, &path, &bytes)?;
    }
    reception.admit(&record, record.to_text().as_bytes())?;
    store.flush()
}

fn add_part(folder: &Path) -> Result<(), StoreError> {
    Ok(Store::open(folder)?.parts().add(Digest::of(b"part"), &[7; 3000])?)
}

fn collect(folder: &Path) -> Result<(), StoreError> {
    let keep = Keep { keys: [fields(0).key()].into(), ..Keep::default() };
    assert_eq!(keep.unused_for, Duration::ZERO);
    Store::open(folder)?.collect(&keep).map(drop)
}

fn repair(folder: &Path) -> Result<(), StoreError> {
    let store = Store::open(folder)?;
    let audit = store.audit(&|_, _| {})?;
    store.repair(&audit)
}

/// A folder in memory, if there is such a thing: thousands of syncs take long elsewhere.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// What must hold after any fault: nothing is wrong that was not before, and the work can be done.
fn examine(scenario: &Scenario, folder: &Path, was_harmed: bool, at: &str) {
    let told = format!("{}, {at}", scenario.name);
    let store = Store::open(folder).unwrap();
    if !was_harmed {
        let troubles = store.audit(&|_, _| {}).unwrap().troubles;
        assert_eq!(troubles, [], "{told}");
    }
    for parameter in 0..3 {
        let found = store.find(fields(parameter).key()).unwrap();
        let Found::Whole(summary) = found else {
            assert!(was_harmed || found == Found::Nothing, "{told}: {found:?}");
            continue;
        };
        let files = store.files(&summary.outputs);
        let adopted = scenario.name == "adopt" && parameter == 1;
        for (name, bytes) in contents(if adopted { 0 } else { parameter }) {
            assert_eq!(fsx::read(files.path(name).unwrap()).unwrap(), bytes, "{told}: {name} of {parameter}");
        }
    }
    if scenario.name != "first commit" {
        assert!(matches!(store.find(fields(0).key()).unwrap(), Found::Whole(_)), "{told}: the bystander");
    }
    for part in store.parts().read(Digest::of(b"part")).unwrap() {
        assert!(part == [7; 3000] || part == b"part", "{told}");
    }
    drop(store);
    (scenario.run)(folder).unwrap_or_else(|error| panic!("{told}: again: {error}"));
    commit(folder, 1).unwrap();
    let store = Store::open(folder).unwrap();
    assert!(matches!(store.find(fields(1).key()).unwrap(), Found::Whole(_)), "{told}: after all");
    assert_eq!(store.audit(&|_, _| {}).unwrap().troubles, [], "{told}: after all");
}

/// Whether something was wrong already.
fn is_harmed(scenario: &Scenario) -> bool {
    scenario.name.contains("damaged") || scenario.name == "repair"
}

/// Strikes at every call of a scenario; returns how many there are.
fn strike(scenario: &Scenario, fault: Fault) -> usize {
    for at in 0.. {
        let folder = folder();
        (scenario.before)(folder.path());
        let armed = fault::arm(folder.path(), fault, at);
        let result = (scenario.run)(folder.path());
        if !armed.has_struck() {
            result.unwrap();
            return at;
        }
        drop(armed);
        examine(scenario, folder.path(), is_harmed(scenario), &format!("{fault:?} at call {at}"));
    }
    unreachable!("an operation ends")
}

#[test]
fn a_death_at_any_call_harms_nothing() {
    let points: usize = SCENARIOS.iter().map(|scenario| strike(scenario, Fault::Death)).sum();
    println!("{points} points of death in {} operations", SCENARIOS.len());
    assert!(points > 100, "{points}");
}

#[test]
fn a_disk_that_is_full_for_a_moment_harms_nothing() {
    let points: usize = SCENARIOS.iter().map(|scenario| strike(scenario, Fault::FullDisk)).sum();
    println!("{points} points of a full disk in {} operations", SCENARIOS.len());
    assert!(points > 100, "{points}");
}

#[test]
fn a_power_cut_at_any_call_harms_nothing_and_what_was_promised_stays() {
    const VARIANTS: u64 = 3;
    let mut points = 0;
    for scenario in &SCENARIOS {
        for at in (0..).chain([usize::MAX]) {
            let mut has_ended = false;
            for variant in 0..VARIANTS {
                let (folder, stash) = (folder(), folder());
                (scenario.before)(folder.path());
                let armed = fault::arm_power_cut(folder.path(), stash.path(), at);
                let result = (scenario.run)(folder.path());
                has_ended = !armed.has_struck();
                armed.cut_power(&mut rng::stream(variant, &[scenario.name, &at.to_string()]));
                if has_ended {
                    result.unwrap();
                    promised(scenario, folder.path());
                }
                // Before the flush ends, a record or its objects may be torn: that is seen, and the work done again.
                let was_harmed = is_harmed(scenario) || !has_ended;
                examine(scenario, folder.path(), was_harmed, &format!("power cut at call {at}, {variant}"));
            }
            if has_ended {
                break;
            }
            points += VARIANTS;
        }
    }
    println!("{points} power cuts in {} operations", SCENARIOS.len());
    assert!(points > 300, "{points}");
}

/// What an operation that ended well promised.
fn promised(scenario: &Scenario, folder: &Path) {
    let store = Store::open(folder).unwrap();
    if scenario.name.contains("commit") || scenario.name == "adopt" {
        assert!(matches!(store.find(fields(1).key()).unwrap(), Found::Whole(_)), "{}", scenario.name);
    }
    if scenario.name == "add a part" {
        assert!(store.parts().has(Digest::of(b"part")), "{}", scenario.name);
    }
}
