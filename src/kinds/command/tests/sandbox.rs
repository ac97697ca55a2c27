//! What the kernel denies. Where it offers no Landlock, these tests say so and check that the user is told.

use super::*;

/// Whether the kernel checks; said when it does not.
fn is_checked(bench: &Bench) -> bool {
    let is_checked =
        bench.run_with(&json!({"run": "touch out", "outputs": ["out"], "sandbox": "require"}), &[]).is_ok();
    if !is_checked {
        eprintln!("SKIPPED: this kernel has no Landlock");
    }
    is_checked
}

#[test]
fn what_was_not_declared_cannot_be_read() {
    let bench = Bench::new();
    if !is_checked(&bench) {
        return;
    }
    let secret = bench.write("project/src/1.txt", "one\n");
    bench.write("project/src/0.txt", "zero\n");
    let run = format!("cat src/0.txt > out; LC_ALL=C cat {} >> out", secret.display());
    let parameters =
        |sandbox: &str| json!({"run": run, "files": ["src/0.txt"], "outputs": ["out"], "sandbox": sandbox});
    insta::assert_snapshot!(bench.complaint(&parameters("auto")), @r"
    the command exited with code 1; its last lines:
      | cat: <folder>/project/src/1.txt: Permission denied
      help: declare what it reads: under 'files' if it is in the project, else under 'read'; it may write to its working folder, $HOME and $TMPDIR; 'sandbox: off' ends the checks
    ");
    let output = bench.run(&parameters("off"));
    assert_eq!(testing::read(&output, "out"), "zero\none\n");
    let read = json!({"run": run, "files": ["src/0.txt"], "outputs": ["out"], "read": [secret]});
    assert_eq!(testing::read(&bench.run(&read), "out"), "zero\none\n");
}

#[test]
fn a_link_in_a_declared_folder_is_followed() {
    let bench = Bench::new();
    let data = bench.write("elsewhere/data.txt", "data\n");
    bench.write("project/src/0.txt", "zero\n");
    fsx::symlink(&data, &bench.folder.path().join("project/src/data.txt")).unwrap();
    let output = bench.run(&json!({"run": "cat src/* > out", "files": ["src/"], "outputs": ["out"]}));
    assert_eq!(testing::read(&output, "out"), "zero\ndata\n");
}

#[test]
fn nothing_is_written_outside_its_folders() {
    let bench = Bench::new();
    if !is_checked(&bench) {
        return;
    }
    let source = bench.write("project/src/0.txt", "zero\n");
    let input = bench.artifact(&[("a.txt", "A")]);
    let outside = bench.folder.path().join("outside");
    let attempts = [
        format!("echo > {}", outside.display()),
        format!("mkdir {}", outside.display()),
        "echo > src/0.txt".to_owned(),
        "rm -f $(readlink src/0.txt)".to_owned(),
        "echo > $x/a.txt".to_owned(),
        "rm -f $(readlink $x/a.txt || echo $x/a.txt)".to_owned(),
        "ln $(readlink $x/a.txt || echo $x/a.txt) alias && echo > alias".to_owned(),
        "mv $x/a.txt moved".to_owned(),
        "echo > $x/new".to_owned(),
    ];
    for attempt in attempts {
        let run = format!("{{ {attempt}; }} && touch out; exit 0");
        let parameters = json!({"run": run, "files": ["src/0.txt"], "outputs": ["out"]});
        let result = bench.run_with(&parameters, &[("x", &input)]);
        assert!(result.is_err(), "{attempt}");
    }
    assert!(!outside.exists());
    assert_eq!(fsx::read_to_string(&source).unwrap(), "zero\n");
    assert_eq!(testing::read(&input, "a.txt"), "A");
}

#[test]
fn an_input_that_was_altered_unchecked_is_seen() {
    let bench = Bench::new();
    let input = bench.artifact(&[("a.txt", "A")]);
    let parameters = json!({"run": "echo more >> $x/a.txt; touch out", "outputs": ["out"], "sandbox": "off"});
    let error = bench.run_with(&parameters, &[("x", &input)]).unwrap_err().to_string();
    assert!(error.ends_with("a.txt' changed while the command ran"), "{error}");
}

#[test]
fn ordinary_programs_find_what_they_need() {
    let bench = Bench::new();
    let run = "set -e; date > out; sort out > /dev/null; mktemp > /dev/null; echo x > $HOME/h; mkdir d; echo y > d/e
               mv d/e e; mv $HOME/h h; head -c 4 /dev/urandom > r; (exec 3<> /dev/shm/layerwise-$$; rm /dev/shm/layerwise-$$)";
    bench.run(&json!({"run": run, "outputs": ["out", "e", "h", "r"]}));
}
