//! What a program prints: straight into the log, without a pipe, so that no amount of it can hold anything up.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::base::fsx::{self, FileError};
use crate::kinds::command::program::Run;

/// How many last lines an error shows, and of how many bytes at most.
const LINES: usize = 20;
const BYTES: u64 = 8192;
/// How the header of each attempt begins.
const HEADER: &str = "# attempt ";

/// The log of one attempt: the end of a file.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    start: u64,
}

impl Log {
    /// Opens the log and writes a header: which attempt, and the command.
    pub(super) fn begin(path: &Path, run: &Run) -> Result<Self, FileError> {
        if let Some(folder) = path.parent() {
            fsx::create_dir_all(folder)?;
        }
        let mut file = fsx::append(path)?;
        let earlier = if fsx::size(path) == Some(0) { 0 } else { attempts(path)? };
        let wrong = |e| FileError::new("write", path, e);
        writeln!(file, "{HEADER}{}: {run}", earlier + 1).map_err(wrong)?;
        let start = file.metadata().map_err(wrong)?.len();
        Ok(Self { path: path.to_owned(), file, start })
    }

    /// A handle for stdout or stderr of the program.
    pub(super) fn to_program(&self) -> Result<Stdio, FileError> {
        Ok(self.file.try_clone().map_err(|e| FileError::new("open", &self.path, e))?.into())
    }

    /// The last lines that the program wrote. A log that cannot be read must not hide why the program failed: no lines then.
    pub(super) fn tail(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        let mut read = || {
            let mut file = fsx::open(&self.path).map_err(|e| e.source)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.start.max(length.saturating_sub(BYTES))))?;
            file.take(BYTES).read_to_end(&mut bytes)
        };
        if read().is_err() {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::trim_end).map(str::to_owned).collect();
        lines[lines.len().saturating_sub(LINES)..].to_vec()
    }
}

fn attempts(path: &Path) -> Result<usize, FileError> {
    let lines = BufReader::new(fsx::open(path)?).split(b'\n');
    Ok(lines.map_while(Result::ok).filter(|line| line.starts_with(HEADER.as_bytes())).count())
}
