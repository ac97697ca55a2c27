//! Gets results from a remote, and believes none of its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::remote::catalogue::Catalogue;
use crate::remote::download::{self, Fate, Job};
use crate::remote::{Remote, RemoteError, tasks};
use crate::stage::StageKey;
use crate::store::{Output, Reception, Record, Store, StoreError};

/// Requests at a time.
const AT_ONCE: usize = 16;
/// So many things that a remote would not give mean that something else is wrong.
const MOST_REFUSED: usize = 20;

/// Records by key, with their texts as they were once written.
pub type Records = BTreeMap<StageKey, (Record, Vec<u8>)>;

/// Why a result was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Its record is not what the index says, or not that of its key.
    Record,
    /// An object is not there.
    Missing(Output),
    /// An object has other bytes than its name says.
    Damaged(Output),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record => f.write_str("its record is damaged"),
            Self::Missing(Output { name, digest, .. }) => {
                write!(f, "object {} ({name}) is missing", digest.short())
            }
            Self::Damaged(Output { name, digest, .. }) => {
                write!(f, "object {} ({name}) is damaged", digest.short())
            }
        }
    }
}

/// What a pull came to.
#[derive(Debug, Default)]
pub struct Taken {
    /// Results that the store has now.
    pub results: usize,
    /// Objects that came; others the store had already.
    pub objects: usize,
    /// Bytes of those that came.
    pub bytes: u64,
    /// Bytes that travelled.
    pub received: u64,
    /// What was not taken, and why.
    pub refused: BTreeMap<StageKey, Refusal>,
}

impl Remote {
    /// The records of these keys, of those that are there and right; and the keys of those that are there and not right.
    pub fn records(
        &self,
        there: &Catalogue,
        keys: &BTreeSet<StageKey>,
    ) -> Result<(Records, BTreeSet<StageKey>), RemoteError> {
        let mut found = Records::new();
        let mut left: BTreeSet<StageKey> = keys.iter().filter(|key| there.has(**key)).copied().collect();
        // The first copy of each; of those that are wrong the second, and so on.
        for copy in 0.. {
            let mut wanted = BTreeMap::new();
            for key in &left {
                if let Some((index, at)) = there.records(*key).get(copy) {
                    wanted.insert(at.digest, (*key, Job::new(index, at.at, at.digest, at.size)));
                }
            }
            if wanted.is_empty() {
                break;
            }
            let jobs = wanted.values().map(|(_, job)| *job).collect();
            let texts = self.runtime.block_on(self.texts(jobs))?;
            for (digest, text) in texts {
                let (key, _) = wanted[&digest];
                if let Some(record) = Record::of_stranger(&text, key) {
                    found.insert(key, (record, text));
                    left.remove(&key);
                }
            }
        }
        Ok((found, left))
    }

    async fn texts(&self, jobs: Vec<Job>) -> Result<Vec<(Digest, Vec<u8>)>, RemoteError> {
        let groups = download::groups(jobs).into_iter().map(|group| download::pieces(&self.wire, group));
        let mut texts = Vec::new();
        tasks::each(groups, AT_ONCE, |(fates, _)| {
            texts.extend(fates.into_iter().filter_map(|(job, fate)| match fate {
                Fate::Here(text) => Some((job.digest, text)),
                _ => None,
            }));
            Ok(())
        })
        .await?;
        Ok(texts)
    }

