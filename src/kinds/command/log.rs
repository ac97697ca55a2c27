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

/// The log of one attempt: the end of a file, which is not there before something is printed.
pub(super) struct Log<'a> {
    path: &'a Path,
    run: &'a Run,
    file: Option<File>,
    end: Vec<u8>,
}

impl<'a> Log<'a> {
    /// A log in which nothing is written yet.
    pub(super) fn new(path: &'a Path, run: &'a Run) -> Self {
        Self { path, run, file: None, end: Vec::new() }
    }

    /// Adds what was printed. A log that cannot be written is no reason to end the work.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if self.file.is_none() {
            self.file = self.begin().ok();
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(bytes);
        }
        self.end.extend(bytes);
        self.end.drain(..self.end.len().saturating_sub(BYTES));
    }

    /// Opens the file and writes a header: which attempt, and the command.
    fn begin(&self) -> Result<File, FileError> {
        fsx::create_dir_all(self.path.parent().unwrap_or(Path::new(".")))?;
        let mut file = fsx::append(self.path)?;
        let earlier = if fsx::size(self.path) == Some(0) { 0 } else { attempts(self.path)? };
        writeln!(file, "{HEADER}{}: {}", earlier + 1, self.run)
            .map_err(|e| FileError::new("write", self.path, e))?;
        Ok(file)
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
