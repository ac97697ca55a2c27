//! What can go wrong with a command, and what to do then.

use std::fmt::Write;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::stage::StageError;

/// Why a command gave no output.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("there is no program '{program}'")]
    NoProgram { program: String },
    #[error("cannot start '{program}': {source}")]
    Start { program: String, source: io::Error },
    #[error("cannot have the file access of the command checked: {source}")]
    Sandbox { source: io::Error },
    #[error("the input '{variable}' has the name of another variable of the command")]
    Clash { variable: String },
    #[error("the command {how}{}", quoted(tail))]
    Ended { how: String, tail: Vec<String>, log: PathBuf, is_checked: bool },
    #[error("the command did not write '{name}'; it wrote {}", listed(present))]
    NoOutput { name: String, present: Vec<String> },
    #[error("the output '{name}' is {found}, expected {expected}")]
    WrongOutput { name: String, found: &'static str, expected: &'static str },
    #[error("the output folder '{name}/' is empty")]
    EmptyFolder { name: String },
    #[error("'{}' changed while the command ran", path.display())]
    Changed { path: PathBuf },
}

impl CommandError {
    /// An end that was no success, in words.
    pub(super) fn ended(status: ExitStatus, tail: Vec<String>, log: &Path, is_checked: bool) -> Self {
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with code {code}"),
            (None, Some(signal)) => match signal_hook::low_level::signal_name(signal) {
                Some(name) => format!("was killed by signal {signal} ({name})"),
                None => format!("was killed by signal {signal}"),
            },
            (None, None) => "ended in an unknown way".to_owned(),
        };
        Self::Ended { how, tail, log: log.to_owned(), is_checked }
    }

    fn hint(&self) -> String {
        match self {
            Self::NoProgram { .. } => "install it, or add its folder to PATH; one of the project is declared under 'files' \
                                       and called as './name'"
                .to_owned(),
            Self::Start { .. } => {
                "make it executable; a script begins with '#!' and the path of its interpreter".to_owned()
            }
            Self::Sandbox { .. } => "set 'sandbox: auto' to run it unchecked where the kernel has no Landlock".to_owned(),
            Self::Clash { .. } => "name the slot under 'needs' otherwise".to_owned(),
            Self::Ended { tail, is_checked: true, .. } if tail.iter().any(|line| is_denial(line)) => {
                "declare what it reads: under 'files' if it is in the project, else under 'read'; it may write to its working \
                 folder, $HOME and $TMPDIR; 'sandbox: off' ends the checks"
                    .to_owned()
            }
            Self::Ended { log, .. } => format!("read all that it printed in '{}'", log.display()),
            Self::NoOutput { .. } => {
                "correct 'outputs'; the paths are relative to the folder that the command starts in".to_owned()
            }
            Self::WrongOutput { expected: "a file", found: "a folder", .. } => {
                "end the path with '/' to take the folder".to_owned()
            }
            Self::WrongOutput { expected: "a folder", found: "a file", .. } => {
                "leave out the '/' at the end of the path to take the file".to_owned()
            }
            Self::WrongOutput { .. } => "have the command write files; links cannot be kept".to_owned(),
            Self::EmptyFolder { .. } => "have the command write a file in it, or leave it out of 'outputs'".to_owned(),
            Self::Changed { .. } => {
                "run again when nobody edits it; a command must not write to what it reads".to_owned()
            }
        }
    }
}

/// With the hint, which a mere `?` would drop.
pub(super) fn hinted(error: CommandError) -> StageError {
    let hint = error.hint();
    StageError::with_hint(error, hint)
}

/// What programs print when the kernel denies them a file.
fn is_denial(line: &str) -> bool {
    ["ermission denied", "EACCES", "PermissionError"].iter().any(|words| line.contains(words))
}

fn quoted(lines: &[String]) -> String {
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        let before = if place == 0 { "; its last lines:" } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{before}\n  | {line}");
    }
    text
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    if names.is_empty() { "nothing".to_owned() } else { names[..names.len().min(SHOWN)].join(", ") + &more }
}
