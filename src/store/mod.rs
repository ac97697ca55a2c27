//! Where results live: immutable objects named by content, one record per execution.
//!
//! ```text
//! v1/objects/ab/cdef…       bytes, named by BLAKE3, read-only
//!    records/ab/cdef….json  one per key
//!    staging/<key>/{out,scratch}   being written; kept after an interruption, so that work resumes
//!    staging/room-<n>/{out,scratch}   likewise, for work that does not resume: used again and again
//!    leases/<key>           held by the process that is writing
//!    claims/<key>           likewise between hosts, in a store that a cluster uses
//!    slurm/                 what was submitted to a cluster, and what came of it
//!    parts/ab/cdef…/<digest>   results smaller than a stage, under keys of their own
//!    logs/ab/cdef….txt      what a stage printed
//!    quarantine/            objects whose bytes were not those of their names
//!    runs/<pipeline>-<n>    keys of the latest runs, which a collection keeps
//!    live/<pipeline>.jsonl  what its latest run tells, for who watches
//!    elsewhere/ab/cdef….json  records of results whose bytes a run left on a remote
//!    remote/                indices of remotes, as they never change
//!    tags/                  copies of locks whose results a collection keeps
//!    index, digests         what can be computed again, but not in a moment
//!    gc.lock                held by all who use the store, or by the one who collects
//! ```
//!
//! Only a record makes a result: everything before it can be lost at any moment without harm. A change of format is a new
//! folder (`v2`), never a migration.

mod audit;
mod claims;
mod digests;
mod gc;
mod index;
mod lease;
pub mod live;
mod parts;
pub mod prefix;
mod receive;
pub mod record;
mod rooms;
mod runs;
mod scratch;
mod staging;
mod writing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

pub use audit::{Audit, Trouble};
pub use digests::Digests;
pub use gc::{Freed, Keep, Usage};
pub use lease::Lease;
pub use parts::PartStore;
pub use receive::Reception;
pub use record::{Output, Provenance, Record, Summary};
pub use scratch::ScratchStore;
pub use staging::Staging;

use crate::base::digest::Digest;
use crate::base::files::Files;
use crate::base::fsx::{self, FileError};
use crate::stage::StageKey;
use crate::stage::key::ContentKey;
use index::{Entry, Index};
use lease::Presence;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error(transparent)]
    File(#[from] FileError),
    /// A stage wrote something that cannot be an output.
    #[error("the stage wrote '{}', which is not a plain file", path.display())]
    NotAFile {
        /// What it wrote.
        path: PathBuf,
    },
    /// A stage ended well but left no file.
    #[error("the stage ended without writing any file")]
    NoOutput,
    /// What nobody refers to can only be removed while nobody makes anything.
    #[error("another process is using the store '{}'", store.display())]
    InUse {
        /// The store.
        store: PathBuf,
    },
}

/// A folder of results. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    index: Arc<Mutex<Index>>,
    /// What was committed and may not be on the disk yet.
    unflushed: Arc<Mutex<Vec<Entry>>>,
    /// Before the presence: what is ours goes before somebody else may collect.
    rooms: rooms::Free,
    leases: Arc<lease::Spare>,
    /// If a cluster uses the store.
    claims: Option<Arc<claims::Claims>>,
    /// Whether another process keeps the index and waits for the disk.
    is_worker: bool,
    /// As long as a store is open, nothing is removed from it.
    presence: Arc<Presence>,
}

/// Answer to the wish to do a piece of work.
#[derive(Debug)]
pub enum Begin {
    /// It is done already.
    Done(Arc<Summary>),
    /// It is ours to do. No write without this.
    Mine(Box<Staging>),
    /// Another process is at it.
    Busy,
}

/// What the store has of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A record, and all its objects, with the right content.
    Whole(Arc<Summary>),
    /// A record, but this object is gone.
    Missing(Output),
    /// A record, but the bytes of this object are not those of its name.
    Damaged(Output),
    /// No record.
    Nothing,
}

