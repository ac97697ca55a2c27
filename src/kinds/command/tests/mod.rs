//! Real programs in real folders.

mod ends;
mod parameters;
mod sandbox;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Command;
use crate::base::cancel::Cancel;
use crate::base::fsx;
use crate::kinds::testing;
use crate::stage::parts::Memory;
use crate::stage::{Artifact, Context, Inputs, Kind, Report, StageError};

static KIND: Kind = Kind::of::<Command>();

/// A project, and a place for every execution.
struct Bench {
    folder: TempDir,
    stop: AtomicBool,
    deadline: Option<Instant>,
    notes: Mutex<Vec<String>>,
    runs: AtomicUsize,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fsx::create_dir_all(&folder.path().join("project")).unwrap();
        let (stop, notes, runs) = (AtomicBool::new(false), Mutex::default(), AtomicUsize::new(0));
        Self { folder, stop, deadline: None, notes, runs }
    }

    /// Writes a file; `project/…` is in the project.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fsx::write_atomic(&path, text.as_bytes()).unwrap();
        path
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("logs/of/it.log")
    }

    fn scratch(&self, run: usize) -> PathBuf {
        self.folder.path().join(format!("staging{run}/scratch"))
    }

    fn run_with(&self, parameters: &Value, inputs: &[(&str, &Artifact)]) -> Result<Artifact, StageError> {
        let scratch = self.scratch(self.runs.fetch_add(1, Ordering::Relaxed));
        let out = scratch.with_file_name("out");
        for folder in [&scratch, &out] {
            fsx::create_dir_all(folder).unwrap();
        }
        let report = |report: Report| match report {
            Report::Note(text) => self.notes.lock().unwrap().push(text),
            Report::Progress { .. } | Report::Scalars { .. } => {}
        };
        let context = Context {
            out: &out,
            scratch: &scratch,
            root: &self.folder.path().join("project"),
            local: None,
            threads: 3,
            cancel: Cancel::new(&self.stop).by(self.deadline),
            parts: &Memory::default(),
            log: &self.log(),
            report: &report,
        };
        let inputs = inputs.iter().map(|(slot, artifact)| ((*slot).to_owned(), vec![(*artifact).clone()]));
        let stage = KIND.parse(parameters).unwrap_or_else(|error| panic!("{error:?}"));
        stage.run(&Inputs(inputs.collect()), &context)?;
        Ok(testing::of_folder(&out))
    }

    fn run(&self, parameters: &Value) -> Artifact {
        self.run_with(parameters, &[]).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The error and its hint; paths that differ from run to run are cut.
    fn complaint(&self, parameters: &Value) -> String {
        match self.run_with(parameters, &[]) {
            Err(StageError::Failed { cause, hint, .. }) => {
                let text = format!("{cause}\n  help: {}", hint.unwrap_or_default());
                text.replace(self.folder.path().to_str().unwrap(), "<folder>")
            }
            other => panic!("{other:?}"),
        }
    }

    fn artifact(&self, files: &[(&str, &str)]) -> Artifact {
        let folder = format!("artifact{}", self.runs.fetch_add(1, Ordering::Relaxed));
        for (name, text) in files {
            self.write(&format!("{folder}/{name}"), text);
        }
        testing::of_folder(&self.folder.path().join(folder))
    }
}

fn names(artifact: &Artifact) -> Vec<&str> {
    artifact.files.0.keys().map(String::as_str).collect()
}

#[test]
fn a_shell_command_reads_a_declared_file_and_its_environment() {
    let bench = Bench::new();
    bench.write("project/src/0.txt", "zero\n");
    let parameters = json!({
        "run": "cat src/0.txt > out.txt; echo $C >> out.txt; echo said; echo warned >&2",
        "files": ["src/0.txt"], "outputs": ["out.txt"], "env": {"C": 7},
    });
    let output = bench.run(&parameters);
    assert_eq!(names(&output), ["out.txt"]);
    assert_eq!(testing::read(&output, "out.txt"), "zero\n7\n");
    bench.run(&parameters);
    let log = fsx::read_to_string(&bench.log()).unwrap();
    let lines: Vec<_> = log.lines().collect();
    let header = "cat src/0.txt > out.txt; echo $C >> out.txt; echo said; echo warned >&2";
    assert_eq!(lines[..3], [format!("# attempt 1: {header}").as_str(), "said", "warned"]);
    assert_eq!(lines[3..], [format!("# attempt 2: {header}").as_str(), "said", "warned"]);
}

