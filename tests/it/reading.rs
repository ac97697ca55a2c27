//! The commands that read results: `show`, `graph`, `log`, `diff`.

use std::fmt::Write as _;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::Value;

use crate::space::Space;

const QUICK: &str = "pipelines/quick.yaml";

/// What a command prints, without what depends on the machine and the day.
fn page(space: &Space, arguments: &[&str]) -> String {
    let ran = space.run(arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:#?}");
    format!("$ layerwise {}\n{}", arguments.join(" "), ran.stdout)
}

fn refusal(space: &Space, arguments: &[&str]) -> String {
    let ran = space.run(arguments);
    assert!(ran.code == 2 && ran.stdout.is_empty(), "{ran:#?}");
    format!("$ layerwise {}\n{}", arguments.join(" "), ran.stderr)
}

fn json(space: &Space, arguments: &[&str]) -> Value {
    serde_json::from_str(&space.run(&[arguments, &["--json"]].concat()).stdout).unwrap()
}

/// Compares with a snapshot in which digests, times, sizes and measured numbers are replaced.
fn compare(name: &str, pages: &str) {
    let filters = [
        (
            r"made [\d-]+ [\d:]+ UTC in [\d.]+ s on \d+ threads? of \S+( at revision \S+)?",
            "made <when and where>",
        ),
        (r"\b[0-9a-f]{12}\b", "<hex>"),
        (r"[\d.]+ [kMG]?B\b", "<size>"),
        (r"[+-]?\d+\.\d+(e-?\d+)?", "#"),
        (r"(\S) {2,}", "$1  "),
    ];
    insta::with_settings!({ filters => filters }, { assert_snapshot!(name, pages) });
}

#[test]
fn every_artifact_opens_as_text() {
    let space = Space::quick();
    space.run_quick(&[]);
    let mut pages = String::new();
    for stage in [
        "mnist",
        "fit",
        "table",
        "saved/run.json",
        "fit[seed=0]/checkpoint-0003.safetensors",
        "mnist/t10k-labels-idx1-ubyte.gz",
        "table/table.csv",
        "probes/table.csv",
        "table/table.md",
        "heatmap/figure.svg",
        "heatmap/figure.png",
    ] {
        writeln!(pages, "{}", page(&space, &["show", QUICK, stage])).unwrap();
    }
    compare("show", &pages);

    let record = json(&space, &["show", QUICK, "fit"]);
    let (key, curve) = (record["key"].as_str().unwrap(), &record["outputs"][5]);
    assert_eq!(
        (record["stage"].as_str(), curve["name"].as_str()),
        (Some("fit[seed=0]"), Some("training.csv"))
    );
    let by_name = space.run(&["show", QUICK, "fit/training.csv"]).stdout;
    let by_digest = space.run(&["show", &curve["digest"].as_str().unwrap()[..10]]).stdout;
    assert_eq!(by_digest, by_name);
    assert_eq!(space.run(&["show", &format!("{}/training.csv", &key[..8])]).stdout, by_name);
    let path = curve["path"].as_str().unwrap();
    assert_eq!(
        space.read(path),
        space.read("results/quick/training.csv").replace("seed,", "").replace("\n0,", "\n")
    );
    let table = json(&space, &["show", QUICK, "fit/training.csv"]);
    assert_eq!(
        table["content"]["rows"].as_array().unwrap().len(),
        16,
        "error and loss, twice, after four epochs"
    );

    let nodes = refusal(&space, &["show", QUICK, "f*", "--set", "seed=[0,1]"]);
    compare(
        "show_nodes",
        &(nodes + &refusal(&space, &["show", QUICK, "fit/run.json", "--set", "seed=[0,1]"])),
    );
    a_closed_pipe_is_no_failure(&space);
    logs_are_printed_as_they_are(&space, key);
}

/// As in `layerwise show … | head -1`, when `head` is gone.
fn a_closed_pipe_is_no_failure(space: &Space) {
    for arguments in [
        &["show", QUICK, "probes/table.csv", "--all"][..],
        &["graph", QUICK],
        &["diff", QUICK],
        &["status", QUICK],
        &["explain", QUICK],
        &["plan", QUICK, "--force", "*"],
        &["run", QUICK],
        &["run", QUICK, "--json"],
        &["check", QUICK],
        &["init", "written"],
        &["schema"],
        &["completions", "bash"],
        &["man"],
        &["verify"],
        &["du"],
        &["gc", "--dry-run"],
        &["tag", "--list"],
    ] {
        let mut child = space.start(arguments);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{arguments:?}: {output:?}");
    }
}

fn logs_are_printed_as_they_are(space: &Space, key: &str) {
    compare("log_none", &refusal(space, &["log", QUICK, "fit"]));
    let file = space.path(&format!("results/store/v1/logs/{}/{}.txt", &key[..2], &key[2..]));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "one\n\ttwo\nno newline at the end").unwrap();
    assert_eq!(space.run(&["log", QUICK, "fit"]).stdout, "one\n\ttwo\nno newline at the end");
    let several = space.run(&["log", QUICK, "fit", "--set", "seed=[1,0]"]).stdout;
    assert_eq!(several, "== fit[seed=1]\nno log\n== fit[seed=0]\none\n\ttwo\nno newline at the end");
    assert_eq!(json(space, &["log", QUICK, "fit"])[0]["log"], "one\n\ttwo\nno newline at the end");
}

