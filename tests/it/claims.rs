//! Claims, by the real binary: verdicts, what is required, and what is wrong with a query.

use std::fmt::Write as _;

use insta::assert_snapshot;
use serde_json::Value;

use crate::space::Space;

const FILE: &str = "pipelines/study.yaml";

/// Rows from a program, so that nothing is trained.
const STUDY: &str = "\
pipeline: study
params: { first: 0.4 }
scales: { small: { first: 0.05 } }
stages:
  rows:
    command:
      run: |
        { echo layer,seed,value
          for seed in 0 1 2; do echo layer1,$seed,0.5; echo layer2,$seed,0.0$seed; done
          echo layer3,0,${params.first}
        } > table.csv
      outputs: [table.csv]
  costly:
    needs: { rows: rows }
    claim:
      number: 1
      says: Layer 1 is dear
      place: Figure 1
      effect: what it costs
      over: [seed]
      sql: |
        SELECT AVG(CASE WHEN layer = 'layer1' THEN value END) > 0.1 AS holds,
               AVG(CASE WHEN layer = 'layer1' THEN value END) - AVG(CASE WHEN layer = 'layer2' THEN value END) AS effect,
               COUNT(*) AS rows
        FROM rows
  third:
    needs: { rows: rows }
    claim:
      number: 2
      says: Layer 3 is cheap
      tested: a value of at least .1
      sql: \"SELECT MAX(value) < 0.3 AS holds, MAX(value) AS effect, MAX(value) >= 0.1 AS tested FROM rows WHERE layer = 'layer3'\"
";

fn study() -> Space {
    Space::new().write(FILE, STUDY)
}

#[test]
fn verdicts_of_all_results_stand_together() {
    let space = study();
    let claims = |more: &[&str]| space.run(&[&["claims"], more].concat());
    let mut log = String::new();
    let mut tell = |what: &str, more: &[&str]| {
        let ran = claims(more);
        _ = writeln!(log, "# {what}: exit code {}\n{}{}", ran.code, ran.stdout, ran.stderr);
    };
    tell("nothing was run", &[]);
    assert_eq!(space.run(&["run", FILE, "--scale", "small"]).code, 0);
    tell("at a small scale only", &[]);
    let ran = space.run(&["run", FILE]);
    assert_eq!(ran.code, 0, "{ran:?}");
    tell("all was run", &[]);
    tell("all are required", &["--require"]);
    tell("one is required", &["--require=1"]);
    tell("one that is not there", &["--require=3"]);
    _ = writeln!(log, "# at the end of the run\n{}", ran.stdout);
    assert_snapshot!(log);
    let json: Value = serde_json::from_str(&claims(&["--json", FILE]).stdout).unwrap();
    assert_eq!((&json[0]["verdict"], &json[1]["verdict"]), (&"holds".into(), &"fails".into()));
    assert_eq!(json[0]["stages"][0]["result"]["evidence"]["rows"], 7);
}

#[test]
fn a_verdict_is_that_of_the_pipeline_as_it_is() {
    let space = study();
    assert_eq!(space.run(&["run", FILE]).code, 0);
    let space = space.write(FILE, &STUDY.replace("MAX(value) < 0.3", "MAX(value) < 0.5"));
    assert_snapshot!(space.run(&["claims"]).stdout, @r"
    1  holds
       Layer 1 is dear (Figure 1)
       - study/costly: holds; effect 0.490 (0.465 to 0.515; it holds in 3 of 3 repetitions): what it costs
         rows 7

    2  not tested
       Layer 3 is cheap
       - study/third: of other parameters than the file has now: layerwise run pipelines/study.yaml
    ");
    let path = space.path("results/study/costly.json");
    let forged = space.read("results/study/costly.json").replace("0.49", "0.99");
    std::fs::write(path, forged).unwrap();
    assert_snapshot!(space.run(&["claims"]).stderr, @r"
    × 'results/study/costly.json' is not what was made: somebody changed it
    help: run the pipeline again, which puts it back, or restore it
    ");
}

#[test]
fn a_malformed_claim_is_shown_in_its_file() {
    let mut log = String::new();
    for (what, from, to) in [
        ("no SQL, told before anything runs", "FROM rows\n", "FROM rows WERE x\n"),
        ("a column that is not there", "- AVG(CASE WHEN layer =", "- AVG(CASE WHEN layr ="),
        ("a table that is not there", "FROM rows WHERE", "FROM tables WHERE"),
        ("two rows", "SELECT MAX(value) < 0.3 AS holds, MAX(value)", "SELECT value < 0.3 AS holds, value"),
        ("a verdict that is none", "MAX(value) < 0.3 AS holds", "MAX(value) AS holds"),
        ("an unknown repetition", "[seed]", "[sed]"),
    ] {
        assert!(STUDY.contains(from), "{from}");
        let mut text = STUDY.replace(from, to);
        if what == "two rows" {
            text =
                text.replace(", MAX(value) >= 0.1 AS tested FROM rows WHERE layer = 'layer3'", " FROM rows");
        }
        let space = Space::new().write(FILE, &text);
        let ran = space.run(&["run", FILE, "--jobs", "1"]);
        let lines =
            ran.stderr.lines().filter(|line| !line.ends_with(": done") && !line.contains("started on"));
        _ = writeln!(log, "# {what}: exit code {}\n{}\n", ran.code, lines.collect::<Vec<_>>().join("\n"));
    }
    assert_snapshot!(log);
}

/// The verdicts on the results that this repository publishes, whatever machine this is: only what was not run has none.
#[test]
fn tracked_results_have_their_verdicts() {
    let repository = crate::space::repository();
    let space = Space::new();
    std::fs::remove_dir(space.path("pipelines")).unwrap();
    std::os::unix::fs::symlink(repository.join("pipelines"), space.path("pipelines")).unwrap();
    for name in ["difficulty", "fig1", "fig2-mnist", "fig3-day", "fig4-evening", "fig8", "measures"] {
        std::fs::create_dir_all(space.path("results")).unwrap();
        let (from, to) = (repository.join("results").join(name), space.path("results").join(name));
        std::os::unix::fs::symlink(from, to).unwrap();
    }
    let ran = space.run(&["claims"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_snapshot!(ran.stdout);
    assert_eq!(space.run_with("LAYERWISE_KERNELS", "portable", &["claims"]).stdout, ran.stdout);
    let required = space.run(&["claims", "--require=1,2,3,6,8"]);
    assert_eq!(required.code, 0, "{}", required.stderr);
}

#[test]
fn a_folder_without_pipelines_is_told() {
    let space = Space::new();
    std::fs::remove_dir(space.path("pipelines")).unwrap();
    let ran = space.run(&["claims"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("name pipeline files"), "{}", ran.stderr);
    let none = Space::quick().run(&["claims"]);
    assert!(none.stderr.contains("there is no claim in these pipeline files"), "{}", none.stderr);
}
