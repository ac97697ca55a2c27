//! The real world: Slurm's programs, the files in the store, the clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::base::fsx;
use crate::base::nonce::nonce;
use crate::engine::executor::Task;
use crate::slurm::batch::{Attempt, End, Folder, Header, Line, Seen};
use crate::slurm::client::{self, SlurmError};
use crate::slurm::follow::{Job, Submission, Theirs, World};
use crate::slurm::request::Request;
use crate::slurm::script::Submitter;
use crate::slurm::share::Share;
use crate::slurm::text::Row;
use crate::stage::{Report, StageError, StageKey};
use crate::store::{Found, Store, Summary};

/// How much of a log is looked at.
const TAIL: usize = 4096;

/// The cluster as it is.
pub(super) struct Cluster<'a, 't> {
    pub(super) start: Instant,
    pub(super) store: &'a Store,
    pub(super) folder: &'a Folder,
    pub(super) submitter: &'a Submitter,
    pub(super) header: &'a Header,
    pub(super) pipeline: &'a str,
    pub(super) has_history: bool,
    /// The nodes that are followed, by their places.
    pub(super) tasks: BTreeMap<usize, Task<'t>>,
    /// How much of what jobs told was read.
    pub(super) read: BTreeMap<Attempt, usize>,
}

impl World for Cluster<'_, '_> {
    type Result = std::sync::Arc<Summary>;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn name(&mut self) -> String {
        format!("{}-{}", self.pipeline, nonce())
    }

    fn reserve(&mut self, key: StageKey, attempt: &Attempt) -> Result<Option<Theirs>, StageError> {
        let theirs = |attempt: Attempt| Theirs {
            job: self.folder.job(&attempt.batch),
            share: self
                .folder
                .header(&attempt.batch)
                .map_or_else(|_| Share::default(), |header| header.share),
            attempt,
        };
        Ok(self.folder.open(key, attempt)?.map(theirs))
    }

    fn release(&mut self, key: StageKey, attempt: &Attempt) {
        // One that stays is found out by the next run: its job is nowhere.
        let _ = self.folder.close(key, attempt);
        self.read.remove(attempt);
    }

    fn submit(&mut self, batch: &str, request: &Request, jobs: &[Job]) -> Submission {
        let line = |job: &Job| {
            let task = &self.tasks[&job.place];
            Line { node: task.node.node.to_string(), key: job.key, again: task.is_forced }
        };
        let lines: Vec<Line> = jobs.iter().map(line).collect();
        let header = Header {
            threads: request.threads(),
            seconds: request.own_limit(),
            share: request.share,
            ..self.header.clone()
        };
        let folder = self.folder.batch(batch);
        let pipeline = header.pipeline.to_string_lossy().into_owned();
        let batch_folder = folder.to_string_lossy().into_owned();
        let script =
            self.submitter.script(&["exec".to_owned(), pipeline, "--batch".to_owned(), batch_folder]);
        if let Err(error) = self.folder.write(batch, &header, &lines, &script) {
            return Submission::Refused(error.to_string(), "make the results folder writable".to_owned());
        }
        let mut options = self.submitter.options(batch, &folder.join("%a.log"));
        let running = self.submitter.profile.running.map(|running| format!("%{running}"));
        options.push(format!(
            "--array=0-{}{}",
            request.share.jobs(jobs.len()) - 1,
            running.unwrap_or_default()
        ));
        options.extend(request.options());
        options.push(folder.join("job.sh").to_string_lossy().into_owned());
        match client::submit(&options) {
            Ok(job) => {
                // Without this file, another run finds the number by the comment.
                let _ = self.folder.submitted(batch, job);
                Submission::Accepted(job)
            }
            Err(SlurmError::Away { words, .. }) => Submission::Unclear(words),
            Err(SlurmError::Refused { words, .. }) if is_full(&words) => Submission::Full(words),
            Err(error) => Submission::Refused(error.to_string(), error.hint().to_owned()),
        }
    }

    fn queue(&mut self) -> Result<Vec<Row>, String> {
        client::queue(&self.submitter.name).map_err(|error| error.to_string())
    }

    fn history(&mut self, jobs: &[u64]) -> Vec<Row> {
        // Whoever keeps the accounts may be away as well: then nothing is known.
        if self.has_history { client::history(jobs).unwrap_or_default() } else { Vec::new() }
    }

    fn look(&mut self, batch: &str, is_news: &dyn Fn(u32, bool) -> bool) -> Vec<(u32, Seen)> {
        self.folder.look(batch, is_news)
    }

    fn reports(&mut self, attempt: &Attempt) -> Vec<Report> {
        let Ok(text) = fsx::read_to_string(&self.folder.file(attempt, "told")) else { return Vec::new() };
        let read = self.read.entry(attempt.clone()).or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let new = text.get(*read..whole).unwrap_or_default();
        *read = whole.max(*read);
        new.lines().filter_map(crate::slurm::told::parse).collect()
    }

    fn result(&mut self, place: usize, end: Option<&End>) -> Option<Self::Result> {
        let task = self.tasks.get(&place)?;
        // A record that was there before does not count if it was to be made again.
        if task.is_forced && end != Some(&End::Done) {
            return None;
        }
        match self.store.find(task.node.key) {
            Ok(Found::Whole(summary)) if summary.read_these(&task.inputs) => Some(summary),
            _ => None,
        }
    }

    fn post_mortem(&mut self, job: Option<u64>, of: &Attempt, key: StageKey) -> (Option<(i32, i32)>, String) {
        let exit = job.and_then(|job| client::exit(job, of.index));
        let caught = tail(&self.folder.file(of, "log"));
        let log = if caught.trim().is_empty() { tail(&self.store.log_path(key)) } else { caught };
        (exit, log)
    }

    fn cancel(&mut self, jobs: &[(u64, u32)], only_waiting: bool) {
        let names: Vec<String> = jobs.iter().map(|(job, index)| format!("{job}_{index}")).collect();
        // What is not cancelled ends by itself, and harms nobody.
        let _ = client::cancel(&names, only_waiting);
    }
}

/// Whether a refusal is about how many jobs there are, not about this one.
fn is_full(words: &str) -> bool {
    let words = words.to_lowercase();
    ["submit limit", "submitjoblimit", "maxsubmit", "job queue is full", "maxjobcount"]
        .iter()
        .any(|full| words.contains(full))
}

/// The end of a file; nothing if there is none.
fn tail(path: &std::path::Path) -> String {
    let bytes = fsx::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).into_owned()
}
