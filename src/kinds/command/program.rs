//! The program itself: what to run, where it is, and its end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::PipeReader;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::base::cancel::Cancel;
use crate::base::child;
use crate::base::fsx::{self, FileError};
use crate::kinds::command::error::{CommandError, hinted};
use crate::kinds::command::log::Log;
use crate::stage::{ParameterError, StageError};

/// What to run.
#[derive(Serialize, JsonSchema, Debug)]
#[serde(untagged)]
pub(super) enum Run {
    /// By `sh -c`.
    Shell(String),
    /// A program and its arguments.
    Program(Vec<Text>),
}

/// A scalar as text: `3` and `"3"` are the same.
#[derive(Serialize, JsonSchema, Debug)]
#[serde(transparent)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(Self(value.to_string())),
            _ => Err(de::Error::custom("expected a text, a number, true or false")),
        }
    }
}

/// Not derived: `true` is a program, and to YAML no text.
impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = match Value::deserialize(deserializer)? {
            Value::String(text) => return Ok(Self::Shell(text)),
            list @ Value::Array(_) => {
                return Vec::deserialize(list).map(Self::Program).map_err(de::Error::custom);
            }
            Value::Object(_) => "a mapping".to_owned(),
            scalar => scalar.to_string(),
        };
        let expected = "it in quotes, as a text for the shell, or a list: a program and its arguments";
        Err(de::Error::custom(format!("invalid type: {found}, expected {expected}")))
    }
}

impl Run {
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        let is_empty = match self {
            Self::Shell(text) => text.trim().is_empty(),
            Self::Program(words) => words.first().is_none_or(|program| program.0.is_empty()),
        };
        if is_empty {
            let hint = "write a command, as in 'wc -l < $x/out.txt > n.txt'";
            return Err(ParameterError::new("run", "there is no program to run", hint));
        }
        Ok(())
    }
}

impl fmt::Display for Run {
    /// On one line, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Shell(text) => text.trim().to_owned(),
            Self::Program(words) => {
                words.iter().map(|word| word.0.as_str()).collect::<Vec<_>>().join(" ").trim().to_owned()
            }
        };
        match text.split_once('\n') {
            Some((first, _)) => write!(f, "{first} …"),
            None => f.write_str(&text),
        }
    }
}

/// A program that is ready to start, and what it will print.
pub(super) struct Prepared {
    /// Kept until the program has ended: it has the other end of the pipe open on this side too. Or the end would be two events: the
    /// program's descriptors are closed, it is gone. To be woken by the first takes the processor from it before the second: on a
    /// busy machine, for some milliseconds.
    pub(super) command: Command,
    printed: PipeReader,
}

/// Prepares a program: in this folder, with this environment and no other, its own process group; and what it will print.
///
/// The path is absolute and nothing happens between fork and exec, so that the standard library takes `posix_spawn`.
pub(super) fn prepare(
    run: &Run,
    environment: &BTreeMap<String, OsString>,
    work: &Path,
) -> Result<Prepared, StageError> {
    let mut command = match run {
        Run::Shell(text) => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", text]);
            command
        }
        Run::Program(words) => {
            let program = &words[0].0;
            let found = find(program, &environment["PATH"], work);
            let mut command = Command::new(
                found.ok_or_else(|| hinted(CommandError::NoProgram { program: program.clone() }))?,
            );
            command.args(words[1..].iter().map(|word| &word.0));
            command
        }
    };
    command.env_clear().envs(environment).current_dir(work).process_group(0);
    // One pipe, so that the lines stay in the order in which they were printed. Not the log itself: a script that writes to
    // '/dev/stderr' would empty it.
    let (printed, writer) = std::io::pipe()?;
    command.stdin(nothing()?).stdout(writer.try_clone()?).stderr(writer);
    Ok(Prepared { command, printed })
}

/// What has no bytes to read; opened once.
fn nothing() -> Result<File, StageError> {
    static NOTHING: OnceLock<File> = OnceLock::new();
    if let Some(nothing) = NOTHING.get() {
        return Ok(nothing.try_clone()?);
    }
    let opened = fsx::open(Path::new("/dev/null"))?;
    Ok(NOTHING.get_or_init(|| opened).try_clone()?)
}

/// Where a program is: a path is relative to the working folder, a word is looked for in PATH.
fn find(program: &str, path: &OsStr, work: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(work.join(program)).filter(|path| fsx::metadata(path).is_ok());
    }
    let is_program = |path: &PathBuf| {
        fsx::metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path).map(|folder| folder.join(program)).find(is_program)
}

/// Waits for a program's end, or brings it about. What it prints goes into the log meanwhile.
pub(super) fn wait(
    child: Child,
    prepared: &Prepared,
    log: &mut Log<'_>,
    cancel: Cancel<'_>,
) -> Result<ExitStatus, StageError> {
    let ended = child::wait(child, &prepared.printed, &mut |bytes| log.add(bytes), cancel);
    let ended = ended.map_err(|e| FileError::new("wait for", Path::new("the command"), e))?;
    ended.ok_or(StageError::Cancelled)
}
