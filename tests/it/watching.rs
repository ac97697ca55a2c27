//! `watch`: what a run leaves for those who look on, while it goes on, when it has ended, and when it was killed.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::space::{Ran, Space};

const LOG: &str = "results/store/v1/live/quick.jsonl";
const SLOW: &str = "\
pipeline: slow
stages:
  first:  { command: { run: 'echo 1 > n.txt', outputs: [n.txt] } }
  second: { needs: { n: first }, command: { run: 'sleep 60 && cp $n/n.txt m.txt', outputs: [m.txt] } }
";

fn watch(space: &Space, arguments: &[&str]) -> String {
    let ran = space.run(&[&["watch"], arguments].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:#?}");
    ran.stdout
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Starts the slow pipeline, and waits until its second stage runs.
fn start_slow(space: &Space) -> Child {
    let run = space.start(&["run", "pipelines/slow.yaml"]);
    let (start, log) = (Instant::now(), space.path("results/store/v1/live/slow.jsonl"));
    let is_told = || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains(r#""event":"started","stage":"second""#))
    };
    while !is_told() {
        assert!(start.elapsed() < Duration::from_mins(1), "the run does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    run
}

#[test]
fn without_a_run_it_says_how_to_start_one() {
    let space = Space::quick();
    let refused = |arguments: &[&str], message: &str, hint: &str| {
        let ran = space.run(&[&["watch"], arguments].concat());
        assert!(ran.code == 2 && ran.stdout.is_empty(), "{ran:#?}");
        assert!(ran.stderr.contains(message) && ran.stderr.contains(hint), "{}", ran.stderr);
    };
    refused(&[], "no run has left anything to watch", "start one in another shell");
    refused(&["pipelines/quick.yaml"], "no run of 'quick'", "'layerwise run pipelines/quick.yaml'");
    assert!(!space.path("results").exists(), "looking makes nothing");
    space.run_quick(&["mnist"]);
    refused(&["quikc"], "no run of 'quikc'", "did you mean 'quick'?");
}

#[test]
fn a_run_that_ended_is_told_as_it_told_itself() {
    let space = Space::quick();
    let printed = events(&space.run_quick(&["--json", "--jobs", "1"]).stdout);
    let page = watch(&space, &["--once"]);
    assert!(page.starts_with("quick: ended after "), "{page}");
    assert!(page.contains("11 of 11 stages done (process "), "{page}");
    for part in
        ["fit[seed=0]: error by epoch; after 3: train 0.", "fit[seed=0]: loss by epoch; after 3: train 0."]
    {
        assert!(page.contains(part), "{page}");
    }
    for same in [&[][..], &["quick"], &["pipelines/quick.yaml"], &["results/quick"]] {
        assert_eq!(watch(&space, same), page, "what has ended does not change");
    }

    let lines = events(&watch(&space, &["--json"]));
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((&first["event"], &last["event"]), (&"opened".into(), &"closed".into()));
    let stages: Vec<_> = first["stages"].as_array().unwrap().iter().map(|stage| &stage["stage"]).collect();
    assert_eq!((stages.len(), stages[0], stages[10]), (11, &"mnist".into(), &"training".into()));
    let told = |lines: &[Value]| -> Vec<Value> {
        let mut told = lines.to_vec();
        told.retain(|line| {
            !["opened", "closed", "finished", "progress"].contains(&line["event"].as_str().unwrap())
        });
        for line in &mut told {
            line.as_object_mut().unwrap().remove("time");
        }
        told
    };
    assert_eq!(told(&lines), told(&printed), "the same events as on stdout");

    let before = space.read(LOG);
    space.run_quick(&[]);
    assert_eq!(space.read(LOG), before, "a run that has nothing to do tells nothing");
    space.run_quick(&["--force", "table"]);
    let page = watch(&space, &[]);
    assert!(page.contains("11 of 11 stages done, 10 of them cached"), "{page}");
    for housekeeping in ["verify", "gc", "du"] {
        let ran = space.run(&[housekeeping]);
        assert_eq!(ran.code, 0, "{ran:#?}");
    }
    assert_eq!(watch(&space, &[]), page, "a collection leaves it");
}

#[test]
fn a_run_that_goes_on_and_one_that_was_killed() {
    let space = Space::new().write("pipelines/slow.yaml", SLOW);
    let mut run = start_slow(&space);
    let page = watch(&space, &[]);
    assert!(page.starts_with("slow: running for ") && page.contains("1 of 2 stages done"), "{page}");
    let follower = space.start(&["watch", "slow", "--json"]);
    run.kill().unwrap();
    run.wait().unwrap();
    let followed = Ran::from(follower.wait_with_output().unwrap());
    assert_eq!(events(&followed.stdout).last().unwrap()["event"], "started", "nothing after it");
    let page = watch(&space, &[]);
    assert!(page.contains("ended without a word") && page.contains("its process is gone"), "{page}");
    assert!(page.contains("died"), "{page}");
}

/// A store that cannot be written to for those who look on is no reason to stop.
#[test]
fn nothing_that_happens_to_the_lines_matters_to_the_run() {
    let space = Space::quick().write("results/store/v1/live", "a file in the place of the folder");
    space.run_quick(&["mnist"]);
    assert_eq!(space.run(&["watch"]).code, 2);
}
