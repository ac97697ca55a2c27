//! `verify`, `gc`, `du`, and what the world does to a store: read-only disks, full disks, kills, edits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::space::Space;

const RUN: [&str; 2] = ["run", "pipelines/quick.yaml"];

/// The path of an output's object, from the lock.
fn object(space: &Space, stage: &str, file: &str) -> PathBuf {
    let lock: Value = serde_json::from_str(&space.read("results/quick/lock.json")).unwrap();
    let digest = lock["stages"][stage]["outputs"][file].as_str().unwrap_or_else(|| panic!("{stage} {file}"));
    space.path("results/store/v1/objects").join(&digest[..2]).join(&digest[2..])
}

fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(
            |entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() },
        )
        .sum()
}

#[test]
fn a_damaged_store_is_found_named_and_repaired() {
    let space = Space::quick();
    space.run_quick(&[]);
    let clean = space.run(&["verify"]);
    assert_eq!((clean.code, clean.stderr.as_str()), (0, ""), "{clean:?}");
    let results = space.results("quick");

    overwrite(&object(&space, "resets[seed=0]", "patches.json"), b"{}");
    std::fs::remove_file(object(&space, "training", "table.csv")).unwrap();
    let lock: Value = serde_json::from_str(&space.read("results/quick/lock.json")).unwrap();
    let key = lock["stages"]["mnist"]["key"].as_str().unwrap();
    let record = space.path("results/store/v1/records").join(&key[..2]).join(format!("{}.json", &key[2..]));
    overwrite(&record, b"{ \"key\"");
    std::fs::write(space.path("results/quick/table.md"), "mine").unwrap();
    std::fs::remove_file(space.path("results/quick/table.tex")).unwrap();

    let json = space.run(&["verify", "--json"]).stdout;
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|line| line["finding"] == "damaged" && line["stages"][0] == "quick/resets[seed=0]"),
        "{json}"
    );
    let ran = space.run(&["verify", "quick", "--repair"]);
    assert_eq!(ran.code, 1);
    insta::with_settings!({ filters => [("[0-9a-f]{62}", "[KEY]"), ("[0-9a-f]{12}", "[DIGEST]"), ("/[0-9a-f]{2}/", "/xx/"), (r"\d+ objects \(.*\)", "# objects")] }, {
        insta::assert_snapshot!("verify_damaged", format!("{}---\n{}", ran.stdout, ran.stderr));
    });

    space.run_quick(&[]);
    assert_eq!(space.run(&["verify"]).code, 0);
    let (edited, rest): (Vec<_>, Vec<_>) =
        space.results("quick").into_iter().partition(|(name, _)| name.ends_with(".edited"));
    assert!(rest == results && edited == [("table.md.edited".to_owned(), b"mine".to_vec())]);
}

