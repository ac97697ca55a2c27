//! Whether objects, records, locks and published files agree, and which stages are touched where they do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::base::signature::{self, Trusted};
use crate::engine::lock::{self, Entry, Lock};
use crate::stage::StageKey;
use crate::store::{Audit, Record, Store, StoreError, Trouble};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A file of the store, and the stages whose results it touches.
    Store {
        /// What is wrong.
        trouble: Trouble,
        /// As in `fig1/fit[seed=0]`; where no lock names it, as in `train 1a2b3c…`.
        stages: Vec<String>,
    },
    /// A stage of a lock has no record, though others of its pipeline have.
    NoRecord {
        /// As in `fig1/fit[seed=0]`.
        stage: String,
    },
    /// The record of a stage has other outputs than the lock says.
    OtherOutputs {
        /// As in `fig1/fit[seed=0]`.
        stage: String,
    },
    /// A published file is not what the lock says.
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// A published file is gone.
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// A lock has no signature, and one is asked for.
    NotSigned {
        /// The lock.
        path: PathBuf,
    },
    /// The signature of a lock is not believed.
    Signature {
        /// The signature.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What a look at everything found.
#[derive(Debug)]
pub struct Report {
    /// Objects, records, and what is wrong with them alone.
    pub store: Audit,
    /// All that is wrong.
    pub findings: Vec<Finding>,
    /// Pipelines whose lock is there, but few of its results or none: they were not run here.
    pub absent: Vec<Absent>,
}

/// A pipeline that was not run here: of the stages of its lock, fewer than half are in the store. Those may come from others that
/// share them, such as a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// The pipeline.
    pub pipeline: String,
    /// How many of its stages are in the store.
    pub present: usize,
    /// How many there are.
    pub stages: usize,
}

impl Absent {
    /// What is to be said of a lock, if its pipeline was not run here.
    pub fn of(lock: &Lock, is_there: &dyn Fn(StageKey) -> bool) -> Option<Self> {
        let stages = lock.stages.len();
        let present = lock.stages.values().filter(|entry| is_there(entry.key)).count();
        (2 * present < stages).then(|| Self { pipeline: lock.pipeline.clone(), present, stages })
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pipeline, present, stages } = self;
        write!(f, "{pipeline} was not run here: {present} of {stages} stages are in the store")
    }
}

