//! What an archive turned out to hold: every file hashed, every reference followed.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::archive::paths::{self, DESCRIPTION, PAYLOAD, RESULTS};
use crate::archive::problem::Problem;
use crate::archive::stages::{self, Texts};
use crate::archive::{Description, Holds, bag};
use crate::base::digest::{Sha, Sums};
use crate::base::name;
use crate::base::signature::Trusted;
use crate::engine::Lock;
use crate::engine::lock::{self, Entry};
use crate::stage::StageKey;
use crate::store::{Output, Record, Summary};

/// A checked archive.
#[derive(Debug)]
pub struct Holdings {
    /// SHA-256 of `tagmanifest-sha256.txt`.
    pub identity: Sha,
    /// What it is.
    pub description: Description,
    /// The lock.
    pub lock: Lock,
    /// Its bytes, and the text of its signature if there is one.
    pub signed: (Vec<u8>, Option<String>),
    /// All records that the lock names, and their texts.
    pub records: BTreeMap<StageKey, (Record, Vec<u8>)>,
    /// All files, by path in the bag.
    pub files: BTreeMap<String, Sums>,
    /// The records whose objects are all here.
    pub whole: BTreeSet<StageKey>,
}

/// Whether a file is kept in memory to be looked into.
pub(super) fn is_looked_into(path: &str) -> bool {
    let is_lock = || {
        let name = path.strip_prefix(RESULTS).and_then(|path| path.split_once('/'));
        name.is_some_and(|(_, name)| [lock::FILE, lock::SIGNATURE].contains(&name))
    };
    path == DESCRIPTION || path == bag::FETCH || paths::as_record(path).is_some() || is_lock()
}

impl Holdings {
    /// Follows all references: lock → records → objects, lock → published files.
    pub(super) fn new(
        name: &str,
        identity: Sha,
        files: BTreeMap<String, Sums>,
        mut texts: Texts,
    ) -> Result<Self, Problem> {
        let description: Description = parse(&texts, DESCRIPTION)?;
        let lock_path = paths::result(name, lock::FILE);
        let lock_text = texts.remove(&lock_path).unwrap_or_default();
        let lock = Lock::parse(&lock_text);
        let lock = lock.ok_or_else(|| Problem::file(&lock_path, "is no lock of this version, or missing"))?;
        let signature = texts.remove(&paths::result(name, lock::SIGNATURE));
        let signature = signature.map(|text| String::from_utf8_lossy(&text).into_owned());
        if description.pipeline != name || lock.pipeline != name {
            return Err(Problem::file(DESCRIPTION, "is of another pipeline than the lock or the folder"));
        }
        if !files.contains_key(&format!("{PAYLOAD}{}", description.file)) {
            return Err(Problem::file(&description.file, "is the pipeline file, and missing"));
        }
        stages::check_names(&lock, &lock_path)?;
        stages::check_stages(&lock, &description.file, &texts)?;
        let mut records = BTreeMap::new();
        for (stage, entry) in &lock.stages {
            if let Some(text) = texts.remove(&paths::record(entry.key)) {
                let record = check_record(stage, entry, &text)?;
                records.insert(entry.key, (record, text));
            } else if !records.contains_key(&entry.key) {
                return Err(Problem::stage(stage, "has no record"));
            }
        }
        let whole = BTreeSet::new();
        let signed = (lock_text, signature);
        let mut holdings = Self { identity, description, lock, signed, records, files, whole };
        holdings.check_inputs()?;
        holdings.check_results()?;
        holdings.check_objects()?;
        Ok(holdings)
    }

    /// Checks that a trusted key signed the lock, and so all that it refers to: the key's id.
    pub fn signer(&self, trusted: &Trusted) -> Result<String, Problem> {
        let (lock, signature) = &self.signed;
        let signature = signature.as_deref().ok_or(Problem::NotSigned)?;
        Ok(trusted.verify(lock, signature)?)
    }

    /// The file of an object, if it is here.
    pub fn object(&self, output: &Output) -> Option<&Sums> {
        self.files.get(&paths::object(output.digest))
    }

    /// Bytes and number of all files.
    pub fn size(&self) -> (u64, usize) {
        (self.files.values().map(|sums| sums.size).sum(), self.files.len())
    }

