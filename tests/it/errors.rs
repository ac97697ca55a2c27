//! Bad input, as its author sees it. Each snapshot holds the command, the exit code and the whole of stderr.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::space::Space;

/// `plan` on quick.yaml with one thing wrong.
fn mistake(from: &str, to: &str) -> String {
    told(&Space::with_quick(from, to), &["plan", "pipelines/quick.yaml"])
}

fn told(space: &Space, arguments: &[&str]) -> String {
    let ran = space.run(arguments);
    assert_ne!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.is_empty(), "errors belong on stderr: {}", ran.stdout);
    format!("$ layerwise {}\nexit code {}\n{}", arguments.join(" "), ran.code, ran.stderr)
}

/// What a failing run says at its end, without the lines of progress before it.
fn failure(space: &Space, arguments: &[&str]) -> String {
    let text = told(space, &[&["run", "pipelines/quick.yaml"], arguments].concat());
    let (head, rest) = text.split_at(text.match_indices('\n').nth(1).unwrap().0 + 1);
    let start = rest.find("  × ").unwrap_or_else(|| panic!("no error in {rest}"));
    format!("{head}{}", &rest[start..])
}

#[test]
fn names_that_nobody_knows() {
    let mut all = String::new();
    for (from, to) in [
        ("train:", "trian:"),
        ("epochs: ${params.epochs}", "epoch: ${params.epochs}"),
        ("sgd: {", "sdg: {"),
        ("momentum: 0.9", "momentun: 0.9"),
        ("needs: { data: mnist }", "needs: { dta: mnist }"),
        ("needs: { run: fit }", "needs: { run: fitt }"),
        ("params: {", "parms: {"),
        ("$seed", "$sede"),
        ("dataset: mnist", "dataset: minst"),
        ("metrics: [error, loss]", "metrics: [errror, loss]"),
    ] {
        writeln!(all, "# {from} → {to}\n{}", mistake(from, to)).unwrap();
    }
    assert_snapshot!("names_that_nobody_knows", all);
}

#[test]
fn values_that_make_no_sense() {
    let mut all = String::new();
    for (from, to) in [
        ("batch: 128", "batch: many"),
        ("batch: 128", "batch: 0"),
        ("epochs: 3", "epochs: 0"),
        ("lr: 0.05", "lr: -1"),
        ("width: 16", "width: 0"),
        ("      batch: 128\n", ""),
        ("at: [2]", "at: 2"),
        ("draws: 2", "draws: 0"),
        ("seed: [0]", "seed: 0"),
        ("reinit: all, rerand: { draws: 2 }, ", ""),
        ("split: [test, train]", "split: validation"),
    ] {
        writeln!(all, "# {} → {}\n{}", from.trim(), to, mistake(from, to)).unwrap();
    }
    assert_snapshot!("values_that_make_no_sense", all);
}

#[test]
fn stages_that_do_not_fit() {
    let mut all = String::new();
    for (from, to) in [
        ("needs: { run: saved, patches: resets, data: mnist }", "needs: { run: saved, patches: resets }"),
        (
            "needs: { run: saved, patches: resets, data: mnist }",
            "needs: { run: mnist, patches: resets, data: mnist }",
        ),
        ("download: { dataset: mnist }", "needs: { run: fit }, checkpoint: { epochs: [0] }"),
        ("mnist:  { download", "fit:  { download"),
        ("needs: { run: fit }, checkpoint", "needs: { run: fit }, reset: {}, checkpoint"),
        ("training:   {", "training:   [1, 2"),
        ("matrix: { seed: [0] }", "matrix: { seed: [0], width: [1] }"),
        ("pipeline: quick", "pipeline: a/b"),
        ("mnist:  { download: { dataset: mnist } }", "mnist:  {}"),
        ("matrix: {", "matrix: &m {"),
    ] {
        writeln!(all, "# {from} → {to}\n{}", mistake(from, to)).unwrap();
    }
    assert_snapshot!("stages_that_do_not_fit", all);
}