#[test]
fn a_graph_has_the_states_of_its_stages() {
    let space = Space::quick();
    space.run_quick(&["mnist"]);
    let mut pages = String::new();
    for options in
        [&["--set", "seed=[0,1]"][..], &["--format", "dot"], &["moved", "--nodes", "--set", "seed=[0,1]"]]
    {
        writeln!(pages, "{}", page(&space, &[&["graph", QUICK], options].concat())).unwrap();
    }
    assert_snapshot!("graph", pages);
    let svg = space.run(&["graph", QUICK, "--format", "svg"]).stdout;
    assert!(svg.starts_with("<svg ") && svg.contains("<title>mnist: hit</title>"), "{svg}");
    let written = page(&space, &["graph", QUICK, "--format", "svg", "--output", "drawn/quick.svg"]);
    assert_eq!((written.lines().count(), space.read("drawn/quick.svg")), (1, svg));
    for (file, start) in [("q.svg", "<svg "), ("q.dot", "digraph "), ("q.mmd", "flowchart ")] {
        page(&space, &["graph", QUICK, "-o", file]);
        assert!(space.read(file).trim_start().starts_with(start), "{}", space.read(file));
    }
    let fit = &json(&space, &["graph", QUICK])["boxes"][1];
    assert_eq!(
        (&fit["name"], &fit["status"], &fit["needs"][0]),
        (&"fit".into(), &"miss".into(), &"mnist".into())
    );
}

fn commit(space: &Space, message: &str) {
    for arguments in [
        &["init", "--quiet", "."][..],
        &["add", "results/quick"],
        &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--message", message],
    ] {
        let git = Command::new("git").args(arguments).current_dir(space.path("")).output().unwrap();
        assert!(git.status.success(), "{git:?}");
    }
}