/// Looks at the whole store, and at some locks with the folders they lie in. `progress` is told the bytes hashed and those in all.
pub fn audit(
    store: &Store,
    locks: &[(PathBuf, Lock)],
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report, StoreError> {
    let audit = store.audit(progress)?;
    let records: BTreeMap<StageKey, &Record> =
        audit.records.iter().map(|record| (record.key, record)).collect();
    let (mut findings, mut absent) = (Vec::new(), Vec::new());
    for (folder, lock) in locks {
        // Of what a run left on a remote, only the record is here.
        let record = |key| records.get(&key).map(|record| (*record).clone()).or_else(|| store.elsewhere(key));
        if let Some(few) = Absent::of(lock, &|key| record(key).is_some()) {
            absent.push(few);
        } else {
            findings.extend(lock.stages.iter().filter_map(|(name, entry)| {
                let stage = format!("{}/{name}", lock.pipeline);
                check_entry(stage, entry, record(entry.key))
            }));
        }
        findings.extend(check_published(folder, lock)?);
    }
    let names = stage_names(locks);
    let touched = audit
        .troubles
        .iter()
        .map(|trouble| Finding::Store { trouble: trouble.clone(), stages: touched(&audit, trouble, &names) });
    let findings = touched.chain(findings).collect();
    Ok(Report { findings, absent, store: audit })
}

fn check_entry(stage: String, entry: &Entry, record: Option<Record>) -> Option<Finding> {
    let Some(record) = record else { return Some(Finding::NoRecord { stage }) };
    let outputs: BTreeMap<_, _> = record.outputs.into_iter().map(|o| (o.name, o.digest)).collect();
    (outputs != entry.outputs).then_some(Finding::OtherOutputs { stage })
}

fn check_published(folder: &Path, lock: &Lock) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for (name, digest) in &lock.published {
        let path = folder.join(name);
        match Digest::of_file(&path) {
            Ok((found, _)) if found == *digest => {}
            Ok(_) => findings.push(Finding::Edited { path }),
            Err(error) if error.is_not_found() => findings.push(Finding::Gone { path }),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(findings)
}

/// Looks at the signature of a lock: the id of the trusted key that it is by, or what is wrong. If nobody is trusted, only that it is
/// one, and not of an earlier lock.
pub fn signer(folder: &Path, lock: &Lock, trusted: Option<&Trusted>) -> Result<Signer, FileError> {
    let path = folder.join(lock::SIGNATURE);
    let text = match fsx::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.is_not_found() => {
            let finding = Finding::NotSigned { path: folder.join(lock::FILE) };
            return Ok(trusted.map_or(Signer::Unknown, |_| Signer::Wrong(finding)));
        }
        Err(error) => return Err(error),
    };
    let bytes = fsx::read(&folder.join(lock::FILE))?;
    let wrong = |reason| Ok(Signer::Wrong(Finding::Signature { path: path.clone(), reason }));
    let Some(comment) = signature::comment(&text) else {
        return wrong("it is no signature of minisign".to_owned());
    };
    if lock::is_outdated(&comment, &lock.pipeline, &bytes) {
        return wrong("it is of another lock".to_owned());
    }
    match trusted.map(|trusted| trusted.verify(&bytes, &text)) {
        None => Ok(Signer::Unknown),
        Some(Ok(key)) => Ok(Signer::Trusted(key)),
        Some(Err(error)) => wrong(error.to_string()),
    }
}

/// Who signed a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// A trusted key: its id.
    Trusted(String),
    /// Nobody, or somebody, and nobody is trusted.
    Unknown,
    /// Not one that is trusted.
    Wrong(Finding),
}

/// What the locks call each execution.
fn stage_names(locks: &[(PathBuf, Lock)]) -> BTreeMap<StageKey, Vec<String>> {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, lock) in locks {
        for (name, entry) in &lock.stages {
            names.entry(entry.key).or_default().push(format!("{}/{name}", lock.pipeline));
        }
    }
    names
}

fn touched(audit: &Audit, trouble: &Trouble, names: &BTreeMap<StageKey, Vec<String>>) -> Vec<String> {
    let digest = match trouble {
        Trouble::Damaged(digest) | Trouble::Missing(digest) => *digest,
        Trouble::Unreadable(_) => return Vec::new(),
    };
    let name = |record: &Record| match names.get(&record.key) {
        Some(names) => names.clone(),
        None => vec![format!("{} {}", record.fields.kind, record.key.short())],
    };
    let stages: BTreeSet<String> = audit.makers(digest).flat_map(name).collect();
    stages.into_iter().collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { trouble, stages } => {
                match trouble {
                    Trouble::Damaged(digest) => write!(f, "object {} is damaged", digest.short())?,
                    Trouble::Missing(digest) => write!(f, "object {} is missing", digest.short())?,
                    Trouble::Unreadable(path) => write!(f, "record '{}' cannot be read", path.display())?,
                }
                if stages.is_empty() { Ok(()) } else { write!(f, ": touches {}", stages.join(", ")) }
            }
            Self::NoRecord { stage } => write!(f, "{stage} has no record"),
            Self::OtherOutputs { stage } => {
                write!(f, "the record of {stage} has other outputs than the lock")
            }
            Self::Edited { path } => write!(f, "'{}' is not what the lock says", path.display()),
            Self::Gone { path } => write!(f, "'{}' is gone", path.display()),
            Self::NotSigned { path } => write!(f, "'{}' is not signed", path.display()),
            Self::Signature { path, reason } => {
                write!(f, "the signature '{}' is not believed: {reason}", path.display())
            }
        }
    }
}