#[test]
fn stages_that_are_done_again_give_the_same_bytes() {
    let space = Space::quick();
    let early = space.run(&["verify", "--rerun", "pipelines/quick.yaml", "fit"]);
    assert!(
        early.code == 2 && early.stderr.contains("the result of 'fit[seed=0]' is not in the store"),
        "{early:?}"
    );
    space.run_quick(&[]);
    let before = size(&space.path("results/store/v1/objects"));
    let ran = space.run(&["verify", "--rerun", "pipelines/quick.yaml", "fit", "probe", "heatmap"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "fit[seed=0]: identical\nprobe[seed=0]: identical\nheatmap: identical\n"),
        "{ran:?}"
    );
    assert_eq!(size(&space.path("results/store/v1/objects")), before);
    assert_eq!(
        std::fs::read_dir(space.path("results/store")).unwrap().count(),
        1,
        "nothing is left beside v1"
    );
    let again = space.run(&["verify", "--rerun", "pipelines/quick.yaml", "f*", "saved[seed=0,*]"]);
    assert_eq!(again.stdout, "fit[seed=0]: identical\nsaved[seed=0]: identical\n", "{again:?}");
    let wrong = space.run(&["verify", "--rerun", "pipelines/quick.yaml", "fti"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("did you mean 'fit'?"), "{wrong:?}");
}

/// As in a fresh clone, where another pipeline made the dataset.
#[test]
fn a_pipeline_that_was_not_run_here_is_no_fault() {
    let space = Space::quick();
    space.run_quick(&[]);
    let lock = space.read("results/quick/lock.json");
    std::fs::remove_dir_all(space.path("results/store")).unwrap();
    space.run_quick(&["mnist"]);
    let space = space.write("results/quick/lock.json", &lock);
    let verified = space.run(&["verify", "pipelines/quick.yaml"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let told = "quick was not run here: 1 of 11 stages are in the store\n";
    assert!(verified.stdout.ends_with(told), "{verified:?}");
    assert_eq!(space.run(&["du", "quick"]).stdout, format!("{told}\n"));
}

#[test]
fn what_nothing_refers_to_is_collected() {
    let space = Space::quick();
    space.run_quick(&[]);
    assert_eq!(space.run(&["tag", "first", "quick"]).code, 0);
    space.run_quick(&["--set", "seed=1"]);
    let collect = |more: &[&str]| -> Value {
        let ran = space.run(&[&["gc", "--json"], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    };
    assert_eq!(collect(&[])["freed"]["records"], 0, "recent runs are kept");
    std::fs::remove_dir_all(space.path("results/store/v1/runs")).unwrap();
    assert_eq!(collect(&[])["freed"]["records"], 0, "what is tagged is kept");
    std::fs::remove_file(space.path("results/store/v1/tags/first.json")).unwrap();
    let planned = collect(&["--dry-run", "--keep-days", "0"]);
    let du: Vec<Value> =
        space.run(&["du", "--json"]).stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let store = &du.last().unwrap()["store"];
    assert_eq!(store["objects"], size(&space.path("results/store/v1/objects")));
    let stages: u64 =
        du.iter().filter(|l| l["stage"].is_string()).map(|l| l["bytes"].as_u64().unwrap()).sum();
    assert!(stages > 0 && stages < store["objects"].as_u64().unwrap());
    let freed = collect(&["--keep-days", "0"]);
    assert_eq!(freed["freed"], planned["freed"]);
    assert!(freed["freed"]["records"].as_u64().unwrap() >= 9, "the other seed's stages: {freed}");
    assert!(
        space.run_quick(&["--set", "seed=1"]).stderr.starts_with("0 of "),
        "the lock's results are there"
    );
    assert_eq!(space.run(&["verify"]).code, 0);
    assert!(!space.run_quick(&[]).stderr.starts_with("0 of "), "the others are made again");
}

#[test]
fn space_is_told_by_stage_and_kind() {
    let space = Space::quick();
    space.run_quick(&[]);
    let text = space.run(&["du"]).stdout;
    insta::with_settings!({ filters => [(r" +\d+(\.\d)? [kM]?B", " [SIZE]")] }, {
        insta::assert_snapshot!("du", text);
    });
    let lines = |text: &str| text.lines().take(12).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&space.run(&["du", "pipelines/quick.yaml"]).stdout), lines(&text));
    let days = space.run(&["gc", "--keep-days", "x"]);
    assert!(days.code == 2 && days.stderr.contains("write a number of days, as in 30"), "{days:?}");
    let unknown = space.run(&["du", "quikc"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("did you mean 'quick'?"), "{unknown:?}");
    assert_eq!(space.run(&["gc", "--results", "nowhere"]).code, 2);
}

/// A run that takes a while, and the moment when it has left something behind.
fn start_long(space: &Space) -> std::process::Child {
    let child = space.start(&RUN);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !std::fs::read_dir(space.path("results/store/v1/staging"))
        .is_ok_and(|mut keys| keys.next().is_some())
    {
        assert!(Instant::now() < deadline, "nothing is made within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn nothing_is_collected_beside_a_run_and_a_killed_run_holds_nothing() {
    let space = Space::with_quick("epochs: 3", "epochs: 40");
    let mut child = start_long(&space);
    let refused = space.run(&["gc"]);
    insta::assert_snapshot!("gc_beside_a_run", refused.stderr);
    assert_eq!((refused.code, child.try_wait().unwrap()), (2, None));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(space.run(&["gc"]).code, 0, "a dead process holds no lock");
}

#[test]
fn of_two_runs_one_is_killed_and_stale_leases_stop_nobody() {
    let space = Space::with_quick("epochs: 3", "epochs: 12");
    let mut first = start_long(&space);
    let second = space.start(&RUN);
    first.kill().unwrap();
    first.wait().unwrap();
    // As a host leaves them that lost its power.
    let leases = space.path("results/store/v1/leases");
    for key in std::fs::read_dir(space.path("results/store/v1/staging")).unwrap() {
        std::fs::write(leases.join(key.unwrap().file_name()), "some host").unwrap();
    }
    let second = second.wait_with_output().unwrap();
    assert!(second.status.success(), "{second:?}");
    let undisturbed = Space::with_quick("epochs: 3", "epochs: 12");
    undisturbed.run_quick(&[]);
    assert!(space.results("quick") == undisturbed.results("quick"));
    assert_eq!(space.run(&["verify"]).code, 0);
}

#[test]
fn a_store_that_may_only_be_read_serves_what_is_done() {
    let space = Space::quick();
    space.run_quick(&[]);
    let read_only =
        "mount --bind results results && mount -o remount,bind,ro results && ! touch results/x 2>&- && ";
    let Some(done) =
        space.with_mounts(&format!("{read_only} $LAYERWISE run pipelines/quick.yaml && $LAYERWISE verify"))
    else {
        return;
    };
    assert_eq!(done.code, 0, "{done:#?}");
    assert!(done.stderr.starts_with("0 of "), "{}", done.stderr);
    let other =
        space.with_mounts(&format!("{read_only} $LAYERWISE run pipelines/quick.yaml --set seed=1")).unwrap();
    assert!(other.code != 0 && other.stderr.contains("os error 30"), "{other:#?}");
    assert_eq!(space.run(&["verify"]).code, 0);
}

#[test]
fn a_full_disk_is_told_and_forgotten() {
    let undisturbed = Space::quick();
    undisturbed.run_quick(&[]);
    let space = Space::quick();
    std::fs::create_dir(space.path("results")).unwrap();
    let script = "mount -t tmpfs -o size=11500k tmpfs results
        $LAYERWISE run pipelines/quick.yaml; echo \"code $?\"
        mount -o remount,size=200m results
        $LAYERWISE verify && $LAYERWISE run pipelines/quick.yaml && $LAYERWISE verify && cp results/quick/* copy/";
    std::fs::create_dir(space.path("copy")).unwrap();
    let Some(ran) = space.with_mounts(script) else { return };
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.starts_with("code 1"), "{ran:#?}");
    assert!(ran.stderr.contains("os error 28"), "{ran:#?}");
    for (name, bytes) in undisturbed.results("quick") {
        assert!(std::fs::read(space.path("copy").join(&name)).unwrap() == bytes, "{name}");
    }
}
