//! Caches that many share: a second machine that only places results, one that notices damage, errors.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;

use crate::space::{Ran, Space};

const RUN: [&str; 2] = ["run", "pipelines/quick.yaml"];

/// A machine that ran the quick pipeline and pushed it, and the folder that it was pushed to.
fn pushed() -> (Space, PathBuf) {
    let space = Space::quick();
    space.run_quick(&[]);
    let ran = space.run(&["push", "pipelines/quick.yaml", "--remote", "cache"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.starts_with("pushed 11 results: "), "{}", ran.stdout);
    let cache = space.path("cache");
    (space, cache)
}

/// Runs on a machine that knows the remote from its environment.
fn run(space: &Space, cache: &Path) -> Ran {
    let ran = space.run_with("LAYERWISE_REMOTE", cache.to_str().unwrap(), &RUN);
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran
}

/// Where the bytes of an object are by an index, as it is stored: the name of a file, and an offset in it.
pub(crate) fn place(index: &[u8], object: &str) -> (String, usize) {
    let index: Value = serde_json::from_slice(&zstd::decode_all(index).unwrap()).unwrap();
    let fan_out = |part: &str, hex: &str| format!("v1/{part}/{}/{}", &hex[..2], &hex[2..]);
    let entry = index["objects"].as_array().unwrap().iter().find(|entry| entry["digest"] == object);
    match entry.unwrap()["at"].as_array() {
        None => (fan_out("objects", object), 0),
        Some(at) => {
            let pack = index["packs"][at[0].as_u64().unwrap() as usize].as_str().unwrap();
            (fan_out("packs", pack), at[1].as_u64().unwrap() as usize)
        }
    }
}

fn spoil(cache: &Path, object: &str) {
    let index = std::fs::read_dir(cache.join("v1/index")).unwrap().next().unwrap().unwrap().path();
    let (name, at) = place(&std::fs::read(index).unwrap(), object);
    let mut bytes = std::fs::read(cache.join(&name)).unwrap();
    bytes[at + 12] ^= 0x55;
    std::fs::write(cache.join(name), bytes).unwrap();
}

/// The digest of an output of a stage, by the lock.
pub(crate) fn output(space: &Space, stage: &str, name: &str) -> String {
    let lock: Value = serde_json::from_str(&space.read("results/quick/lock.json")).unwrap();
    lock["stages"][stage]["outputs"][name].as_str().unwrap().to_owned()
}

#[test]
fn a_second_machine_executes_nothing_and_places_the_same_results() {
    let (here, cache) = pushed();
    let there = Space::quick();
    let ran = run(&there, &cache);
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert!(lines[0].contains(": 11 stages done there; fetched 5 results: "), "{}", ran.stderr);
    assert_eq!(lines[1..], ["0 of 11 stages to run"], "{}", ran.stderr);
    assert!(there.results("quick") == here.results("quick"));
    let model = output(&here, "fit[seed=0]", "checkpoint-0002.safetensors");
    let object = |space: &Space| space.path("results/store/v1/objects").join(&model[..2]).join(&model[2..]);
    assert!(object(&here).exists() && !object(&there).exists(), "what nobody looks at stays there");
    // Without the remote, what is here is here, and what is not is to be run.
    let status = there.run(&["status", "pipelines/quick.yaml"]).stdout;
    assert!(status.contains("hit   table") && status.contains("miss  fit[seed=0]"), "{status}");
    assert_eq!(there.run(&["verify"]).code, 0);
    // An edit needs the probes, and no training.
    let text =
        there.read("pipelines/quick.yaml").replace("where: { split: test }", "where: { split: train }");
    let edited = there.write("pipelines/quick.yaml", &text);
    let again = run(&edited, &cache);
    assert!(!again.stderr.contains("fit[seed=0]: train started"), "{}", again.stderr);
}

#[test]
fn what_is_damaged_there_is_noticed_done_again_and_told() {
    let (here, cache) = pushed();
    spoil(&cache, &output(&here, "table", "table.csv"));
    let there = Space::quick();
    let ran = run(&there, &cache);
    let told = "(table.csv) is damaged; it is done here\n";
    assert!(ran.stderr.contains("table: not taken from the remote, as object") && ran.stderr.contains(told));
    assert!(ran.stderr.contains("\n1 of 11 stages to run\n"), "{}", ran.stderr);
    assert!(there.results("quick") == here.results("quick"));
    assert_eq!(there.run(&["verify"]).code, 0);

    // A pull takes the rest, and fails.
    let other = Space::quick();
    let pull = ["pull", "pipelines/quick.yaml", "--remote", cache.to_str().unwrap()];
    let pulled = other.run(&pull);
    assert_eq!((pulled.code, pulled.stdout.starts_with("pulled 10 results: ")), (1, true), "{pulled:#?}");
    assert!(pulled.stderr.contains("1 result not taken: table (object"), "{}", pulled.stderr);
    // Its owner can mend it.
    let again = here.run(&["push", "pipelines/quick.yaml", "--remote", "cache", "--again"]);
    assert_eq!(again.code, 0, "{again:#?}");
    assert_eq!(other.run(&pull).code, 0);
    assert_eq!(other.run(&[&RUN[..], &["--locked"]].concat()).code, 2, "a pull publishes nothing");
    assert!(other.run_quick(&[]).stderr.starts_with("0 of 11 stages to run"));
    assert!(other.results("quick") == here.results("quick"));
}

#[test]
fn a_run_can_push_and_one_stage_can_be_pulled() {
    let (here, there) = (Space::quick(), Space::quick());
    let cache = here.path("cache");
    let arguments = ["--remote", cache.to_str().unwrap()];
    let ran = here.run_quick(&[&arguments[..], &["--push"]].concat());
    assert!(ran.stderr.contains(": pushed 11 results: "), "{}", ran.stderr);
    let again = here.run_quick(&[&arguments[..], &["--push", "--json"]].concat());
    let last: Value = serde_json::from_str(again.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["results"]), (&"pushed".into(), &0.into()), "{last}");

    let pull = [&["pull", "pipelines/quick.yaml", "table", "--json"], &arguments[..]].concat();
    let pulled: Value = serde_json::from_str(&there.run(&pull).stdout).unwrap();
    assert_eq!((&pulled["new"], &pulled["objects"]), (&1.into(), &3.into()), "{pulled}");
    assert!(pulled["received"].as_u64().unwrap() < 5000, "{pulled}");
    let shown = there.run(&["show", "pipelines/quick.yaml", "table/table.csv"]);
    assert!(shown.stdout.contains("layer1"), "{shown:?}");
    let lacking = here.run(&["run", "pipelines/quick.yaml", "--set", "epochs=1"]);
    assert_eq!(lacking.code, 0, "{lacking:?}");
    let pull = ["pull", "pipelines/quick.yaml", "--set", "epochs=1", arguments[0], arguments[1]];
    let pulled = there.run(&pull);
    assert!(pulled.stderr.starts_with("note: ") && pulled.stderr.contains(" not there: "), "{pulled:?}");
}

