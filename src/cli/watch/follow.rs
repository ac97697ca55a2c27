//! Keeps what is known of a run up to date.

use std::path::{Path, PathBuf};

use crate::base::fsx::FileError;
use crate::cli::events::Timed;
use crate::cli::watch::state::Run;
use crate::store::live::LiveReader;

/// A run, and where it is told.
pub(super) struct Follow {
    pub(super) run: Run,
    reader: LiveReader,
    path: PathBuf,
}

impl Follow {
    /// Nothing is known before [`Follow::poll`].
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        Ok(Self { run: Run::default(), reader: LiveReader::open(path)?, path: path.to_owned() })
    }

    /// Takes notice of what is new: also of a later run, whose file took the place of this one's.
    pub(super) fn poll(&mut self) -> Result<(), FileError> {
        if self.reader.is_replaced() {
            *self = Self::open(&self.path)?;
        }
        let is_written = self.reader.is_written();
        let lines = self.reader.lines()?;
        lines.iter().filter_map(|line| Timed::parse(line)).for_each(|timed| self.run.take(timed));
        if !is_written {
            self.run.lose();
        }
        Ok(())
    }
}