    /// Every record read what the records of its inputs gave.
    fn check_inputs(&self) -> Result<(), Problem> {
        for (stage, entry) in &self.lock.stages {
            let (record, _) = &self.records[&entry.key];
            let given =
                record.fields.inputs.iter().map(|input| {
                    self.records.get(&input.key).map(|(record, _)| Summary::of(record).artifact)
                });
            let Some(given) = given.collect::<Option<Vec<_>>>() else {
                return Err(Problem::stage(stage, "needs a stage that is not there"));
            };
            if !Summary::of(record).read_these(&given) {
                return Err(Problem::stage(stage, "read other bytes than its inputs have"));
            }
            let content = record.fields.content_key(given.into_iter());
            if record.content.is_some_and(|told| told != content) {
                return Err(Problem::stage(stage, "has a record that does not fit what it read"));
            }
        }
        Ok(())
    }

    /// What lies among the results belongs there: nothing is planted, and nothing that was published is missing or altered.
    fn check_results(&self) -> Result<(), Problem> {
        let pipeline = &self.lock.pipeline;
        for (name, digest) in &self.lock.published {
            let path = paths::result(pipeline, name);
            match self.files.get(&path) {
                None => return Err(Problem::file(path, "was published, and is missing")),
                Some(sums) if sums.blake3 != *digest => {
                    return Err(Problem::file(path, "is not what the lock says"));
                }
                Some(_) => {}
            }
        }
        let objects: BTreeSet<_> =
            self.records.values().flat_map(|(record, _)| &record.outputs).map(|o| o.digest).collect();
        let published = self.lock.published.keys().map(String::as_str).chain([lock::FILE, lock::SIGNATURE]);
        let published: BTreeSet<_> = published.map(|name| paths::result(pipeline, name)).collect();
        let is_known = |path: &String| {
            paths::as_object(path).is_some_and(|object| objects.contains(&object))
                || paths::as_record(path).is_some_and(|key| self.records.contains_key(&key))
                || published.contains(path)
        };
        let mut results = self.files.keys().filter(|path| path.starts_with(RESULTS));
        match results.find(|path| !is_known(path)) {
            Some(path) => Err(Problem::file(path, "is no result of this pipeline")),
            None => Ok(()),
        }
    }

    /// Every object has the bytes of its name, and those are there that belong to an archive of this kind.
    fn check_objects(&mut self) -> Result<(), Problem> {
        for (stage, entry) in &self.lock.stages {
            let (record, _) = &self.records[&entry.key];
            let mut is_whole = true;
            for output in &record.outputs {
                match self.object(output) {
                    None => is_whole = false,
                    Some(sums) if (sums.blake3, sums.size) != (output.digest, output.size) => {
                        return Err(Problem::stage(
                            stage,
                            "has an object with other bytes than its name says",
                        ));
                    }
                    Some(_) => {}
                }
            }
            if is_whole {
                self.whole.insert(entry.key);
            }
        }
        for (stage, entry) in &self.lock.stages {
            let (record, _) = &self.records[&entry.key];
            // Data stages stand at the beginning: what was made from other things is never left out.
            let may_lack = match self.description.holds {
                Holds::Everything => false,
                Holds::WithoutData => record.fields.inputs.iter().all(|i| !self.whole.contains(&i.key)),
                Holds::Tables => true,
            };
            if !self.whole.contains(&entry.key) && !may_lack {
                return Err(Problem::stage(stage, "lacks an object"));
            }
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(texts: &Texts, path: &str) -> Result<T, Problem> {
    let text = texts.get(path).ok_or_else(|| Problem::file(path, "is missing"))?;
    serde_json::from_slice(text).map_err(|_| Problem::file(path, "is not what this version writes"))
}

/// A record is that of its name, and gave what the lock says.
fn check_record(stage: &str, entry: &Entry, text: &[u8]) -> Result<Record, Problem> {
    let wrong = |what| Problem::stage(stage, what);
    let record = Record::parse(text).ok_or_else(|| wrong("has a record that cannot be read"))?;
    if record.key != entry.key || record.fields.key() != entry.key {
        return Err(wrong("has a record with another key"));
    }
    let mut outputs = BTreeMap::new();
    for output in &record.outputs {
        if !name::is_safe_path(&output.name) || outputs.insert(output.name.clone(), output.digest).is_some() {
            return Err(wrong("has a record with names that no output has"));
        }
    }
    if name::clash(outputs.keys()).is_some() {
        return Err(wrong("has a record with names that no output has"));
    }
    if outputs != entry.outputs {
        return Err(wrong("has a record with other outputs than the lock"));
    }
    if record.fields.kind != entry.kind {
        return Err(wrong("has a record of another kind than the lock"));
    }
    Ok(record)
}
