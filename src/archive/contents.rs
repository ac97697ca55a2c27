//! What goes into an archive: gathered from a pipeline and a store, not hashed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::archive::paths::{self, DESCRIPTION, PAYLOAD};
use crate::archive::{Description, Holds};
use crate::base::digest::{Digest, Sha};
use crate::base::fsx::{self, FileError};
use crate::engine::lock::{self, Lock};
use crate::engine::{Outcome, publish};
use crate::pipeline::{Keyed, Node};
use crate::stage::StageKey;
use crate::store::{Found, Output, Record, Store, StoreError, Summary};

/// What an archive is asked to hold.
pub struct Request<'a> {
    /// The pipeline.
    pub keyed: &'a Keyed,
    /// Where its results are.
    pub store: &'a Store,
    /// What the archive will say that it is.
    pub description: Description,
    /// Files of the project, by their paths in it.
    pub project: Vec<(String, Content)>,
    /// Files that describe the whole: licence, citation.
    pub tags: Vec<(String, Vec<u8>)>,
    /// Whether a stage gives data, which may be left out.
    pub is_data: &'a dyn Fn(&Node) -> bool,
    /// Objects that others publish, byte for byte.
    pub published: BTreeMap<Digest, Published>,
}

/// Where others publish an object.
#[derive(Debug, Clone)]
pub struct Published {
    /// The place.
    pub url: String,
    /// What others call its bytes.
    pub sha256: Sha,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file of the project.
    File(PathBuf),
    /// In an object of the store.
    Object(PathBuf, Digest),
}

/// Something that the results were made from and that the archive does not hold.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// The node that made it, and its name there.
    pub output: String,
    /// In bytes.
    pub size: u64,
    /// Where else it is.
    pub published: Option<Published>,
}

/// A node of the pipeline and how its result came about.
pub struct Made {
    /// As in `fit[seed=0]`.
    pub name: String,
    /// Its place in the pipeline.
    pub place: usize,
    /// The record.
    pub record: Record,
}

/// All that goes into an archive, and what is left out.
pub struct Contents {
    /// What it is.
    pub description: Description,
    /// The lock of the pipeline.
    pub lock: Lock,
    /// All nodes, in the order of the pipeline.
    pub made: Vec<Made>,
    /// Files of the payload, by path in the bag.
    pub payload: BTreeMap<String, Content>,
    /// Files beside the payload.
    pub tags: Vec<(String, Vec<u8>)>,
    /// What is not there.
    pub left_out: BTreeMap<Digest, LeftOut>,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A stage has no result, or not a whole one.
    #[error("stage '{stage}' has no result that could be archived: {reason}")]
    NotRun {
        /// The node.
        stage: String,
        /// What is the matter.
        reason: &'static str,
    },
    /// Two files want the same place.
    #[error("two files would be '{path}' in the archive")]
    Clash {
        /// The place.
        path: String,
    },
    /// The bytes of an object are not those of its name.
    #[error("object {} of the store is damaged", digest.short())]
    Damaged {
        /// Its name.
        digest: Digest,
    },
    /// A file cannot be read, or the archive not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Contents {
    /// Gathers what an archive of a pipeline holds; every stage must have run.
    pub fn gather(request: Request<'_>) -> Result<Self, MakeError> {
        let Request { keyed, store, description, project, tags, is_data, published } = request;
        let (mut made, mut outcomes) = (Vec::new(), Vec::new());
        let mut artifacts = Vec::new();
        for (place, node) in keyed.nodes.iter().enumerate() {
            let name = node.node.to_string();
            let record = find(store, &name, node.key)?;
            let summary = Summary::of(&record);
            let inputs: Vec<Digest> = node.inputs.iter().map(|input| artifacts[*input]).collect();
            if !summary.read_these(&inputs) {
                let reason = "what it was made from is other by now";
                return Err(MakeError::NotRun { stage: name, reason });
            }
            artifacts.push(summary.artifact);
            outcomes.push(Some(Outcome::Cached(Arc::new(summary))));
            made.push(Made { name, place, record });
        }
        let (lock, _) = publish::intended(keyed, &outcomes, None);
        let holds = description.holds;
        let mut contents =
            Self { description, lock, made, payload: BTreeMap::new(), tags, left_out: BTreeMap::new() };
        contents.add_description()?;
        for (path, content) in project {
            contents.add(format!("{PAYLOAD}{path}"), content)?;
        }
        contents.add_results(store)?;
        contents.add_objects(store, |made| match holds {
            Holds::Everything => true,
            Holds::WithoutData => !is_data(&keyed.nodes[made.place].node),
            Holds::Tables => false,
        });
        // Tables are complete without what they were made from: nothing is to be fetched.
        if holds == Holds::WithoutData {
            for (digest, left_out) in &mut contents.left_out {
                left_out.published = published.get(digest).cloned();
            }
        }
        Ok(contents)
    }

