//! The pipeline language at its edges: what `check` says of mistakes, the schema, the starter. Each snapshot of a mistake holds the
//! whole of stderr.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::space::{Space, repository};

/// What `check` says of a file.
fn complaint(text: &str) -> String {
    let ran = Space::new().write("p.yaml", text).run(&["check", "p.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{text}\n{ran:#?}");
    ran.stderr
}

/// quick.yaml with one thing wrong.
fn mistakes(changes: &[(&str, &str)]) -> String {
    let quick = std::fs::read_to_string(repository().join("pipelines/quick.yaml")).unwrap();
    let mut all = String::new();
    for (from, to) in changes {
        assert!(quick.contains(from), "'{from}' is not in quick.yaml");
        writeln!(all, "# {} → {to}\n{}", from.trim(), complaint(&quick.replacen(from, to, 1))).unwrap();
    }
    all
}

const FIVE: &str = "\
pipeline: five
matrix: { seed: [0] }
stages:
  mnist: { donwload: { dataset: mnist } }
  fit:   { needs: { data: mnist }, train: { model: { fcn: { depth: 2, width: 16 } }, epoch: 3, batch: 128, seed: $sede, optimizer: { sgd: { lr: 0.1 } } } }
  saved: { needs: { run: resets }, checkpoint: { epochs: [0] } }
  resets: { needs: { run: fit }, reset: { layers: each, reinit: all } }
extra: 1
";

#[test]
fn five_mistakes_show_five_carets() {
    assert_snapshot!("five_mistakes", complaint(FIVE));
    let space = Space::new().write("five.yaml", FIVE);
    let checked = space.run(&["check", "five.yaml"]);
    for command in ["run", "plan", "status"] {
        assert_eq!(space.run(&[command, "five.yaml"]).stderr, checked.stderr, "{command}");
    }
    assert_snapshot!("five_mistakes_json", space.run(&["check", "--json", "five.yaml"]).stdout);
    assert!(!space.path("results").exists(), "check makes no store");
}

#[test]
fn matrices_that_make_no_sense() {
    let all = mistakes(
        &[
            "seed: [0, 0]",
            "zip: 3, seed: [0]",
            "zip: [{ seed: 0 }, { lr: 1 }]",
            "zip: [{ seed: 0, lr: [1] }]",
            "seed: [0], zip: [{ seed: 1 }]",
            "seed: [0], exclude: [{ seed: 1 }]",
            "seed: [0], exclude: [{ sede: 0 }]",
            "seed: [0], exclude: [{ seed: 0 }]",
            "seed: [0], include: [{ lr: 0 }]",
            "include: [{ zip: 0, seed: 1 }]",
            "exclude: [{ seed: 0 }]",
        ]
        .map(|to| ("seed: [0]", to)),
    );
    assert_snapshot!("matrices_that_make_no_sense", all);
}

#[test]
fn stage_matrices_and_handling_that_make_no_sense() {
    let all = mistakes(
        &[
            "matrix: { seed: [1] }",
            "matrix: { lr: [0.1] }",
            "matrix: [1]",
            "timeout: 90",
            "timeout: 0 s",
            "timeout: '${params.time}'",
            "retries: -1",
            "retries: $seed",
            "resources: 2",
            "resources: { cores: 0 }",
            "resources: { core: 1 }",
            "resources: { memory: 4 gigs, gpu: one }",
        ]
        .map(|to| ("mnist:  { ", format!("mnist:  {{ {to}, ")))
        .each_ref()
        .map(|(from, to)| (*from, to.as_str())),
    );
    assert_snapshot!("stage_matrices_and_handling", all);
}

#[test]
fn files_that_cannot_be_used() {
    let mut all = String::new();
    for (text, shared) in [
        ("pipeline: p\nuse: 3\nstages: {}\n", ""),
        ("pipeline: p\nuse: gone.yaml\nstages: {}\n", ""),
        ("pipeline: p\nuse: parts/shared.yaml\nstages: {}\n", "stages: { a: [ }\n"),
        ("pipeline: p\nuse: parts/shared.yaml\nstages: {}\n", "use: ../p.yaml\n"),
        (
            "pipeline: p\nuse: parts/shared.yaml\nstages:\n  mnist: { download: { dataset: mnist } }\n",
            "stages:\n  mnist: { download: { dataset: mnits } }\n",
        ),
        (
            "pipeline: p\nuse: parts/shared.yaml\nstages:\n  fit: { needs: { data: mnits }, train: {} }\n",
            "stages:\n  mnist: { download: { dataset: minst } }\n",
        ),
    ] {
        let space = Space::new().write("p.yaml", text).write("parts/shared.yaml", shared);
        let ran = space.run(&["check", "p.yaml"]);
        assert_eq!(ran.code, 2, "{ran:#?}");
        writeln!(all, "{}", ran.stderr).unwrap();
    }
    assert_snapshot!("files_that_cannot_be_used", all);
}

#[test]
fn targets_that_mean_nothing() {
    let space = Space::quick();
    let mut all = String::new();
    for target in ["fig*", "fit[seed=7]", "fit[sede=0]", "ft[seed=0]"] {
        let ran = space.run(&["plan", "pipelines/quick.yaml", target]);
        assert_eq!(ran.code, 2, "{ran:#?}");
        writeln!(all, "$ layerwise plan pipelines/quick.yaml {target}\n{}", ran.stderr).unwrap();
    }
    assert_snapshot!("targets_that_mean_nothing", all);
    let planned = space.run(&["plan", "pipelines/quick.yaml", "f?t", "mn*[*]"]).stdout;
    assert!(planned.contains("fit[seed=0]") && planned.contains("2 of 2 stages"), "{planned}");
}

#[test]
fn check_approves_of_every_pipeline_and_of_the_starter() {
    let space = Space::quick();
    let ran = space.run(&["check", "pipelines/quick.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "ok: 11 stages, 11 nodes\n"), "{ran:#?}");
    let ran = space.run(&["init"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "pipelines/starter.yaml\n"), "{ran:#?}");
    let both = space.run(&["check", "pipelines/quick.yaml", "pipelines/starter.yaml", "--set", "epochs=1"]);
    assert_eq!(
        both.stdout,
        "pipelines/quick.yaml: ok: 11 stages, 11 nodes\npipelines/starter.yaml: ok: 6 stages, 9 nodes\n"
    );
    assert_snapshot!("init_overwrites_nothing", space.run(&["init"]).stderr);
    assert_eq!(space.run(&["init", "new/first-steps.yaml"]).code, 0);
    assert!(space.read("new/first-steps.yaml").contains("\npipeline: first-steps\n"));
    let ran = space.run(&["run", "new/first-steps.yaml", "errors"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(space.path("results/first-steps/errors.csv").exists());
}

/// What the fuzzer begins with; an input that it finds joins them.
#[test]
fn every_seed_of_the_fuzzer_is_read_or_refused() {
    let space = Space::new();
    let (mut read, mut refused) = (0, 0);
    for seed in std::fs::read_dir(repository().join("fuzz/corpus/pipeline")).unwrap() {
        let path = seed.unwrap().path();
        match space.run(&["check", path.to_str().unwrap()]).code {
            0 => read += 1,
            2 => refused += 1,
            code => panic!("{} ends with {code}", path.display()),
        }
    }
    assert!(read >= 5 && refused >= 3, "{read} read, {refused} refused");
}

#[test]
fn the_schema_knows_kinds_slots_and_parameters() {
    let printed = Space::new().run(&["schema"]).stdout;
    let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let stages = schema["properties"]["stages"]["additionalProperties"]["oneOf"].as_array().unwrap();
    let titles: Vec<&str> = stages.iter().map(|stage| stage["title"].as_str().unwrap()).collect();
    let kinds: Vec<&str> = layerwise::kinds::KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(titles, kinds);
    let train = &stages[kinds.iter().position(|kind| *kind == "train").unwrap()];
    assert_eq!(train["properties"]["needs"]["required"], serde_json::json!(["data"]));
    let batch = &train["properties"]["train"]["anyOf"][0]["properties"]["batch"];
    assert_eq!(batch["description"], "Examples per step.");
    assert_eq!(batch["anyOf"][1]["$ref"], "#/$defs/reference");
    let mut missing = Vec::new();
    dangling(&schema, &schema, &mut missing);
    assert_eq!(missing, [""; 0], "every reference leads somewhere");
}

/// Collects references that lead nowhere.
fn dangling(value: &serde_json::Value, root: &serde_json::Value, missing: &mut Vec<String>) {
    if let Some(target) = value.get("$ref").and_then(serde_json::Value::as_str)
        && root.pointer(target.trim_start_matches('#')).is_none()
    {
        missing.push(target.to_owned());
    }
    let (members, items) = (value.as_object(), value.as_array());
    for inner in members.into_iter().flat_map(|m| m.values()).chain(items.into_iter().flatten()) {
        dangling(inner, root, missing);
    }
}

#[test]
fn shells_and_man_know_the_commands() {
    let space = Space::new();
    for arguments in [&["completions", "bash"][..], &["completions", "zsh"], &["man"], &["man", "check"]] {
        let ran = space.run(arguments);
        assert_eq!(ran.code, 0, "{ran:#?}");
        assert!(ran.stdout.contains("check"), "{arguments:?}");
    }
    assert_eq!(space.run(&["man", "chekc"]).code, 2);
}