#[test]
fn commands_that_point_nowhere() {
    let space = Space::quick().write("empty.yaml", "# nothing\n").write("blocked", "a file, not a folder");
    let mut all = String::new();
    for arguments in [
        &["run", "pipelines/fig11.yaml"][..],
        &["run", "pipelines"],
        &["plan", "empty.yaml"],
        &["plan", "pipelines/quick.yaml", "fitt"],
        &["plan", "pipelines/quick.yaml", "--set", "sede=1"],
        &["plan", "pipelines/quick.yaml", "--set", "seed"],
        &["run", "pipelines/quick.yaml", "--results", "blocked"],
        &["run", "pipelines/quick.yaml", "--jobs", "0"],
    ] {
        writeln!(all, "{}", told(&space, arguments)).unwrap();
    }
    assert_snapshot!("commands_that_point_nowhere", all);
}

#[test]
fn several_mistakes_at_once() {
    let text = "\
pipeline: five
matrix: { seed: [0] }
stages:
  mnist: { download: { dataset: mnist } }
  fit:   { needs: { dta: mnist }, train: { seed: $sede } }
  saved: { needs: { run: fit }, chekpoint: { epochs: [0] } }
  probe: { evaluate: { split: test, metrics: [error] } }
";
    let space = Space::new().write("five.yaml", text);
    assert_snapshot!("several_mistakes_at_once", told(&space, &["plan", "five.yaml"]));
}

/// A space whose dataset folder is a copy with one file damaged.
fn with_damaged(name: &str, damage: impl Fn(&mut Vec<u8>)) -> Space {
    let space = Space::quick();
    let original = crate::space::repository().join("datasets/mnist");
    std::fs::remove_file(space.path("datasets")).unwrap();
    std::fs::create_dir_all(space.path("datasets/mnist")).unwrap();
    for entry in std::fs::read_dir(original).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if path.ends_with(name) {
            damage(&mut bytes);
        }
        std::fs::write(space.path("datasets/mnist").join(path.file_name().unwrap()), bytes).unwrap();
    }
    space
}

#[test]
fn data_that_is_not_what_was_published() {
    let mut all = String::new();
    let labels = "t10k-labels-idx1-ubyte.gz";
    for space in
        [with_damaged(labels, |bytes| bytes[100] ^= 1), with_damaged(labels, |bytes| bytes.truncate(1000))]
    {
        writeln!(all, "{}", failure(&space, &[])).unwrap();
        let names = || std::fs::read_dir(space.path("results/store/v1/staging")).unwrap();
        assert_eq!(names().count(), 0, "a damaged file leaves nothing behind");
        assert!(!space.path("results/quick").exists());
    }
    assert_snapshot!("data_that_is_not_what_was_published", all);
}

#[test]
fn models_and_kernels_that_are_not_for_this() {
    let vgg = Space::with_quick("fcn: { depth: 2, width: 16 }", "vgg: { depth: 11 }");
    let mut all = failure(&vgg, &[]);
    write!(all, "\n{}", mistake("fcn: { depth: 2, width: 16 }", "resnet: { depth: 19 }")).unwrap();
    let vit = "vit: { depth: 2, width: 16, heads: 3 }";
    write!(all, "\n{}", mistake("fcn: { depth: 2, width: 16 }", vit)).unwrap();
    let vit =
        Space::with_quick("fcn: { depth: 2, width: 16 }", "vit: { depth: 2, width: 16, heads: 2, patch: 5 }");
    write!(all, "\n{}", failure(&vit, &[])).unwrap();
    let ran = Space::quick().run_with("LAYERWISE_KERNELS", "sse9", &["status", "pipelines/quick.yaml"]);
    // What there is depends on the machine.
    let hint = ran.stderr.lines().find(|line| line.contains("help")).unwrap();
    assert!(hint.contains("portable"), "{}", ran.stderr);
    write!(all, "\nexit code {}\n{}", ran.code, ran.stderr.replace(hint, "  help: …")).unwrap();
    assert_snapshot!(all);
}

#[test]
fn work_that_cannot_be_done() {
    let mut all = String::new();
    for (from, to, stage) in [
        ("lr: 0.05", "lr: 1e30", "fit"),
        ("checkpoint: { epochs: [0, 1,", "checkpoint: { epochs: [0, 7,", "saved"),
        ("layers: [layer1,", "layers: [layer9,", "resets"),
        ("reinit: all", "reinit: [2]", "resets"),
        ("value: error", "value: accuracy", "table"),
        ("where: { split: test }", "where: {}", "table"),
    ] {
        let space = Space::with_quick(from, to);
        writeln!(all, "# {from} → {to}\n{}", failure(&space, &[stage])).unwrap();
    }
    assert_snapshot!("work_that_cannot_be_done", all);
}
