//! What a follower needs: the cluster, the files and the clock; real, or made up.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::spec::Retries;
use crate::slurm::batch::{Attempt, End, Seen};
use crate::slurm::request::Request;
use crate::slurm::share::Share;
use crate::slurm::text::Row;
use crate::stage::{Report, StageError, StageKey};

/// What to make of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The most jobs of an array.
    pub array: u32,
    /// The most jobs in the queue.
    pub submitted: usize,
    /// How often a job that was lost is submitted again.
    pub resubmit: u32,
}

/// A node to be made.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its place in the graph.
    pub place: usize,
    /// Its key.
    pub key: StageKey,
    /// What it asks for.
    pub request: Arc<Request>,
    /// How it is tried again.
    pub retries: Retries,
    /// How often it got more of what it ran out of.
    pub growths: u32,
    /// How often it was lost.
    pub losses: u32,
}

/// What came of a submission.
#[derive(Debug)]
pub enum Submission {
    /// The number of the array.
    Accepted(u64),
    /// No answer: it may have been accepted.
    Unclear(String),
    /// Not now: there are as many jobs as there may be.
    Full(String),
    /// Never like this: what is wrong, and what to do.
    Refused(String, String),
}

/// An attempt of another run, or of an earlier one.
#[derive(Debug, Clone)]
pub struct Theirs {
    /// Its batch, and its line there.
    pub attempt: Attempt,
    /// The number of the array, if it is known.
    pub job: Option<u64>,
    /// What a job of the array does.
    pub share: Share,
}

/// The cluster, the files, the clock.
pub trait World {
    /// What a node came to.
    type Result;
    /// The time since some moment.
    fn now(&self) -> Duration;
    /// A name for a batch that nobody else has.
    fn name(&mut self) -> String;
    /// Takes a key for an attempt: `None` if it is ours, or the attempt that is under way.
    fn reserve(&mut self, key: StageKey, attempt: &Attempt) -> Result<Option<Theirs>, StageError>;
    /// Gives the key back.
    fn release(&mut self, key: StageKey, attempt: &Attempt);
    /// Submits a batch of reserved nodes that ask for the same, by line.
    fn submit(&mut self, batch: &str, request: &Request, jobs: &[Job]) -> Submission;
    /// What the queue shows.
    fn queue(&mut self) -> Result<Vec<Row>, String>;
    /// What the accounting remembers of some arrays; nothing where there is none.
    fn history(&mut self, jobs: &[u64]) -> Vec<Row>;
    /// What is new in a batch's folder.
    fn look(&mut self, batch: &str, is_news: &dyn Fn(u32, bool) -> bool) -> Vec<(u32, Seen)>;
    /// What a job has told of how it goes since this was asked last.
    fn reports(&mut self, attempt: &Attempt) -> Vec<Report>;
    /// The result of a node, if it is there.
    fn result(&mut self, place: usize, end: Option<&End>) -> Option<Self::Result>;
    /// Exit code and signal of a job of an array, as far as they are known, and the end of the log of it or of the node.
    fn post_mortem(&mut self, job: Option<u64>, of: &Attempt, key: StageKey) -> (Option<(i32, i32)>, String);
    /// Cancels jobs of arrays: all of these, or those of them that wait.
    fn cancel(&mut self, jobs: &[(u64, u32)], only_waiting: bool);
}

/// What is told of a node.
#[derive(Debug)]
pub enum Fact<R> {
    /// It is in the queue, under this name.
    Submitted(String),
    /// It runs, on so many threads.
    Started(usize),
    /// Something that it said, or that is to be known of it.
    Reported(Report),
    /// An attempt came to nothing; another follows.
    Retried(StageError),
    /// The last.
    Done(Result<R, StageError>),
}

/// Who is told.
pub type Tell<'t, R> = &'t mut dyn FnMut(usize, Fact<R>);

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Everything.
    GoOn,
    /// Nothing new: what waits in the queue goes, what runs may end.
    Finish,
    /// To go away, while jobs go on.
    Leave,
    /// To go away, and no job to go on.
    Cancel,
}
