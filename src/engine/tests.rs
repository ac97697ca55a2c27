//! The engine on toy kinds: what ran is read off the log of events.

use std::fmt::Write as _;

use insta::assert_snapshot;
use proptest::prelude::*;
use tempfile::TempDir;

use super::toys::{TWO_SEEDS, keyed, run_in, run_with};
use super::*;
use crate::base::fsx;
use crate::store::Store;

#[test]
fn first_run_second_run_and_back_again() {
    let folder = TempDir::new().unwrap();
    assert_snapshot!(run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]), @r"
    planned 3 of 3
    started say[seed=a]
    noted say[seed=a]: saying a
    built say[seed=a]
    started say[seed=b]
    noted say[seed=b]: saying b
    built say[seed=b]
    started all
    built all
    ");
    assert_snapshot!(fsx::read_to_string(&folder.path().join("toy/all.txt")).unwrap(), @r#"
    {"seed": "a"} a
    {"seed": "b"} b
    "#);
    let lock = fsx::read(&folder.path().join("toy/lock.json")).unwrap();
    assert_snapshot!(run_in(folder.path(), &keyed(TWO_SEEDS, &["seed=[b, c]"]), &[]), @r"
    planned 2 of 3
    cached say[seed=b]
    started say[seed=c]
    noted say[seed=c]: saying c
    built say[seed=c]
    started all
    built all
    ");
    assert_snapshot!(run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]), @r"
    planned 0 of 3
    cached say[seed=a]
    cached say[seed=b]
    cached all
    ");
    assert_eq!(fsx::read(&folder.path().join("toy/lock.json")).unwrap(), lock);
}

#[test]
fn names_comments_order_and_slips_of_spelling_rerun_nothing() {
    let folder = TempDir::new().unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    let same = "
# another comment
stages:
  every: { join: {}, needs: { texts: [utter] } }
  utter: { about: the same, say: { times: 0, word: $seed } }
matrix: { seed: [b, a] }
pipeline: toy
";
    assert!(run_in(folder.path(), &keyed(same, &[]), &[]).starts_with("planned 0 of 3"));
}

#[test]
fn a_failure_stops_what_is_new_and_names_itself() {
    let folder = TempDir::new().unwrap();
    let text = "
pipeline: toy
stages:
  good: { say: { word: good } }
  worse: { needs: { after: good }, say: { word: fail } }
  z: { needs: { texts: [good, worse] }, join: {} }
";
    assert_snapshot!(run_in(folder.path(), &keyed(text, &[]), &[]), @r"
    planned 3 of 3
    started good
    noted good: saying good
    built good
    started worse
    failed worse: it was told to fail
    skipped z because of worse
    ");
    assert!(
        fsx::list(&folder.path().join("store/v1/staging")).unwrap().is_empty(),
        "a failure leaves nothing"
    );
    assert_snapshot!(run_in(folder.path(), &keyed(&text.replace("fail", "panic"), &[]), &["worse"]), @r"
    planned 1 of 2
    cached good
    started worse
    failed worse: the stage panicked: it was told to panic
    ");
}

#[test]
fn a_stop_starts_nothing_new() {
    let folder = TempDir::new().unwrap();
    let text = TWO_SEEDS.replace("[a, b]", "[stop, b]");
    assert_snapshot!(run_in(folder.path(), &keyed(&text, &[]), &[]), @r"
    planned 3 of 3
    started say[seed=stop]
    noted say[seed=stop]: saying stop
    built say[seed=stop]
    interrupted say[seed=b]
    interrupted all
    ");
    assert!(run_in(folder.path(), &keyed(&text, &[]), &[]).contains("cached say[seed=stop]"));
}

#[test]
fn equal_nodes_are_one() {
    let folder = TempDir::new().unwrap();
    let text = "
pipeline: toy
stages:
  one: { say: { word: x } }
  two: { say: { word: x } }
  sum: { needs: { texts: [one, two] }, join: {} }
";
    let log = run_in(folder.path(), &keyed(text, &[]), &[]);
    assert_eq!(log.matches("built").count(), 2, "{log}");
    assert_eq!(fsx::read_to_string(&folder.path().join("toy/sum.txt")).unwrap(), "{} x\n{} x\n");
}

#[test]
fn a_target_runs_what_it_needs_and_keeps_the_rest_of_the_lock() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    assert!(run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &["say[seed=b]"]).starts_with("planned 1 of 1\n"));
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    let lock = Lock::read(&folder.path().join("toy")).unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &["say"]);
    assert_eq!(Lock::read(&folder.path().join("toy")).unwrap(), lock);
    let error = Plan::new(
        &keyed(TWO_SEEDS, &[]),
        &store,
        &Wish { targets: vec!["sya".to_owned()], force: Vec::new() },
    )
    .unwrap_err();
    assert!(matches!(error, plan::PlanError::Target(error) if error.hint() == "did you mean 'say'?"));
}