#[test]
fn an_input_is_a_folder_named_by_a_variable() {
    let bench = Bench::new();
    let input = bench.artifact(&[("a.txt", "A"), ("plots/deep/b.txt", "B")]);
    let parameters = json!({"run": "cat $x/a.txt $my_plots/plots/deep/b.txt > out", "outputs": "out"});
    let output = bench.run_with(&parameters, &[("x", &input), ("my-plots", &input)]).unwrap();
    assert_eq!(testing::read(&output, "out"), "AB");
}

#[test]
fn a_program_with_arguments_is_found_in_path_or_among_declared_files() {
    let bench = Bench::new();
    let script = bench.write("project/tools/run.sh", "#!/bin/sh\necho \"$1\" \"$2\" > n\n");
    let mut permissions = fsx::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&script, permissions).unwrap();
    let output =
        bench.run(&json!({"run": ["tools/run.sh", "a b", 3], "files": ["tools/"], "outputs": ["n"]}));
    assert_eq!(testing::read(&output, "n"), "a b 3\n");
    let output = bench.run(&json!({"run": ["env", "cp", "/dev/null", "n"], "outputs": ["n"]}));
    assert_eq!(testing::read(&output, "n"), "");
}

#[test]
fn the_environment_is_what_is_declared_and_nothing_else() {
    let bench = Bench::new();
    let input = bench.artifact(&[("a", "")]);
    let parameters = json!({"run": ["env"], "outputs": ["e"], "env": {"TZ": "CET", "PATH": "/usr/bin:/bin"}});
    let _ = bench.run_with(&parameters, &[("x", &input)]).unwrap_err();
    let log = fsx::read_to_string(&bench.log()).unwrap();
    let mut lines: Vec<_> = log.lines().skip(1).map(|line| line.split_once('=').unwrap()).collect();
    lines.sort_unstable();
    let of = |name: &str| lines.iter().find(|line| line.0 == name).unwrap().1;
    let names: Vec<_> = lines.iter().map(|line| line.0).collect();
    let all = ["HOME", "LC_CTYPE", "OMP_NUM_THREADS", "PATH", "RAYON_NUM_THREADS", "TMPDIR", "TZ", "x"];
    assert_eq!(names, all);
    assert_eq!(
        ["LC_CTYPE", "TZ", "PATH", "OMP_NUM_THREADS"].map(of),
        ["C.UTF-8", "CET", "/usr/bin:/bin", "3"]
    );
    assert_eq!(fsx::list(Path::new(of("TMPDIR"))).unwrap(), [""; 0], "temporary files are removed");
}

#[test]
fn folders_are_taken_whole_and_the_rest_is_mentioned() {
    let bench = Bench::new();
    let run = "mkdir -p plots/deep tables; echo 1 > plots/a; echo 2 > plots/deep/b; echo 3 > tables/t.csv
               echo 4 > tables/u.csv; for i in 1 2 3 4 5; do echo > more$i; done; touch $HOME/h $TMPDIR/t";
    let output = bench.run(&json!({"run": run, "outputs": ["plots/", "tables/t.csv"]}));
    assert_eq!(names(&output), ["plots/a", "plots/deep/b", "tables/t.csv"]);
    assert_eq!(testing::read(&output, "plots/deep/b"), "2\n");
    let notes = bench.notes.lock().unwrap();
    let expected = "6 files that are not among 'outputs' are not kept: more1, more2, more3, more4, more5, …";
    assert!(notes.contains(&expected.to_owned()), "{notes:?}");
}

#[test]
fn an_output_with_another_name_elsewhere_is_copied() {
    let bench = Bench::new();
    let output = bench.run(&json!({"run": "echo 1 > a; ln a b", "outputs": ["a"]}));
    std::io::Write::write_all(&mut fsx::append(&bench.scratch(0).join("b")).unwrap(), b"2\n").unwrap();
    assert_eq!(testing::read(&output, "a"), "1\n");
}

#[test]
fn what_it_reads_must_stay_as_it_is() {
    let bench = Bench::new();
    let source = bench.write("project/src/0.txt", "zero\n");
    let parameters = json!({
        "run": "cat src/0.txt > out; echo more >> src/0.txt", "files": ["src/"], "outputs": ["out"], "sandbox": "off",
    });
    insta::assert_snapshot!(bench.complaint(&parameters), @r"
    '<folder>/project/src/0.txt' changed while the command ran
      help: run again when nobody edits it; a command must not write to what it reads
    ");
    assert_eq!(fsx::read_to_string(&source).unwrap(), "zero\nmore\n");
}
