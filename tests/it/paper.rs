//! The published numbers, at full scale.
//!
//! One test reads the tracked results; the other (`make test-paper`, minutes; at once if the store has the result) makes them anew.
//! Bounds and published values: the study's Figures 1a and 1b, and an independent PyTorch run of the same recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::space::{Space, repository};

type Row = BTreeMap<String, String>;

fn rows(path: &Path) -> Vec<Row> {
    let mut reader =
        csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader.deserialize().map(Result::unwrap).collect()
}

/// The mean of `value` over the rows that have these values in these columns.
fn mean(rows: &[Row], wanted: &[(&str, &str)]) -> f64 {
    let matches = |row: &&Row| wanted.iter().all(|(column, value)| row[*column] == *value);
    let values: Vec<f64> = rows.iter().filter(matches).map(|row| row["value"].parse().unwrap()).collect();
    assert!(!values.is_empty(), "no row with {wanted:?}");
    values.iter().sum::<f64>() / values.len() as f64
}

fn within(what: &str, value: f64, low: f64, high: f64) {
    let slack = 1e-9; // the bounds are decimal fractions
    assert!((low - slack..=high + slack).contains(&value), "{what} is {value}, outside {low}..{high}");
}

fn check_figure_1(folder: &Path) {
    let probes = rows(&folder.join("probes.csv"));
    let error = |layer: &str, source: &str, epoch: &str| {
        let wanted =
            [("layer", layer), ("source", source), ("epoch", epoch), ("split", "test"), ("metric", "error")];
        mean(&probes, &wanted)
    };
    within("error of the full model", error("fullmodel", "reinit", "100"), 0.015, 0.021);
    for (epoch, expected) in [("1", 0.052), ("2", 0.036), ("3", 0.031)] {
        within(
            &format!("error after epoch {epoch}"),
            error("fullmodel", "reinit", epoch),
            expected - 0.006,
            expected + 0.006,
        );
    }
    within("layer1 re-initialized to 0", error("layer1", "reinit", "0"), 0.2, 0.65);
    for layer in ["layer2", "layer3", "layer4"] {
        within(&format!("{layer} re-initialized to 0"), error(layer, "reinit", "0"), 0.0, 0.12);
    }
    for layer in ["layer1", "layer2", "layer3", "layer4"] {
        within(&format!("{layer} re-randomized"), error(layer, "rerand", ""), 0.70, 1.0);
        assert_eq!(
            error(layer, "reinit", "100"),
            error("fullmodel", "reinit", "100"),
            "a reset to the end is none"
        );
    }
    check_distances(&rows(&folder.join("distances.csv")));
}

fn check_distances(distances: &[Row]) {
    let distance = |layer: &str, source: &str, epoch: &str| {
        mean(distances, &[("layer", layer), ("source", source), ("epoch", epoch), ("metric", "paper_l2")])
    };
    let published = [
        ("layer1", 0.131, 0.385),
        ("layer2", 0.095, 0.670),
        ("layer3", 0.084, 0.670),
        ("layer4", 0.480, 0.137),
    ];
    for (layer, trained, random) in published {
        within(
            &format!("final paper_l2 of {layer}"),
            distance(layer, "reinit", "100"),
            trained * 0.85,
            trained * 1.15,
        );
        within(
            &format!("re-randomized paper_l2 of {layer}"),
            distance(layer, "rerand", ""),
            random * 0.95,
            random * 1.05,
        );
        assert_eq!(distance(layer, "reinit", "0"), 0.0);
    }
}

/// Figure 8 at τ = 0: sets that are robust one by one are not so together, but every second one is.
fn check_figure_8(folder: &Path) {
    let probes = rows(&folder.join("probes.csv"));
    let error = |layer: &str, source: &str, epoch: &str| {
        let wanted =
            [("layer", layer), ("source", source), ("epoch", epoch), ("split", "test"), ("metric", "error")];
        mean(&probes, &wanted)
    };
    within("error of the full model", error("fullmodel", "reinit", "100"), 0.014, 0.021);
    for layer in ["layer2", "layer3", "layer4", "layer5", "layer6"] {
        within(&format!("{layer} alone"), error(layer, "reinit", "0"), 0.0, 0.12);
    }
    within("layers 2-6 together", error("layer2+layer3+layer4+layer5+layer6", "reinit", "0"), 0.7, 1.0);
    within("layers 2, 4, 6 together", error("layer2+layer4+layer6", "reinit", "0"), 0.0, 0.25);
}

fn results(pipeline: &str) -> PathBuf {
    repository().join("results").join(pipeline)
}

#[test]
fn tracked_results_of_figure_1_are_those_of_the_paper() {
    check_figure_1(&results("fig1"));
}

#[test]
fn tracked_results_of_figure_8_are_those_of_the_paper() {
    check_figure_8(&results("fig8"));
}

#[test]
#[ignore = "minutes unless the store has the result: make test-paper"]
fn figure_1_made_now_is_that_of_the_paper() {
    let pipeline = repository().join("pipelines/fig1.yaml");
    let ran = Space::new().run(&["run", pipeline.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    check_figure_1(&results("fig1"));
}