    /// Takes results with all their objects into a store; of each all or nothing.
    pub fn take(
        &self,
        store: &Store,
        there: &Catalogue,
        wanted: &Records,
        cancelled: &AtomicBool,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Taken, RemoteError> {
        let reception = store.reception()?;
        let (mut objects, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for output in wanted.values().flat_map(|(record, _)| &record.outputs) {
            if seen.insert(output.digest) && !store.holds(output)? {
                objects.insert(output.digest, output);
            }
        }
        let total = objects.values().map(|output| output.size).sum();
        let mut taking = Taking {
            remote: self,
            there,
            reception: &reception,
            cancelled,
            left: objects.keys().map(|digest| (*digest, Lack::Missing)).collect(),
            refusals: 0,
            taken: Taken::default(),
            progress: &|done| progress(done, total),
        };
        self.runtime.block_on(taking.all(&objects))?;
        let Taking { left, mut taken, .. } = taking;
        for (key, (record, text)) in wanted {
            let lack = record.outputs.iter().find_map(|output| Some((left.get(&output.digest)?, output)));
            match lack {
                Some((Lack::Missing, output)) => {
                    taken.refused.insert(*key, Refusal::Missing(output.clone()));
                }
                Some((Lack::Damaged, output)) => {
                    taken.refused.insert(*key, Refusal::Damaged(output.clone()));
                }
                None => {
                    reception.admit(record, text)?;
                    taken.results += 1;
                }
            }
        }
        store.flush()?;
        store.note_run("pulled", &wanted.keys().copied().collect()).map_err(StoreError::from)?;
        Ok(taken)
    }
}

/// Why an object is not here.
#[derive(Clone, Copy)]
enum Lack {
    Missing,
    Damaged,
}

/// A pull on its way.
struct Taking<'a> {
    remote: &'a Remote,
    there: &'a Catalogue,
    reception: &'a Reception,
    cancelled: &'a AtomicBool,
    /// What has not come yet.
    left: BTreeMap<Digest, Lack>,
    refusals: usize,
    taken: Taken,
    progress: &'a dyn Fn(u64),
}

impl Taking<'_> {
    /// Lays objects in the reception: from the first place where each is; of those that are wrong from the second, and so on.
    async fn all(&mut self, wanted: &BTreeMap<Digest, &Output>) -> Result<(), RemoteError> {
        for copy in 0.. {
            let (mut packed, mut large, mut is_last) = (Vec::new(), Vec::new(), true);
            for digest in self.left.keys() {
                let Some((index, at)) = self.there.objects(*digest).nth(copy) else { continue };
                is_last = false;
                match at.at {
                    _ if at.size != wanted[digest].size => {}
                    Some(piece) => packed.push(Job::new(index, piece, *digest, at.size)),
                    None => large.push(wanted[digest]),
                }
            }
            if is_last {
                break;
            }
            self.packed(packed).await?;
            self.large(large).await?;
        }
        Ok(())
    }

    async fn packed(&mut self, jobs: Vec<Job>) -> Result<(), RemoteError> {
        let wire = self.remote.wire.clone();
        let groups = download::groups(jobs).into_iter().map(|group| download::pieces(&wire, group));
        tasks::each(groups, AT_ONCE, |(fates, received)| {
            self.taken.received += received;
            fates.into_iter().try_for_each(|(job, fate)| {
                let fate = fate.and(|bytes| Ok(fsx::write_new(&self.reception.path(job.digest), &bytes)?))?;
                self.settle(job.digest, job.size, fate)
            })
        })
        .await
    }

    async fn large(&mut self, outputs: Vec<&Output>) -> Result<(), RemoteError> {
        let (wire, reception) = (self.remote.wire.clone(), self.reception);
        let objects = outputs.into_iter().map(|output| {
            let (wire, path) = (wire.clone(), reception.path(output.digest));
            let Output { digest, size, .. } = *output;
            async move {
                let (fate, received) = download::object(&wire, path, digest, size).await?;
                Ok((digest, size, fate, received))
            }
        });
        tasks::each(objects, AT_ONCE, |(digest, size, fate, received)| {
            self.taken.received += received;
            self.settle(digest, size, fate)
        })
        .await
    }

    fn settle(&mut self, digest: Digest, size: u64, fate: Fate<()>) -> Result<(), RemoteError> {
        match fate {
            Fate::Here(()) => {
                self.left.remove(&digest);
                self.taken.objects += 1;
                self.taken.bytes += size;
                (self.progress)(self.taken.bytes);
            }
            Fate::Missing => {}
            Fate::Damaged => _ = self.left.insert(digest, Lack::Damaged),
            Fate::Refused(error) => {
                self.refusals += 1;
                if self.refusals > MOST_REFUSED {
                    return Err(error);
                }
            }
        }
        if self.cancelled.load(Ordering::Relaxed) { Err(RemoteError::Cancelled) } else { Ok(()) }
    }
}
