//! Same file, same data, same bytes: whatever the threads, the order of stages, and the interruptions.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::space::Space;

#[test]
fn threads_and_jobs_change_no_byte() {
    let results = |arguments: &[&str]| {
        let space = Space::quick();
        space.run_quick(arguments);
        space.results("quick")
    };
    let one = results(&["--jobs", "1", "--threads", "1"]);
    assert!(
        one.iter().any(|(name, _)| name == "lock.json") && one.iter().any(|(name, _)| name == "heatmap.svg")
    );
    assert!(one == results(&["--jobs", "1", "--threads", "2"]));
    assert!(one == results(&["--jobs", "4", "--threads", "3"]));
}

#[test]
fn threads_change_no_byte_of_a_training_on_varied_images() {
    let run = |threads: &str| {
        let space = Space::with_quick("seed: $seed", "seed: $seed\n      augment: { pad: 2, flip: true }");
        space.run_quick(&["--threads", threads, "training"]);
        space.results("quick")
    };
    let one = run("1");
    assert!(one == run("3"));
    let plain = Space::quick();
    plain.run_quick(&["training"]);
    assert!(one != plain.results("quick"));
}

/// A training long enough to be interrupted.
fn long() -> Space {
    Space::with_quick("epochs: 3", "epochs: 12")
}

const RUN: [&str; 2] = ["run", "pipelines/quick.yaml"];

/// Waits until a training has left a state behind: it is between epochs, or inside one.
pub(crate) fn wait_for_state(space: &Space, child: &mut Child) {
    wait_for_state_in(&space.path("results/store/v1/staging"), child);
}

/// Likewise, of any store.
pub(crate) fn wait_for_state_in(staging: &Path, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_mins(1);
    // The mark of a training: a download has a scratch folder too.
    let has_state = || {
        let mut keys = std::fs::read_dir(staging).ok()?;
        keys.find(|key| key.as_ref().is_ok_and(|key| key.path().join("scratch/stored").exists()))
    };
    while has_state().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be interrupted");
        assert!(Instant::now() < deadline, "no training state within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn an_interrupted_run_continues_and_gives_the_same_bytes() {
    let undisturbed = long();
    undisturbed.run_quick(&[]);
    let space = long();
    let mut child = space.start(&RUN);
    wait_for_state(&space, &mut child);
    signal(&child, "-INT");
    let asked = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "Ctrl-C was not heard");
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("fit[seed=0]: stopped"), "{stderr}");
    let last = &stderr[stderr.find("  × ").unwrap()..];
    insta::assert_snapshot!("interrupted", last);
    assert!(!space.path("results/quick").exists(), "nothing half-written");
    let status = space.run(&["status", "pipelines/quick.yaml", "fit"]).stdout;
    assert!(status.contains("interrupted, continues"), "{status}");

    let again = space.run_quick(&[]);
    assert!(again.stderr.contains("fit[seed=0]: train started"), "{}", again.stderr);
    assert!(space.results("quick") == undisturbed.results("quick"));
}

#[test]
fn a_killed_run_continues_and_gives_the_same_bytes() {
    let undisturbed = long();
    undisturbed.run_quick(&[]);
    let space = long();
    for _ in 0..3 {
        let mut child = space.start(&RUN);
        wait_for_state(&space, &mut child);
        std::thread::sleep(Duration::from_millis(30));
        signal(&child, "-KILL");
        child.wait().unwrap();
    }
    space.run_quick(&[]);
    assert!(space.results("quick") == undisturbed.results("quick"));
}

#[test]
fn two_runs_at_once_share_the_work() {
    let space = long();
    let runs = [space.start(&RUN), space.start(&RUN)];
    let outputs = runs.map(|run| run.wait_with_output().unwrap());
    let waited = |output: &std::process::Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).contains("another run is making this")
    };
    assert!(outputs.iter().any(waited), "one of them works, the other waits: {outputs:#?}");
    let undisturbed = long();
    undisturbed.run_quick(&[]);
    assert!(space.results("quick") == undisturbed.results("quick"));
}
