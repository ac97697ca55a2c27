//! What a job of a cluster runs, without a cluster.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::space::Space;

const FILE: &str = "pipelines/quick.yaml";

fn key(space: &Space, stage: &str) -> String {
    let status = space.run(&["status", FILE, "--json"]).stdout;
    let lines = status.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.into_iter().find(|line| line["stage"] == stage).unwrap();
    line["key"].as_str().unwrap().to_owned()
}

#[test]
fn one_stage_runs_if_its_key_is_the_one_that_was_submitted() {
    let space = Space::quick();
    let (data, fit) = (key(&space, "mnist"), key(&space, "fit[seed=0]"));
    let early = space.run(&["exec", FILE, "fit[seed=0]", "--key", &fit]);
    assert_eq!(early.code, 2, "{early:#?}");
    assert!(early.stderr.contains("the result of 'mnist' is not in the store"), "{}", early.stderr);
    assert_eq!(space.run(&["exec", FILE, "mnist", "--key", &data]).code, 0);
    let ran = space.run(&["exec", FILE, "fit[seed=0]", "--key", &fit, "--threads", "1"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let status = space.run(&["status", FILE]).stdout;
    assert_eq!(status.lines().filter(|line| line.starts_with("hit")).count(), 2, "{status}");
    assert!(space.path("results/store/v1/claims").is_dir());
    let run = space.run_quick(&[]);
    assert!(run.stderr.starts_with("9 of 11 stages to run"), "{}", run.stderr);
}

#[test]
fn a_job_refuses_what_was_not_submitted() {
    let space = Space::quick();
    let other = "0".repeat(64);
    let told: Vec<String> = [
        vec!["exec", FILE, "mnist", "--key", other.as_str()],
        vec!["exec", FILE, "minst", "--key", other.as_str()],
        vec!["exec", FILE, "mnist", "--key", "12"],
        vec!["exec", FILE, "--batch", "results/store/v1/slurm/batches/quick-0"],
        vec!["run", FILE, "--detach"],
    ]
    .iter()
    .map(|arguments| {
        let ran = space.run(arguments);
        assert_eq!(ran.code, 2, "{ran:#?}");
        ran.stderr
    })
    .collect();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"has the key [0-9a-f]+ here", "has the key [key] here");
    settings.bind(|| assert_snapshot!(told.join("\n")));
}

#[test]
fn a_job_does_its_share_of_a_batch_and_says_what_it_left() {
    let text = "\
pipeline: many
matrix: { i: [0, 1, 2, 3, 4] }
stages:
  one: { command: { run: 'test $i != 1 && echo $i > i.txt', outputs: [i.txt], env: { i: $i } } }
";
    let file = "pipelines/many.yaml";
    let space = Space::new().write(file, text);
    let line = |place: usize| {
        let stage = format!("one[i={place}]");
        let status = space.run(&["status", file, "--json"]).stdout;
        let lines = status.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = lines.into_iter().find(|line| line["stage"] == stage.as_str()).unwrap();
        json!({ "node": stage, "key": found["key"] }).to_string() + "\n"
    };
    let batch = |name: &str, time: u64| {
        let folder = format!("results/store/v1/slurm/batches/{name}");
        let share = json!({ "count": 3, "time": { "secs": time, "nanos": 0 } });
        let header = json!({ "pipeline": file, "scale": null, "overrides": [], "results": null, "program": "",
                             "threads": 1, "share": share });
        let write = |name: &str, text: String| {
            std::fs::create_dir_all(space.path(&folder)).unwrap();
            std::fs::write(space.path(&folder).join(name), text).unwrap();
        };
        write("batch.json", header.to_string());
        write("tasks", (0..5).map(line).collect());
        folder
    };
    let run = |folder: &str, job: &str| {
        space.run_with("SLURM_ARRAY_TASK_ID", job, &["exec", file, "--batch", folder])
    };
    let end = |folder: &str, line: u32| space.read(&format!("{folder}/{line}.end"));

    // The second of three fails, and the third is done all the same.
    let all = batch("many-0", 60);
    let ran = run(&all, "0");
    assert!(ran.code == 1 && ran.stderr.contains("one[i=1]"), "{ran:#?}");
    assert_eq!([end(&all, 0), end(&all, 2)], ["\"done\"", "\"done\""]);
    assert!(end(&all, 1).starts_with("{\"failed\""), "{}", end(&all, 1));
    assert!(!space.path(&format!("{all}/3.end")).exists());
    // When the time for all is over, the first is done, and no other begins.
    let late = batch("many-1", 0);
    let ran = run(&late, "1");
    assert_eq!(
        (ran.code, end(&late, 3), end(&late, 4)),
        (0, "\"done\"".into(), "\"left\"".into()),
        "{ran:#?}"
    );
    assert!(!space.path(&format!("{late}/4.started")).exists());
    assert_eq!(run(&late, "2").code, 0, "there is no such line");
    let status = space.run(&["status", file]).stdout;
    assert_eq!(status.lines().filter(|line| line.starts_with("hit")).count(), 3, "{status}");
}

#[test]
fn mistakes_in_a_profile_are_shown_in_the_file() {
    let space = Space::quick().write(
        "config/layerwise/slurm.yaml",
        "partion: main\ntime: 90\ngpu: { partition: gpu, cors: 2 }\nextra: qos=high\n",
    );
    let ran = space.run_with(
        "XDG_CONFIG_HOME",
        space.path("config").to_str().unwrap(),
        &["plan", FILE, "--executor", "slurm"],
    );
    assert_eq!(ran.code, 2, "{ran:#?}");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"/[^\s]*/config/", "[folder]/config/");
    settings.bind(|| assert_snapshot!(ran.stderr));
}
