//! What runs, and what does not: an event log for every kind of edit and damage, on pipelines of quick programs.
//!
//! What an edit of a training costs is in `incremental.rs`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;

use crate::space::Space;

/// Where a pipeline of these tests lies.
const FILE: &str = "pipelines/chain.yaml";

const CHAIN: &str = "\
pipeline: chain
matrix: { scale: [1, 2] }
stages:
  kept:   { command: { run: 'grep -v ^# src/notes.txt > kept.txt', files: [src/notes.txt], outputs: [kept.txt] } }
  count:  { needs: { kept: kept }, command: { run: 'wc -l < $kept/kept.txt > n.txt', outputs: [n.txt] } }
  scaled: { needs: { n: count }, command: { run: 'echo $(($(cat $n/n.txt) * $scale)) > n.txt', outputs: [n.txt], env: { scale: $scale } } }
  other:  { command: { run: 'echo other > other.txt', outputs: [other.txt] } }
";

fn chain() -> Space {
    Space::new().write(FILE, CHAIN).write("src/notes.txt", "# notes\none\ntwo\n")
}

/// What an edit leads to: the stages that `status` calls misses, with the reason, and the log of the run that follows.
fn after(what: &str, space: &Space, more: &[&str]) -> String {
    let status = space.run(&["status", FILE]).stdout;
    let ran = space.run(&[&["run", FILE, "--jobs", "1"], more].concat());
    let mut log = format!("# {what}\n");
    for line in status.lines().filter(|line| !line.starts_with("hit ")).chain(ran.stderr.lines()) {
        if !line.ends_with(" started on 1 thread") {
            writeln!(log, "{line}").unwrap();
        }
    }
    assert_eq!(ran.code, 0, "{log}");
    log + "\n"
}

/// The object of a stage's only output, by the lock.
fn object(space: &Space, stage: &str) -> PathBuf {
    let lock: Value = serde_json::from_str(&space.read("results/chain/lock.json")).unwrap();
    let outputs = lock["stages"][stage]["outputs"].as_object().unwrap();
    let digest = outputs.values().next().unwrap().as_str().unwrap();
    space.path("results/store/v1/objects").join(&digest[..2]).join(&digest[2..])
}