#[test]
fn an_edited_result_is_put_back_and_the_edit_kept() {
    let folder = TempDir::new().unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    let file = folder.path().join("toy/all.txt");
    let original = fsx::read(&file).unwrap();
    fsx::write_atomic(&file, b"mine").unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    assert_eq!(fsx::read(&file).unwrap(), original);
    assert_eq!(fsx::read(&folder.path().join("toy/all.txt.edited")).unwrap(), b"mine");
    // Another edit, in place: neither the first nor the store's bytes are touched.
    fsx::write_all(&mut fsx::append(&file).unwrap(), &file, b"more").unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    assert_eq!(fsx::read(&file).unwrap(), original);
    assert_eq!(fsx::read(&folder.path().join("toy/all.txt.edited")).unwrap(), b"mine");
    let second = fsx::read(&folder.path().join("toy/all.txt.2.edited")).unwrap();
    assert_eq!(second, [original.as_slice(), b"more"].concat());
}

#[test]
fn a_file_that_no_lock_knows_is_kept_too() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("toy/all.txt");
    fsx::write_atomic(&file, b"mine").unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]);
    assert_eq!(fsx::read(&folder.path().join("toy/all.txt.edited")).unwrap(), b"mine");
    // But what a killed run placed before it wrote its lock is nobody's edit.
    fsx::remove_file(&folder.path().join("toy/lock.json")).unwrap();
    run_in(folder.path(), &keyed(TWO_SEEDS, &["seed=[b, c]"]), &[]);
    assert_eq!(fsx::list(&folder.path().join("toy")).unwrap(), ["all.txt", "all.txt.edited", "lock.json"]);
}

#[test]
fn two_runs_at_once_do_the_work_once() {
    let folder = TempDir::new().unwrap();
    let logs: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| run_in(folder.path(), &keyed(TWO_SEEDS, &[]), &[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let said = logs.iter().map(|log| log.matches("saying").count()).sum::<usize>();
    assert_eq!(said, 2, "{logs:?}");
}

/// A random graph: stage `i` says a word and comes after some of the stages before it; some fail.
fn random_graph() -> impl Strategy<Value = Vec<(bool, Vec<bool>)>> {
    prop::collection::vec(
        (prop::bool::weighted(0.1), prop::collection::vec(prop::bool::weighted(0.3), 12)),
        1..12,
    )
}

fn pipeline_of(graph: &[(bool, Vec<bool>)]) -> String {
    let mut text = "pipeline: toy\nstages:\n".to_owned();
    // Written last to first: the order of the file does not matter.
    for (i, (fails, after)) in graph.iter().enumerate().rev() {
        let after: Vec<_> = (0..i).filter(|j| after[*j]).map(|j| format!("s{j}")).collect();
        let needs = if after.is_empty() {
            String::new()
        } else {
            format!("needs: {{ after: [{}] }}, ", after.join(", "))
        };
        let word = if *fails { "fail".to_owned() } else { format!("w{i}") };
        writeln!(text, "  s{i}: {{ {needs}say: {{ word: {word}, times: {i} }} }}").unwrap();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// A stage starts after all that it needs is built; it ends exactly once; without failures all is built, with one what needs it
    /// is not; and a second run starts nothing that was built.
    #[test]
    fn any_graph_is_run_in_order_and_once(graph in random_graph(), jobs in 1_usize..5) {
        let folder = TempDir::new().unwrap();
        let keyed = keyed(&pipeline_of(&graph), &[]);
        let log = run_with(folder.path(), &keyed, &[], jobs);
        let at = |line: &str| log.lines().position(|l| l.starts_with(line));
        for (i, (_, after)) in graph.iter().enumerate() {
            let ends = log.lines().filter(|l| l.ends_with(&format!(" s{i}")) && l.starts_with("built")
                || l.starts_with(&format!("failed s{i}:")) || l.starts_with(&format!("skipped s{i} "))).count();
            prop_assert_eq!(ends, 1, "s{} in\n{}", i, &log);
            for j in (0..i).filter(|j| after[*j]) {
                if let Some(started) = log.lines().position(|l| l == format!("started s{i}")) {
                    let built = log.lines().position(|l| l == format!("built s{j}"));
                    prop_assert!(built.is_some_and(|built| built < started), "s{} before s{} in\n{}", i, j, &log);
                }
            }
        }
        let is_whole = graph.iter().all(|(fails, _)| !fails);
        prop_assert_eq!(is_whole, at("failed").is_none() && at("skipped").is_none());
        let again = run_with(folder.path(), &keyed, &[], 1);
        for line in log.lines().filter(|line| line.starts_with("built")) {
            let restarted = again.lines().any(|l| l == line.replace("built", "started"));
            prop_assert!(!restarted, "{}\n{}", &log, &again);
        }
    }
}