#[test]
fn two_states_stand_side_by_side() {
    let space = Space::quick();
    space.run_quick(&[]);
    commit(&space, "first");
    let mut pages = page(&space, &["diff"]);
    let text = space.read(QUICK).replace("rerand: { draws: 2 }, full_model: true", "rerand: { draws: 1 }");
    let space = space.write(QUICK, &text);
    for arguments in [&["diff", QUICK][..], &["diff", "quick"]] {
        writeln!(pages, "\n{}", page(&space, arguments)).unwrap();
    }
    assert_eq!(space.run(&["diff", "--exit-code"]).code, 0);
    let told = space.run(&["diff", QUICK, "--exit-code"]);
    assert_eq!((told.code, told.stderr.as_str()), (1, ""));

    assert_eq!(space.run(&["tag", "first", QUICK]).code, 0);
    assert_eq!(page(&space, &["tag", "--list"]), "$ layerwise tag --list\nfirst  quick  11 stages\n");
    let locked = space.run(&["run", QUICK, "--locked"]);
    assert_eq!(locked.code, 1);
    let start = locked.stderr.find("  × ").unwrap();
    assert_snapshot!("run_locked", &locked.stderr[start..]);
    space.run_quick(&[]);
    let unsaved = page(&space, &["diff"]);
    commit(&space, "second");
    writeln!(pages, "\n{}", page(&space, &["diff", "HEAD~1"])).unwrap();
    compare("diff", &pages);
    let body = |text: &str| text.split_once("stages").unwrap().1.to_owned();
    for words in [
        &["HEAD~1", "HEAD"][..],
        &["HEAD~1", "quick"],
        &["first"],
        &["first", "quick"],
        &["first", QUICK],
        &["HEAD~1", "results/quick/lock.json", "--pipeline", "none"],
    ] {
        assert_eq!(body(&page(&space, &[&["diff"], words].concat())), body(&unsaved), "{words:?}");
    }
    let value = json(&space, &["diff", "HEAD~1"]);
    let resets =
        value["changed"].as_array().unwrap().iter().find(|c| c["stage"] == "resets[seed=0]").unwrap();
    assert_eq!(resets["changes"][0]["parameter"]["path"], "reset.full_model");
    assert!(value["metrics"].as_array().unwrap().iter().any(|table| table["table"] == "table.csv"));

    let wrong = space.run(&["tag", "--remove", "frist"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("did you mean 'first'?"), "{wrong:?}");
    assert_eq!(space.run(&["tag", "--remove", "first"]).code, 0);
    assert_eq!(page(&space, &["tag", "--list"]), "$ layerwise tag --list\n");

    // Without the store, what remains is what the locks say.
    std::fs::remove_dir_all(space.path("results/store")).unwrap();
    let bare = page(&space, &["diff", "HEAD~1"]);
    assert!(bare.contains("parameters unknown (no record)") && !bare.contains("metrics"), "{bare}");
    assert!(!space.path("results/store").exists(), "reading makes nothing");
}

#[test]
fn questions_without_an_answer() {
    let space = Space::quick();
    let mut pages = String::new();
    let refuse =
        |pages: &mut String, arguments: &[&str]| writeln!(pages, "{}", refusal(&space, arguments)).unwrap();
    refuse(&mut pages, &["show", "abcdef"]);
    refuse(&mut pages, &["diff", QUICK]);
    space.run_quick(&["mnist"]);
    for arguments in [
        &["show", QUICK, "fit"][..],
        &["show", QUICK, "fitt"],
        &["show", QUICK, "fit[seed=7]"],
        &["show", QUICK, "mnist/labels"],
        &["show", QUICK],
        &["show", "pipelines/quik.yaml"],
        &["show", "abcde"],
        &["show", "000000"],
        &["log", QUICK, "fitt"],
        &["graph", QUICK, "fitt"],
        &["diff", "HEAD~1"],
        &["diff", "HEAD~1", "HEAD", "--pipeline", "nothing"],
        &["diff", QUICK, "nowhere"],
    ] {
        refuse(&mut pages, arguments);
    }
    commit(&space, "first");
    let space = space.write("results/other/lock.json", "{}");
    for arguments in [
        &["diff", "HEAD~1", "--pipeline", "quick"][..],
        &["diff", "HEAD"],
        &["diff", "other"],
        &["diff", "HEAD", "other"],
    ] {
        writeln!(pages, "{}", refusal(&space, arguments)).unwrap();
    }
    assert_snapshot!("questions_without_an_answer", pages);
}

/// Rows as typed columns, in a build that can; another says how to get one.
#[test]
fn parquet_is_written_where_the_build_can() {
    let space = Space::quick();
    space.run_quick(&["table"]);
    let told = refusal(&space, &["show", QUICK, "table", "--parquet", "table.parquet"]);
    assert!(told.contains("no table is named"), "{told}");
    let run = space.run(&["show", QUICK, "table/table.csv", "--parquet", "table.parquet"]);
    let bytes = std::fs::read(space.path("table.parquet"));
    if cfg!(feature = "parquet") {
        assert_eq!((run.code, &bytes.unwrap()[..4]), (0, &b"PAR1"[..]), "{}", run.stderr);
    } else {
        assert!(
            run.code == 2 && bytes.is_err() && run.stderr.contains("--features parquet"),
            "{}",
            run.stderr
        );
    }
}
