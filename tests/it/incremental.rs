//! What an edit costs, through the real store: only what it touches is trained or probed, and the bytes are those of a fresh run.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::space::Space;

/// What a stage of the quick pipeline reports on its way: how much is done, of how much, with which note.
fn progress(space: &Space, stage: &str, arguments: &[&str]) -> Vec<(u64, u64, String)> {
    let ran = space.run_quick(&[&["--json"], arguments].concat());
    let events = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events = events.filter(|event| event["event"] == "progress" && event["stage"] == stage);
    let number = |value: &Value| value.as_u64().unwrap();
    events
        .map(|e| (number(&e["done"]), number(&e["total"]), e["note"].as_str().unwrap().to_owned()))
        .collect()
}

fn epochs(space: &Space, arguments: &[&str]) -> BTreeSet<String> {
    let reports = progress(space, "fit[seed=0]", arguments).into_iter();
    reports.map(|(.., note)| note.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_longer_training_trains_the_new_epochs_only() {
    let space = Space::quick();
    assert_eq!(epochs(&space, &[]), ["1/3", "2/3", "3/3"].map(str::to_owned).into());
    let longer = ["--set", "epochs=5"];
    assert_eq!(epochs(&space, &longer), ["4/5", "5/5"].map(str::to_owned).into());
    let fresh = Space::quick();
    fresh.run_quick(&longer);
    assert!(space.results("quick") == fresh.results("quick"));
    assert_eq!(epochs(&space, &[]), BTreeSet::new(), "the earlier one is still there");
}

#[test]
fn a_longer_training_tells_the_whole_curve() {
    let space = Space::quick();
    space.run_quick(&[]);
    let ran = space.run_quick(&["--json", "--set", "epochs=5"]);
    let events = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let points = events.filter(|event| event["event"] == "scalars");
    assert_eq!(points.map(|point| point["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn another_draw_evaluates_the_new_probes_only() {
    let space = Space::quick();
    space.run_quick(&[]);
    let text = space.read("pipelines/quick.yaml").replace("draws: 2", "draws: 3");
    let space = space.write("pipelines/quick.yaml", &text);
    let reports = progress(&space, "probe[seed=0]", &[]);
    assert_eq!(reports.last().map(|(done, total, _)| (*done, *total)), Some((10, 10)), "5 rows on 2 splits");
    let fresh = Space::with_quick("draws: 2", "draws: 3");
    fresh.run_quick(&[]);
    assert!(space.results("quick") == fresh.results("quick"));
}

#[test]
fn an_edit_of_the_file_costs_what_it_touches() {
    let space = Space::quick();
    space.run_quick(&[]);
    let quick = space.read("pipelines/quick.yaml");
    let edit = |from: &str, to: &str| {
        assert!(quick.contains(from), "'{from}' is not in quick.yaml");
        std::fs::write(space.path("pipelines/quick.yaml"), quick.replacen(from, to, 1)).unwrap();
    };
    edit("at: [2]", "at: [2, 3]");
    assert_eq!(epochs(&space, &[]), BTreeSet::new(), "a step after the last epoch");
    edit("at: [2]", "at: [3]");
    assert_eq!(epochs(&space, &[]), ["3/3".to_owned()].into(), "a later step");
    for (from, to) in [
        ("[layer2, layer3]]", "[layer2, layer3], [layer1, layer2]]"),
        ("epochs: [0, 1,", "epochs: [0, 1, 2,"),
    ] {
        edit(from, to);
        let reports = progress(&space, "probe[seed=0]", &[]);
        let total = reports.last().map(|(done, total, _)| (*done, *total));
        assert_eq!(total, Some((10, 10)), "{to}: 5 rows on 2 splits");
    }
    edit("pipeline: quick", "pipeline: quick # as before");
    assert!(space.run_quick(&[]).stderr.starts_with("0 of "), "going back");
}
