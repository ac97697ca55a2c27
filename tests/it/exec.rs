//! What a job of a cluster runs, without a cluster.

use insta::assert_snapshot;
use serde_json::Value;

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