impl Store {
    /// Opens the store under this folder, and creates it if it is not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let root = folder.join("v1");
        if !fsx::is_dir(&root.join("leases")) {
            create(&root)?;
        }
        let presence = Arc::new(Presence::take(&root.join("gc.lock"))?);
        let index = Index::open(root.join("index"), &root.join("records"))?;
        Ok(Self::with(root, index, presence, false))
    }

    /// Opens a store for a process that executes one node of many, on whatever host, for another that follows it. It takes claims, needs
    /// no index, and does not wait for the disk: who follows reads what it made, checks it and puts it on the disk.
    pub fn open_as_worker(folder: &Path) -> Result<Self, StoreError> {
        let root = folder.join("v1");
        if !fsx::is_dir(&root.join("leases")) {
            create(&root)?;
        }
        let presence = Arc::new(Presence::take(&root.join("gc.lock"))?);
        let index = Index::empty(root.join("index"));
        let mut store = Self::with(root, index, presence, true);
        store.share()?;
        Ok(store)
    }

    fn with(root: PathBuf, index: Index, presence: Arc<Presence>, is_worker: bool) -> Self {
        let is_shared = fsx::is_dir(&root.join(claims::FOLDER));
        Self {
            claims: is_shared.then(|| Arc::new(claims::Claims::new(&root))),
            root,
            index: Arc::new(Mutex::new(index)),
            unflushed: Arc::default(),
            rooms: rooms::Free::default(),
            leases: Arc::default(),
            is_worker,
            presence,
        }
    }

    /// Says that processes on other hosts use the store from now on: whoever opens it then takes claims too.
    pub fn share(&mut self) -> Result<(), StoreError> {
        if self.claims.is_none() {
            fsx::create_dir_all(&self.root.join(claims::FOLDER))?;
            self.claims = Some(Arc::new(claims::Claims::new(&self.root)));
        }
        Ok(())
    }

    /// Shows that this process is alive, to those that wait for what it makes. To be called several times a minute.
    pub fn beat(&self) {
        self.claims.iter().for_each(|claims| claims.beat());
    }

    /// Looks up a key. The content of objects is checked, by hashing those that are not known to be unchanged.
    pub fn find(&self, key: StageKey) -> Result<Found, StoreError> {
        let Some(identity) = fsx::identity(&self.record_path(key)) else { return Ok(Found::Nothing) };
        let known = self.index().get(key);
        if let Some(entry) = known.filter(|entry| entry.record == Some(identity)) {
            return self.check(entry);
        }
        match self.record(key)? {
            None => Ok(Found::Nothing),
            Some(record) => {
                let (summary, objects) = (Arc::new(Summary::of(&record)), vec![None; record.outputs.len()]);
                self.check(Entry { summary, record: Some(identity), objects })
            }
        }
    }

    /// Looks up what an execution would read: another one that read the same has its result.
    pub fn find_content(&self, content: ContentKey) -> Result<Option<Arc<Summary>>, StoreError> {
        let Some(key) = self.index().by_content(content) else { return Ok(None) };
        match self.find(key)? {
            Found::Whole(summary) if summary.content == Some(content) => Ok(Some(summary)),
            _ => Ok(None),
        }
    }

    /// Checks the objects of an entry, and remembers what it learnt.
    fn check(&self, mut entry: Entry) -> Result<Found, StoreError> {
        let mut has_learnt = false;
        for (output, known) in entry.summary.outputs.iter().zip(&mut entry.objects) {
            let path = self.object_path(output.digest);
            let Some(identity) = fsx::identity(&path) else { return Ok(Found::Missing(output.clone())) };
            let is_unchanged = |known: &fsx::Identity| {
                (known.inode, known.size, known.modified)
                    == (identity.inode, identity.size, identity.modified)
            };
            if known.as_ref().is_some_and(is_unchanged) {
                continue;
            }
            if identity.size != output.size || Digest::of_file(&path)?.0 != output.digest {
                return Ok(Found::Damaged(output.clone()));
            }
            *known = Some(identity);
            has_learnt = true;
        }
        let summary = Arc::clone(&entry.summary);
        if has_learnt {
            self.index().insert(entry.clone());
            self.unflushed().push(entry);
        }
        Ok(Found::Whole(summary))
    }

    /// Finds the record of a key, if there is one and all its objects are there.
    pub fn lookup(&self, key: StageKey) -> Result<Option<Record>, StoreError> {
        match self.find(key)? {
            Found::Whole(_) => self.record(key),
            _ => Ok(None),
        }
    }

    /// Reads the record of a key, whether or not its objects are there. One that cannot be read counts as none: the work is
    /// done again and writes it anew.
    pub fn record(&self, key: StageKey) -> Result<Option<Record>, StoreError> {
        match fsx::read(&self.record_path(key)) {
            Ok(bytes) => Ok(Record::parse(&bytes).filter(|record| record.key == key)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Summaries of all records, in the order of their keys.
    pub fn summaries(&self) -> Vec<Arc<Summary>> {
        self.index().summaries()
    }

    /// Whether an interrupted run left something to continue from.
    pub fn is_staged(&self, key: StageKey) -> bool {
        let scratch = self.staging_path(key).join("scratch");
        let holds_something = |name: &String| fsx::size(&scratch.join(name)).is_some_and(|size| size > 0);
        fsx::list(&scratch).is_ok_and(|names| names.iter().any(holds_something))
    }

    /// Asks for a piece of work: even if it is done, with `again`; in folders of its own that outlive an interruption, if it
    /// `resumes`.
    pub fn begin(&self, key: StageKey, again: bool, resumes: bool) -> Result<Begin, StoreError> {
        let Some(lease) = self.leases.take(&self.root.join("leases").join(key.to_string()))? else {
            return Ok(Begin::Busy);
        };
        let claim = match self.claims.as_ref().map(|claims| claims.take(&key.to_string())).transpose()? {
            Some(None) => {
                self.leases.give_back(lease);
                return Ok(Begin::Busy);
            }
            claim => claim.flatten(),
        };
        // Looked up under the lease: another process may have finished between the plan and now.
        match self.find(key)? {
            Found::Whole(summary) if !again => return Ok(Begin::Done(summary)),
            Found::Damaged(output) => self.quarantine(output.digest)?,
            _ => {}
        }
        Ok(Begin::Mine(Box::new(Staging::open(self.clone(), key, (lease, claim), resumes)?)))
    }

    /// Moves an object whose bytes are not those of its name out of the way, so that it is made anew.
    pub fn quarantine(&self, digest: Digest) -> Result<(), StoreError> {
        let folder = self.root.join("quarantine");
        fsx::create_dir_all(&folder)?;
        let taken = fsx::list(&folder)?.len();
        let moved = fsx::rename(&self.object_path(digest), &folder.join(format!("{digest}-{taken}")));
        // Another process may have moved it already.
        moved.or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error.into()) })
    }

    /// Where parts are.
    pub fn parts(&self) -> PartStore {
        PartStore::new(self.root.join("parts"))
    }

    /// Where tags are: copies of locks, whose results a collection keeps.
    pub fn tags(&self) -> PathBuf {
        self.root.join("tags")
    }

    /// Where a stage writes what people want to read afterwards.
    pub fn log_path(&self, key: StageKey) -> PathBuf {
        self.fan_out("logs", &key.to_string(), ".txt")
    }

    /// The named files of some outputs.
    pub fn files(&self, outputs: &[Output]) -> Files {
        let entry = |output: &Output| (output.name.clone(), self.object_path(output.digest));
        Files(outputs.iter().map(entry).collect::<BTreeMap<_, _>>())
    }

    /// Where the bytes with this digest are.
    pub fn object_path(&self, digest: Digest) -> PathBuf {
        self.fan_out("objects", &digest.to_string(), "")
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no holder panics")
    }

    fn unflushed(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.unflushed.lock().expect("no holder panics")
    }

    /// Where the record of a key is.
    pub fn record_path(&self, key: StageKey) -> PathBuf {
        self.fan_out("records", &key.to_string(), ".json")
    }

    fn staging_path(&self, key: StageKey) -> PathBuf {
        self.root.join("staging").join(key.to_string())
    }

    fn fan_out(&self, part: &str, hex: &str, extension: &str) -> PathBuf {
        let (folder, name) = hex.split_at(2);
        self.root.join(part).join(folder).join(format!("{name}{extension}"))
    }
}

/// Makes the folders of a store durably; that of the leases, the last one, says that the others are.
fn create(root: &Path) -> Result<(), FileError> {
    for part in ["objects", "records", "staging"] {
        fsx::create_dir_all(&root.join(part))?;
    }
    let above = root.ancestors().take(3).filter(|folder| !folder.as_os_str().is_empty());
    above.into_iter().try_for_each(fsx::sync_dir)?;
    fsx::create_dir_all(&root.join("leases"))
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
