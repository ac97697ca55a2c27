//! What a program prints, for people: the whole in a file, the end in memory for an error.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::base::fsx::{self, FileError};
use crate::kinds::command::program::Run;

/// How many last lines an error shows, and of how many bytes at most.
const LINES: usize = 20;
const BYTES: usize = 8192;
/// How the header of each attempt begins.
const HEADER: &str = "# attempt ";

/// The log of one attempt: the end of a file.
pub(super) struct Log {
    file: File,
    end: Vec<u8>,
}

impl Log {
    /// Opens the log and writes a header: which attempt, and the command.
    pub(super) fn begin(path: &Path, run: &Run) -> Result<Self, FileError> {
        if let Some(folder) = path.parent() {
            fsx::create_dir_all(folder)?;
        }
        let mut file = fsx::append(path)?;
        let earlier = if fsx::size(path) == Some(0) { 0 } else { attempts(path)? };
        writeln!(file, "{HEADER}{}: {run}", earlier + 1).map_err(|e| FileError::new("write", path, e))?;
        Ok(Self { file, end: Vec::new() })
    }

    /// Adds what was printed. A log that cannot be written is no reason to end the work.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let _ = self.file.write_all(bytes);
        self.end.extend(bytes);
        self.end.drain(..self.end.len().saturating_sub(BYTES));
    }

    /// The last lines that were printed.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.end);
        let lines: Vec<_> = text.lines().map(str::trim_end).map(str::to_owned).collect();
        lines[lines.len().saturating_sub(LINES)..].to_vec()
    }
}

fn attempts(path: &Path) -> Result<usize, FileError> {
    let lines = BufReader::new(fsx::open(path)?).split(b'\n');
    Ok(lines.map_while(Result::ok).filter(|line| line.starts_with(HEADER.as_bytes())).count())
}
