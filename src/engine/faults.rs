//! A whole run with its publication under faults: at each file-system call the process dies, the disk is full for a moment, or the
//! power fails. The next run gives the files of an undisturbed one, without a flag.

use std::path::Path;

use tempfile::TempDir;

use super::toys::{TWO_SEEDS, keyed, run_wish};
use super::*;
use crate::base::fault::{self, Fault};
use crate::base::fsx;
use crate::base::rng;
use crate::pipeline::Keyed;
use crate::store::{Provenance, Store, StoreError};

/// Runs and publishes as the command does; what it came to, if nothing was in the way.
fn attempt(folder: &Path, keyed: &Keyed) -> Result<bool, StoreError> {
    let store = Store::open(&folder.join("store"))?;
    let plan = match Plan::new(keyed, &store, &Wish::default()) {
        Ok(plan) => plan,
        Err(plan::PlanError::Store(error)) => return Err(error),
        Err(error) => panic!("{error}"),
    };
    let settings = Settings {
        root: folder,
        local: None,
        capacity: Capacity { jobs: 1, threads: 1, memory: 0, gpus: 0 },
        keep_going: false,
        cancelled: &std::sync::atomic::AtomicBool::new(false),
        provenance: Provenance::default(),
    };
    let outcomes = match run(keyed, &plan, &store, &settings, &mut toys::Log::default()) {
        Ok(outcomes) => outcomes,
        Err(RunError::Store(error)) => return Err(error),
        Err(error) => panic!("{error}"),
    };
    let is_done = outcomes.iter().flatten().all(|outcome| outcome.summary().is_some());
    if is_done {
        publish::publish(keyed, &outcomes, &store, &folder.join("toy"))?;
    }
    Ok(is_done)
}

/// The files that people see, with their bytes.
fn results(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fsx::files_below(folder).unwrap().into_iter();
    let names = names.filter(|name| !name.rsplit('/').next().is_some_and(fsx::is_temporary));
    names.map(|name| (name.clone(), fsx::read(&folder.join(name)).unwrap())).collect()
}

/// Strikes at every call; returns how many there are.
fn strike(fault: Fault, cuts_power: bool) -> usize {
    let (before, after) = (keyed(TWO_SEEDS, &["seed=[a, c]"]), keyed(TWO_SEEDS, &[]));
    let undisturbed = TempDir::new().unwrap();
    run_wish(undisturbed.path(), &after, &Wish::default(), 1);
    for at in 0.. {
        let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        run_wish(folder.path(), &before, &Wish::default(), 1);
        let stash = TempDir::new_in(folder.path().parent().unwrap()).unwrap();
        let armed = if cuts_power {
            fault::arm_power_cut(folder.path(), stash.path(), at)
        } else {
            fault::arm(folder.path(), fault, at)
        };
        let result = attempt(folder.path(), &after);
        if !armed.has_struck() {
            assert!(result.unwrap());
            return at;
        }
        if cuts_power {
            armed.cut_power(&mut rng::stream(at as u64, &["coins"]));
        } else {
            drop(armed);
        }
        if fault == Fault::Death && !cuts_power && matches!(result, Ok(true)) {
            // It died tidying up.
            assert!(
                results(&folder.path().join("toy")) == results(&undisturbed.path().join("toy")),
                "call {at}"
            );
        }
        let store = Store::open(&folder.path().join("store")).unwrap();
        // A power cut before the flush may tear a record or an object: the next run sees that.
        assert!(cuts_power || store.audit(&|_, _| {}).unwrap().troubles.is_empty(), "call {at}");
        drop(store);
        assert!(attempt(folder.path(), &after).unwrap(), "call {at}");
        let (found, right) = (results(&folder.path().join("toy")), results(&undisturbed.path().join("toy")));
        assert!(found == right, "call {at}: {found:?}");
        let store = Store::open(&folder.path().join("store")).unwrap();
        assert_eq!(store.audit(&|_, _| {}).unwrap().troubles, [], "call {at}, after all");
    }
    unreachable!("a run ends")
}

#[test]
fn a_death_at_any_call_of_a_run_is_forgotten_by_the_next() {
    let points = strike(Fault::Death, false);
    println!("{points} points of death in a run with its publication");
    assert!(points > 40, "{points}");
}

#[test]
fn a_full_disk_at_any_call_of_a_run_is_forgotten_by_the_next() {
    let points = strike(Fault::FullDisk, false);
    println!("{points} points of a full disk in a run with its publication");
    assert!(points > 40, "{points}");
}

#[test]
fn a_power_cut_at_any_call_of_a_run_is_forgotten_by_the_next() {
    let points = strike(Fault::Death, true);
    println!("{points} power cuts in a run with its publication");
    assert!(points > 40, "{points}");
}
