//! Hashes what is unpacked and lays it where it is to go, beside the thread that unpacks: one thread for SHA-256, one for BLAKE3 and
//! the disk. A bounded number of bytes is between them.
//!
//! What a file turned out to be is told when the next ones are on their way already: nothing laid may be used before [`Pouring::end`].

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::Scope;

use sha2::{Digest as _, Sha256};

use crate::archive::problem::Problem;
use crate::base::digest::{Digest, Sha, Sums};
use crate::base::fsx::{self, FileError};

/// What is handed over at a time.
const CHUNK: u64 = 1 << 18;
/// How many chunks are on their way to each thread: 4 MiB.
const AHEAD: usize = 16;

/// What the threads are told.
enum Step {
    /// A file begins, to be laid here.
    Begin(Option<PathBuf>),
    /// So it goes on.
    Bytes(Arc<Vec<u8>>),
    /// And ends.
    End,
}

/// A file whose hashes are awaited.
struct Awaited {
    path: String,
    size: u64,
    expected: Sha,
}

/// The threads, and what they were given.
pub(super) struct Pouring {
    to: [SyncSender<Step>; 2],
    laid: Receiver<Result<Digest, FileError>>,
    summed: Receiver<Sha>,
    awaited: VecDeque<Awaited>,
    /// Of the files that are done: what they are.
    done: Vec<(String, Sums)>,
    /// Whether a file was not right, which was told.
    has_failed: bool,
}

impl Pouring {
    /// Starts the threads; they end with this.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> Self {
        let ((to_lay, steps), (tell_laid, laid)) = (sync_channel(AHEAD), channel());
        scope.spawn(move || {
            let mut laying = Laying::default();
            for step in steps {
                if let Some(end) = laying.take(step) {
                    _ = tell_laid.send(end);
                }
            }
        });
        let ((to_sum, steps), (tell_summed, summed)) = (sync_channel(AHEAD), channel());
        scope.spawn(move || {
            let mut hasher = Sha256::new();
            for step in steps {
                match step {
                    Step::Begin(_) => {}
                    Step::Bytes(bytes) => hasher.update(&bytes[..]),
                    Step::End => _ = tell_summed.send(Sha(hasher.finalize_reset().into())),
                }
            }
        });
        Self {
            to: [to_lay, to_sum],
            laid,
            summed,
            awaited: VecDeque::new(),
            done: Vec::new(),
            has_failed: false,
        }
    }

    /// Hands over a file, which must have this size and hash.
    pub(super) fn pour(
        &mut self,
        path: &str,
        size: u64,
        expected: Sha,
        bytes: &mut dyn Read,
        to: Option<&Path>,
    ) -> Result<(), Problem> {
        self.send(|| Step::Begin(to.map(Path::to_owned)));
        let mut left = size;
        while left > 0 {
            let mut chunk = Vec::with_capacity(left.min(CHUNK) as usize);
            let count = bytes.take(left.min(CHUNK)).read_to_end(&mut chunk);
            let count = count.map_err(|cause| Problem::Packing { cause })? as u64;
            if count == 0 {
                return Err(Problem::file(path, "is cut off"));
            }
            left -= count;
            let chunk = Arc::new(chunk);
            self.send(|| Step::Bytes(Arc::clone(&chunk)));
        }
        self.send(|| Step::End);
        self.awaited.push_back(Awaited { path: path.to_owned(), size, expected });
        self.settle(false).inspect_err(|_| self.has_failed = true)
    }

    /// A thread that is gone is noticed when its answer is awaited.
    fn send(&self, step: impl Fn() -> Step) {
        self.to.iter().for_each(|to| _ = to.send(step()));
    }

    /// Takes the answers that are there, or waits for all of them: the first file that is not right.
    fn settle(&mut self, is_end: bool) -> Result<(), Problem> {
        while !self.awaited.is_empty() {
            let laid = match if is_end {
                self.laid.recv().map_err(TryRecvError::from)
            } else {
                self.laid.try_recv()
            } {
                Ok(laid) => laid,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(gone()),
            };
            let sha256 = self.summed.recv().map_err(|_| gone())?;
            let Some(Awaited { path, size, expected }) = self.awaited.pop_front() else { break };
            super::problem::check(&path, Some(expected), sha256)?;
            self.done.push((path, Sums { size, blake3: laid?, sha256 }));
        }
        Ok(())
    }

    /// Waits until all that was handed over is hashed and laid: what each file is, if all are right.
    pub(super) fn end(&mut self) -> Result<Vec<(String, Sums)>, Problem> {
        if !self.has_failed {
            self.settle(true)?;
        }
        Ok(std::mem::take(&mut self.done))
    }
}

fn gone() -> Problem {
    Problem::Packing { cause: io::Error::other("a thread that hashes it has ended") }
}

/// The thread that lays files.
#[derive(Default)]
struct Laying {
    hasher: blake3::Hasher,
    file: Option<(File, PathBuf)>,
    failed: Option<FileError>,
}

impl Laying {
    fn take(&mut self, step: Step) -> Option<Result<Digest, FileError>> {
        match step {
            Step::Begin(None) => {}
            Step::Begin(Some(to)) => match create(&to) {
                Ok(file) => self.file = Some((file, to)),
                Err(error) => self.failed = Some(error),
            },
            Step::Bytes(bytes) => {
                if let Some((file, to)) = &mut self.file
                    && let Err(error) = file.write_all(&bytes)
                {
                    self.failed = Some(FileError::new("write", to, error));
                    self.file = None;
                }
                self.hasher.update(&bytes);
            }
            Step::End => {
                if let Some((file, _)) = self.file.take() {
                    fsx::begin_sync(&file);
                }
                let digest = Digest::from(*self.hasher.finalize().as_bytes());
                self.hasher.reset();
                return Some(self.failed.take().map_or(Ok(digest), Err));
            }
        }
        None
    }
}

fn create(to: &Path) -> Result<File, FileError> {
    fsx::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
    fsx::create_new(to)
}