    /// Adds the signature of the lock: `false`, and nothing is added, if what was signed is another one.
    pub fn add_signature(&mut self, signed: &[u8], signature: Vec<u8>) -> bool {
        let is_of_this = signed == self.lock.to_text().as_bytes();
        if is_of_this {
            let path = paths::result(&self.lock.pipeline, lock::SIGNATURE);
            self.payload.insert(path, Content::Bytes(signature));
        }
        is_of_this
    }

    /// Bytes before compression, without descriptions.
    pub fn size(&self) -> u64 {
        let size = |content: &Content| match content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(path) | Content::Object(path, _) => fsx::size(path).unwrap_or(0),
        };
        self.payload.values().map(size).sum()
    }

    /// Whether an output is in the archive.
    pub fn holds(&self, output: &Output) -> bool {
        self.payload.contains_key(&paths::object(output.digest))
    }

    fn add(&mut self, path: String, content: Content) -> Result<(), MakeError> {
        match self.payload.insert(path.clone(), content) {
            Some(_) => Err(MakeError::Clash { path }),
            None => Ok(()),
        }
    }

    fn add_description(&mut self) -> Result<(), MakeError> {
        let text = serde_json::to_string_pretty(&self.description).expect("a description is plain data");
        self.add(DESCRIPTION.to_owned(), Content::Bytes((text + "\n").into_bytes()))
    }

    /// The lock, what is published, and the records.
    fn add_results(&mut self, store: &Store) -> Result<(), MakeError> {
        let pipeline = self.lock.pipeline.clone();
        self.add(paths::result(&pipeline, lock::FILE), Content::Bytes(self.lock.to_text().into_bytes()))?;
        for (name, digest) in self.lock.published.clone() {
            let object = Content::Object(store.object_path(digest), digest);
            self.add(paths::result(&pipeline, &name), object)?;
        }
        let keys: BTreeSet<_> = self.made.iter().map(|made| made.record.key).collect();
        // As they are, not written anew: numbers might not be the same.
        for key in keys {
            let bytes = fsx::read(&store.record_path(key))?;
            self.add(paths::record(key), Content::Bytes(bytes))?;
        }
        Ok(())
    }

    fn add_objects(&mut self, store: &Store, is_held: impl Fn(&Made) -> bool) {
        let (held, rest): (Vec<&Made>, Vec<&Made>) = self.made.iter().partition(|made| is_held(made));
        for output in held.iter().flat_map(|made| &made.record.outputs) {
            let object = Content::Object(store.object_path(output.digest), output.digest);
            self.payload.insert(paths::object(output.digest), object);
        }
        for made in rest {
            for output in &made.record.outputs {
                if !self.payload.contains_key(&paths::object(output.digest)) {
                    let name = format!("{}/{}", made.name, output.name);
                    let left_out = LeftOut { output: name, size: output.size, published: None };
                    self.left_out.entry(output.digest).or_insert(left_out);
                }
            }
        }
    }
}

fn find(store: &Store, stage: &str, key: StageKey) -> Result<Record, MakeError> {
    let not_run = |reason| MakeError::NotRun { stage: stage.to_owned(), reason };
    match store.find(key)? {
        Found::Whole(_) => store.record(key)?.ok_or_else(|| not_run("its record is gone")),
        Found::Missing(_) => Err(not_run("one of its files is gone")),
        Found::Damaged(_) => Err(not_run("one of its files is damaged")),
        Found::Nothing => Err(not_run("it was not run")),
    }
}
