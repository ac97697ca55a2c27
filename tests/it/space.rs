//! A project folder of its own for each test, and the real binary in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with the real datasets beside `pipelines/`.
pub(crate) struct Space {
    folder: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Space {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("pipelines")).unwrap();
        std::os::unix::fs::symlink(repository().join("datasets"), folder.path().join("datasets")).unwrap();
        Self { folder }
    }

    /// With a copy of `pipelines/quick.yaml`, in which `from` is replaced by `to`.
    pub(crate) fn with_quick(from: &str, to: &str) -> Self {
        let text = std::fs::read_to_string(repository().join("pipelines/quick.yaml")).unwrap();
        assert!(text.contains(from), "'{from}' is not in quick.yaml");
        Self::new().write("pipelines/quick.yaml", &text.replacen(from, to, 1))
    }

    pub(crate) fn quick() -> Self {
        Self::with_quick("pipeline: quick", "pipeline: quick")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(self, name: &str, text: &str) -> Self {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The binary, to be run in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerwise"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs the binary with a variable in its environment.
    pub(crate) fn run_with(&self, name: &str, value: &str, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).env(name, value).output().unwrap())
    }

    /// Starts the binary.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs a script with mounts of its own, in which `$LAYERWISE` is the binary; `None`, and a line that says so, where the user
    /// may not mount.
    #[expect(clippy::print_stderr, reason = "a test that is not run should say so")]
    pub(crate) fn with_mounts(&self, script: &str) -> Option<Ran> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).env("LAYERWISE", env!("CARGO_BIN_EXE_layerwise"));
        let may_mount = Command::new("unshare").args(["--mount", "true"]).status();
        if !may_mount.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: only root can mount");
            return None;
        }
        Some(Ran::from(command.current_dir(self.folder.path()).env("NO_COLOR", "1").output().unwrap()))
    }

    /// Runs the quick pipeline and insists that all goes well.
    pub(crate) fn run_quick(&self, more: &[&str]) -> Ran {
        let ran = self.run(&[&["run", "pipelines/quick.yaml"], more].concat());
        assert_eq!(ran.code, 0, "{ran:#?}");
        ran
    }

    /// Every file of a results folder with its bytes, sorted by name.
    pub(crate) fn results(&self, pipeline: &str) -> Vec<(String, Vec<u8>)> {
        let folder = self.path("results").join(pipeline);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