/// Changes bytes and no more: size, times and permissions stay.
fn damage(path: &Path) {
    let bytes: Vec<u8> = std::fs::read(path).unwrap().iter().map(|byte| byte ^ 1).collect();
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_edit_reruns_what_it_changes() {
    let space = chain();
    let mut log = after("the first run", &space, &[]);
    let first = space.read("results/chain/lock.json");
    log += &after("nothing was done", &space, &[]);

    let space = space.write("src/notes.txt", "# notes\n# that nobody reads\none\ntwo\n");
    log += &after("a comment that the first program drops", &space, &[]);
    let space = space.write("src/notes.txt", "# notes\none\nTWO\n");
    log += &after("another line, as many lines", &space, &[]);
    let space = space.write("src/notes.txt", "# notes\none\ntwo\nthree\n");
    log += &after("one line more", &space, &[]);
    let space = space.write("src/notes.txt", "# notes\none\ntwo\n");
    log += &after("the first notes again", &space, &[]);
    assert_eq!(space.read("results/chain/lock.json"), first);

    let again = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::options()
        .write(true)
        .open(space.path("src/notes.txt"))
        .unwrap()
        .set_modified(again)
        .unwrap();
    log += &after("notes that were touched", &space, &[]);

    let space = space.write(FILE, &CHAIN.replace("$n/n.txt) * $scale", "$n/n.txt) + $scale"));
    log += &after("another program at the end", &space, &[]);
    let space = space.write(FILE, CHAIN);
    log += &after("the earlier program again", &space, &[]);
    let space = space.write(FILE, &CHAIN.replace("[1, 2]", "[1, 2, 3]"));
    log += &after("one more value of an axis", &space, &[]);
    assert_snapshot!("an_edit_reruns_what_it_changes", log);
}

#[test]
fn what_changes_no_result_reruns_nothing() {
    let space = chain();
    space.run(&["run", FILE]);
    let renamed = CHAIN.replace("kept: kept", "kept: filtered").replace("  kept: ", "  filtered: ");
    let mut lines: Vec<&str> = CHAIN.lines().collect();
    lines[3..].reverse();
    let handled = CHAIN.replace(
        "{ command:",
        "{ about: handled otherwise, retries: 2, timeout: 1 h, resources: { cores: 1 }, command:",
    );
    let swapped = CHAIN.replace(
        ", files: [src/notes.txt], outputs: [kept.txt]",
        ", outputs: [kept.txt], files: [src/notes.txt]",
    );
    let mut log = String::new();
    for (what, text) in [
        ("a stage with another name", renamed),
        ("stages in another order", lines.join("\n")),
        ("comments and empty lines", CHAIN.replace('\n', "\n\n  # a comment\n")),
        ("keys in another order", swapped),
        ("resources, a timeout, retries, a sentence", handled),
    ] {
        assert_ne!(text, CHAIN, "{what}");
        std::fs::write(space.path(FILE), text).unwrap();
        log += &after(what, &space, &[]);
    }
    std::fs::write(space.path(FILE), CHAIN).unwrap();
    for more in
        [&["--jobs", "3"][..], &["--threads", "1"], &["--memory", "1 GiB", "--gpus", "0"], &["--keep-going"]]
    {
        let ran = space.run(&[&["run", FILE], more].concat());
        writeln!(log, "# {}\n{}", more.join(" "), ran.stderr).unwrap();
    }
    assert_snapshot!("what_changes_no_result_reruns_nothing", log);
}

#[test]
fn objects_that_are_lost_or_damaged_are_made_again() {
    let space = chain();
    space.run(&["run", FILE]);
    let results = space.results("chain");
    std::fs::remove_file(object(&space, "count")).unwrap();
    let mut log = after("an object is lost", &space, &[]);
    damage(&object(&space, "kept"));
    log += &after("an object is damaged", &space, &[]);
    damage(&object(&space, "scaled[scale=2]"));
    damage(&object(&space, "other"));
    log += &after("two objects at the end are damaged", &space, &[]);
    std::fs::remove_file(space.path("results/store/v1/index")).unwrap();
    log += &after("the index is lost", &space, &[]);
    assert_eq!(space.results("chain"), results);
    assert_snapshot!("objects_that_are_lost_or_damaged", log);
}

/// A program that gives other bytes each time it runs, as long as the file outside says so.
#[test]
fn users_of_other_bytes_run_again() {
    let space = Space::new();
    let outside = space.path("outside");
    let text = format!(
        "pipeline: chain\nstages:\n  \
         dice: {{ command: {{ run: 'cat {} > dice.txt', outputs: [dice.txt], sandbox: off }} }}\n  \
         user: {{ needs: {{ dice: dice }}, command: {{ run: 'cat $dice/dice.txt > user.txt', outputs: [user.txt] }} }}\n",
        outside.display()
    );
    let space = space.write(FILE, &text).write("outside", "1\n");
    let mut log = after("the first run", &space, &[]);
    let forced = space.run(&["run", FILE, "--jobs", "1", "--force", "dice"]).stderr;
    writeln!(log, "# forced, the same bytes\n{forced}").unwrap();
    let space = space.write("outside", "2\n");
    log += &after("what it reads undeclared has changed", &space, &[]);
    let dry = space.run(&["run", FILE, "--force", "dice", "--dry-run"]);
    writeln!(log, "# what would be forced\n{}", dry.stdout).unwrap();
    let forced = space.run(&["run", FILE, "--jobs", "1", "--force", "dice"]).stderr;
    writeln!(log, "# forced, other bytes\n{forced}").unwrap();
    log += &after("nothing was done", &space, &[]);
    let wrong = space.run(&["run", FILE, "--force", "dcie"]);
    assert_eq!(wrong.code, 2);
    writeln!(log, "# forced by a wrong name\n{}", wrong.stderr).unwrap();
    insta::with_settings!({ filters => [(r"\d+\.\d s of work", "[TIME] of work")] }, {
        assert_snapshot!("users_of_other_bytes_run_again", log);
    });
}