#[test]
fn errors_say_what_to_do_and_no_secret() {
    let space = Space::quick();
    let mut all = String::new();
    let secret = "wJalrXUtnFEMIK7MDENG";
    for (arguments, variables) in [
        (&["pull", "pipelines/quick.yaml"][..], &[][..]),
        (&["push", "pipelines/quick.yaml", "--remote", "cache"], &[]),
        (&["pull", "pipelines/quick.yaml", "--remote", "nonesuch"], &[]),
        (&["pull", "pipelines/quick.yaml", "--remote", "ftp://me:wJalrXUtnFEMIK7MDENG@host/x"], &[]),
        (&["run", "pipelines/quick.yaml", "--push"], &[]),
        (
            &["pull", "pipelines/quick.yaml", "--remote", "s3://bucket/x"],
            &[("AWS_EC2_METADATA_DISABLED", "true")],
        ),
        (&["pull", "pipelines/quick.yaml", "--remote", "s3://bucket/x"], &[("AWS_PROFILE", "nobody")]),
        (
            &["pull", "pipelines/quick.yaml", "--remote", "s3://bucket/x"],
            &[
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", secret),
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ],
        ),
    ] {
        let mut command = space.command(arguments);
        command.env("HOME", space.path("")).envs(variables.iter().copied());
        let ran = Ran::from(command.output().unwrap());
        let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
        let line = arguments.join(" ").replace(secret, "SECRET");
        writeln!(all, "$ {} layerwise {line}\nexit code {}\n{}", names.join(" "), ran.code, ran.stderr)
            .unwrap();
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
    insta::with_settings!({filters => vec![(r"in \d[\d.]*[a-zµ]+, after", "in TIME, after")]}, {
        assert_snapshot!("remotes", all);
    });
}
