//! `lock.json`: what a pipeline's results are, byte for byte. Tracked by git; holds no time, path or host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::engine::outcome::Outcome;
use crate::pipeline::Keyed;
use crate::stage::StageKey;
use crate::store::{Keep, Store};

/// File name of a lock in `results/<pipeline>/`.
pub const FILE: &str = "lock.json";
/// File name of the signature beside it, where minisign looks for it.
pub const SIGNATURE: &str = "lock.json.minisig";
const FORMAT: u32 = 1;

/// What our signatures say of a lock: no time, so that signing it again gives the same bytes.
pub fn comment(pipeline: &str, text: &[u8]) -> String {
    format!("{SIGNED} {pipeline} {}", Digest::of(text))
}

/// Whether a signature's comment is one of ours, and of another lock than this.
pub fn is_outdated(comment: &str, pipeline: &str, text: &[u8]) -> bool {
    comment.starts_with(SIGNED) && comment != self::comment(pipeline, text)
}

const SIGNED: &str = "layerwise lock";

/// Stage → key and output digests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// Format of the file.
    pub format: u32,
    /// The pipeline.
    pub pipeline: String,
    /// By node, as in `fit[seed=0]`.
    pub stages: BTreeMap<String, Entry>,
    /// Files placed beside the lock, and their digests.
    pub published: BTreeMap<String, Digest>,
}

/// What one stage gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Kind of work.
    pub kind: String,
    /// Identity of the execution.
    pub key: StageKey,
    /// File → BLAKE3 of its bytes.
    pub outputs: BTreeMap<String, Digest>,
}

/// Why what a lock refers to is not known.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is of another version, or no lock.
    #[error("'{}' is not a lock that this version understands", path.display())]
    NotUnderstood {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Lock {
    /// Reads the lock of a results folder; `None` if there is none that this version understands.
    pub fn read(folder: &Path) -> Option<Self> {
        Self::parse(&fsx::read(&folder.join(FILE)).ok()?)
    }

    /// Reads the text of a lock; `None` if this version does not understand it.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|lock: &Self| lock.format == FORMAT)
    }

    /// All locks below a folder of results, with the folders they lie in. One that this version does not understand is an error:
    /// what it refers to is unknown.
    pub fn all(results: &Path) -> Result<Vec<(PathBuf, Self)>, LockError> {
        let folders = if fsx::is_dir(results) { fsx::list(results)? } else { Vec::new() };
        let folders = folders.into_iter().map(|name| results.join(name));
        let folders = folders.filter(|folder| fsx::size(&folder.join(FILE)).is_some());
        folders.map(|folder| Ok((folder.clone(), Self::open(&folder.join(FILE))?))).collect()
    }

    fn open(path: &Path) -> Result<Self, LockError> {
        Self::parse(&fsx::read(path)?).ok_or_else(|| LockError::NotUnderstood { path: path.to_owned() })
    }

    /// What a collection must keep: what these locks and the store's tags refer to.
    pub fn keep(locks: &[(PathBuf, Self)], store: &Store) -> Result<Keep, LockError> {
        let mut keep = Keep::default();
        let tags = fsx::files_below(&store.tags())?.into_iter().filter(|name| !fsx::is_temporary(name));
        let tags: Result<Vec<_>, _> = tags.map(|name| Self::open(&store.tags().join(name))).collect();
        for entry in locks.iter().map(|(_, lock)| lock).chain(&tags?).flat_map(|lock| lock.stages.values()) {
            keep.keys.insert(entry.key);
            keep.objects.extend(entry.outputs.values());
        }
        Ok(keep)
    }

    /// Makes the lock of a run. Entries of stages that this run did not want are kept from the earlier lock where their keys still
    /// hold.
    pub fn new(keyed: &Keyed, outcomes: &[Option<Outcome>], earlier: Option<&Self>) -> Self {
        let mut stages = BTreeMap::new();
        for (node, outcome) in keyed.nodes.iter().zip(outcomes) {
            let name = node.node.to_string();
            let entry = match outcome.as_ref().and_then(Outcome::summary) {
                Some(record) => {
                    let outputs = record.outputs.iter().map(|o| (o.name.clone(), o.digest)).collect();
                    Some(Entry { kind: node.fields.kind.clone(), key: node.key, outputs })
                }
                None => {
                    earlier.and_then(|lock| lock.stages.get(&name)).filter(|e| e.key == node.key).cloned()
                }
            };
            stages.extend(entry.map(|entry| (name, entry)));
        }
        Self { format: FORMAT, pipeline: keyed.pipeline.clone(), stages, published: BTreeMap::new() }
    }

    /// The lock as text, with a newline at the end.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a lock has string keys") + "\n"
    }

    /// Writes the lock into a results folder, unless it stands there already. The signature of another one that stood there is
    /// removed first: `true` if there was one.
    pub fn write(&self, folder: &Path) -> Result<bool, FileError> {
        let text = self.to_text();
        let path = folder.join(FILE);
        if fsx::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
            return Ok(false);
        }
        let signature = folder.join(SIGNATURE);
        let was_signed = fsx::size(&signature).is_some();
        if was_signed {
            fsx::remove_file(&signature)?;
        }
        fsx::write_atomic(&path, text.as_bytes())?;
        Ok(was_signed)
    }
}
