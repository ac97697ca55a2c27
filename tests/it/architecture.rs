//! Who may import whom, how long a file may be, and that no test file is forgotten.

use std::path::{Path, PathBuf};

/// Module → modules that it may import; `base` may be imported by all.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("base", &[]),
    ("stage", &[]),
    ("data", &[]),
    ("nn", &[]),
    ("table", &[]),
    ("figure", &[]),
    ("report", &["table", "figure"]),
    ("pipeline", &["stage"]),
    ("store", &["stage"]),
    ("kinds", &["nn", "data", "table", "figure", "stage"]),
    ("engine", &["pipeline", "store", "stage"]),
    ("slurm", &["engine", "pipeline", "store", "stage"]),
    ("archive", &["engine", "pipeline", "store", "stage"]),
    ("remote", &["store", "stage"]),
    (
        "cli",
        &[
            "archive", "engine", "kinds", "pipeline", "store", "stage", "nn", "data", "table", "figure",
            "remote", "report", "slurm",
        ],
    ),
];
const LONGEST_FILE: usize = 400;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_import_points_down() {
    let mut checked = 0;
    for path in sources(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap();
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
            assert!(["main.rs", "lib.rs"].contains(&module), "{module} has no place in the architecture");
            continue;
        };
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            for import in line.split("crate::").skip(1) {
                let target: String = import.chars().take_while(char::is_ascii_lowercase).collect();
                let is_allowed = target == module || target == "base" || allowed.contains(&target.as_str());
                assert!(
                    is_allowed || target.is_empty(),
                    "{}:{}: {module} imports {target}",
                    path.display(),
                    number + 1
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} imports seen");
}

#[test]
fn learning_and_remembering_do_not_know_each_other() {
    for module in ["engine", "pipeline", "store", "stage"] {
        for path in sources(&root().join("src").join(module)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["candle", "polars"] {
                assert!(!text.contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn a_file_is_read_in_one_sitting() {
    for folder in ["src", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines: split it by concept", path.display());
        }
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let main = std::fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for path in sources(&root().join("tests/it")) {
        let module = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "{} is not run",
            path.display()
        );
    }
}
