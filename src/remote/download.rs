//! Pieces of packs and large objects on their way here, each checked before anybody sees it.

use std::ops::Range;
use std::path::PathBuf;

use futures_util::TryStreamExt;
use tokio::sync::mpsc::channel;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::remote::index::{Index, Piece};
use crate::remote::piece::{self, Unpacker};
use crate::remote::wire::{self, Wire};
use crate::remote::{RemoteError, Sort};

/// What is read in vain between two pieces rather than asked for in two requests.
const GAP: u64 = 1 << 16;
/// The longest request for pieces.
const LONGEST: u64 = 8 << 20;

/// A piece that is wanted, and what must be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    pack: Digest,
    offset: u64,
    length: u64,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// Pieces that lie near each other, for one request.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    pack: Digest,
    range: Range<u64>,
    pub(super) jobs: Vec<Job>,
}

/// What became of something that was wanted.
#[derive(Debug)]
pub(super) enum Fate<T> {
    Here(T),
    Missing,
    Damaged,
    /// The remote would not give it.
    Refused(RemoteError),
}

impl<T> Fate<T> {
    /// Goes on with what is here.
    pub(super) fn and<U>(
        self,
        then: impl FnOnce(T) -> Result<U, RemoteError>,
    ) -> Result<Fate<U>, RemoteError> {
        Ok(match self {
            Self::Here(value) => Fate::Here(then(value)?),
            Self::Missing => Fate::Missing,
            Self::Damaged => Fate::Damaged,
            Self::Refused(error) => Fate::Refused(error),
        })
    }
}

impl Job {
    pub(super) fn new(index: &Index, at: Piece, digest: Digest, size: u64) -> Self {
        let Piece(pack, offset, length) = at;
        Self { pack: index.packs[pack as usize], offset, length, digest, size }
    }

    fn end(&self) -> u64 {
        self.offset + self.length
    }
}

/// Puts pieces together that are near each other.
pub(super) fn groups(mut jobs: Vec<Job>) -> Vec<Group> {
    jobs.sort_unstable();
    let mut groups: Vec<Group> = Vec::new();
    for job in jobs {
        match groups.last_mut() {
            Some(group)
                if group.pack == job.pack
                    && job.offset <= group.range.end.saturating_add(GAP)
                    && job.end().max(group.range.end) - group.range.start <= LONGEST =>
            {
                group.range.end = group.range.end.max(job.end());
                group.jobs.push(job);
            }
            _ => groups.push(Group { pack: job.pack, range: job.offset..job.end(), jobs: vec![job] }),
        }
    }
    groups
}

/// Gets the pieces of a group, each as what is in it; and how many bytes travelled.
pub(super) async fn pieces(
    wire: &Wire,
    group: Group,
) -> Result<(Vec<(Job, Fate<Vec<u8>>)>, u64), RemoteError> {
    let bytes = match wire.range(&wire::pack(group.pack), group.range.clone()).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let mut fates: Vec<_> = group.jobs.into_iter().map(|job| (job, Fate::Missing)).collect();
            fates[0].1 = refused(error)?;
            return Ok((fates, 0));
        }
    };
    let received = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let open = move || {
        let open = |job: Job| {
            let Some(bytes) = &bytes else { return (job, Fate::Missing) };
            let start = (job.offset - group.range.start) as usize;
            let frame = bytes.get(start..start + job.length as usize);
            let content = frame.and_then(|frame| piece::unpack(frame, job.digest, job.size));
            (job, content.map_or(Fate::Damaged, Fate::Here))
        };
        group.jobs.into_iter().map(open).collect()
    };
    Ok((ended(spawn_blocking(open)).await, received))
}

/// Gets a large object into a file; and how many bytes travelled.
pub(super) async fn object(
    wire: &Wire,
    path: PathBuf,
    digest: Digest,
    size: u64,
) -> Result<(Fate<()>, u64), RemoteError> {
    let name = wire::object(digest);
    let mut stream = match wire.stream(&name).await {
        Ok(Some(stream)) => stream,
        Ok(None) => return Ok((Fate::Missing, 0)),
        Err(error) => return Ok((refused(error)?, 0)),
    };
    let (sender, mut chunks) = channel::<Vec<u8>>(8);
    let file = path.clone();
    let unpacking = spawn_blocking(move || {
        let mut unpacker = Unpacker::new(&file, size)?;
        while let Some(chunk) = chunks.blocking_recv() {
            if let Err(error) = unpacker.take(&chunk) {
                return verdict(&file, error);
            }
        }
        match unpacker.finish() {
            Ok(found) => Ok(found == (digest, size)),
            Err(error) => verdict(&file, error),
        }
    });
    let mut received = 0;
    let broke = loop {
        match stream.try_next().await {
            Ok(Some(chunk)) => {
                received += chunk.len() as u64;
                // Who takes it has seen enough.
                if sender.send(chunk).await.is_err() {
                    break None;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    drop(sender);
    let is_right: Result<bool, FileError> = ended(unpacking).await;
    let fate = match (is_right?, broke) {
        (true, _) => Fate::Here(()),
        (false, Some(error)) => refused(error)?,
        (false, None) => Fate::Damaged,
    };
    if !matches!(fate, Fate::Here(())) {
        fsx::remove_file(&path)?;
    }
    Ok((fate, received))
}

/// What cannot be unpacked is damaged; what the disk does not take is an error.
fn verdict(path: &std::path::Path, error: std::io::Error) -> Result<bool, FileError> {
    match error.raw_os_error() {
        Some(_) => Err(FileError::new("write", path, error)),
        None => Ok(false),
    }
}

/// One thing that a remote would not give is as if it were not there; if it does not answer at all, or lets nobody in, nothing will be.
fn refused<T>(error: RemoteError) -> Result<Fate<T>, RemoteError> {
    match error {
        RemoteError::Answer { sort: Sort::Other | Sort::NotThere, .. } => Ok(Fate::Refused(error)),
        error => Err(error),
    }
}

pub(super) async fn ended<T>(task: JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_together_is_asked_for_together() {
        let digest = Digest::of(b"pack");
        let job = |offset, length| Job { pack: digest, offset, length, digest, size: length };
        let far = 10 + GAP + 1;
        let jobs =
            vec![job(far + 10, 10), job(0, 10), job(5, 3), job(far + 10 + GAP, LONGEST), job(far - 1, 5)];
        let found = groups(jobs);
        let ranges: Vec<_> = found.iter().map(|group| group.range.clone()).collect();
        let last = far + 10 + GAP;
        assert_eq!(ranges, [0..far + 20, last..last + LONGEST]);
        assert_eq!(found[0].jobs.len(), 4);
    }
}
