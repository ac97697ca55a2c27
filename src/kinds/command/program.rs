//! The program itself: what to run, where it is, waiting for its end, and ending it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::base::cancel::Cancel;
use crate::base::fsx::{self, FileError};
use crate::kinds::command::error::{CommandError, hinted};
use crate::kinds::command::log::Log;
use crate::stage::{ParameterError, StageError};

/// How often to ask whether the user wants to stop.
const ASK: Duration = Duration::from_millis(50);
/// How long a program may take to tidy up after SIGTERM.
const GRACE: Duration = Duration::from_millis(500);
/// How many bytes to take from the pipe at a time: it holds four times as many.
const CHUNK: usize = 1 << 14;

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

/// Waits for a program's end, or brings it about when the work should end: SIGTERM to its process group, half a second, SIGKILL.
/// What it left running in that group ends with it. What it prints goes into the log meanwhile.
pub(super) fn wait(
    mut child: Child,
    prepared: &Prepared,
    log: &mut Log<'_>,
    cancel: Cancel<'_>,
) -> Result<ExitStatus, StageError> {
    let mut watch = Watch::new(Pid::from_child(&child), &prepared.printed, log);
    let mut has_ended = false;
    while !has_ended && !cancel.is_set() {
        has_ended = watch.has_ended_within(ASK);
    }
    if !has_ended {
        watch.signal(Signal::TERM);
        let end = Instant::now() + GRACE;
        while !watch.has_ended_within(ASK) && Instant::now() < end {}
    }
    // The group's number cannot be another's yet: its first process, though ended, has not been waited for.
    watch.signal(Signal::KILL);
    let status = child.wait().map_err(|e| FileError::new("wait for", Path::new("the command"), e))?;
    watch.drain();
    if has_ended { Ok(status) } else { Err(StageError::Cancelled) }
}

/// Hears what a process prints, and sees its end without taking its status.
struct Watch<'a, 'l> {
    pid: Pid,
    /// Ready when the process has ended; where the kernel offers that.
    end: Option<OwnedFd>,
    printed: &'a PipeReader,
    log: &'a mut Log<'l>,
}

impl<'a, 'l> Watch<'a, 'l> {
    fn new(pid: Pid, printed: &'a PipeReader, log: &'a mut Log<'l>) -> Self {
        #[cfg(target_os = "linux")]
        let end = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
        #[cfg(not(target_os = "linux"))]
        let end = None;
        Self { pid, end, printed, log }
    }

    fn has_ended_within(&mut self, patience: Duration) -> bool {
        let patience = if self.end.is_some() { patience } else { patience.min(Duration::from_millis(20)) };
        let [is_printed, has_ended] = self.look(patience);
        if is_printed {
            self.take_printed();
        }
        if self.end.is_some() {
            return has_ended;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Sleeps until the process prints or ends; returns whether there is something to take, and whether the end was seen.
    fn look(&self, patience: Duration) -> [bool; 2] {
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        let mut sources = vec![PollFd::new(self.printed, PollFlags::IN)];
        sources.extend(self.end.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)));
        // A signal may wake it early: the caller asks again.
        let is_woken = poll(&mut sources, Some(&patience)).is_ok();
        let is_ready = |place: usize| is_woken && sources.get(place).is_some_and(|s| !s.revents().is_empty());
        [is_ready(0), is_ready(1)]
    }

    fn take_printed(&mut self) {
        let mut bytes = [0; CHUNK];
        if let Ok(count) = self.printed.read(&mut bytes) {
            self.log.add(&bytes[..count]);
        }
    }

    /// Takes what is still in the pipe; no more, for a process that left the group may print for ever.
    fn drain(&mut self) {
        let mut turns = 0..16;
        while turns.next().is_some() && self.look(Duration::ZERO)[0] {
            self.take_printed();
        }
    }

    fn signal(&self, signal: Signal) {
        // Nobody is left to hear it: good.
        let _ = kill_process_group(self.pid, signal);
    }
}
