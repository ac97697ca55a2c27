//! Brings results to a remote: large objects as they are, small ones and records in packs, the index last.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use tokio::task::spawn_blocking;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::base::signature::Signer;
use crate::remote::catalogue::{self, Catalogue};
use crate::remote::download::ended;
use crate::remote::index::{Index, ObjectAt, Piece, RecordAt};
use crate::remote::{Remote, RemoteError, piece, tasks, upload, wire};
use crate::stage::StageKey;
use crate::store::{Output, Store};

/// From this size on an object has a name of its own.
const LARGE: u64 = 1 << 18;
/// What goes into a pack, before it is packed.
const PACK: u64 = 32 << 20;
/// What goes under one index. What an interrupted push has brought is known up to the last index.
const BATCH: u64 = 512 << 20;
/// How many records do.
const RECORDS: usize = 20_000;
/// Objects, and packs, on their way at the same time.
const AT_ONCE: usize = 8;
const PACKS_AT_ONCE: usize = 3;

/// How to push.
pub struct Pushing<'a> {
    /// Who vouches for it.
    pub signer: Option<&'a Signer>,
    /// Whether to send it again over what is there.
    pub repair: bool,
    /// Set when the user wants to stop.
    pub cancelled: &'a AtomicBool,
    /// Is told the bytes that were sent, and all bytes, before they are packed.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What a push came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Results that the remote has now and had not before.
    pub new: usize,
    /// Results that it had.
    pub known: usize,
    /// Objects that were sent.
    pub objects: usize,
    /// Bytes of what was sent.
    pub bytes: u64,
    /// Bytes that travelled.
    pub sent: u64,
}

/// What goes into a pack.
enum Item {
    Object(Output),
    Record(StageKey, Vec<u8>),
}

/// A pack, and where in it each item is: offset and length.
type Built = (Vec<u8>, Vec<(u64, u64)>);

/// What goes under one index.
#[derive(Default)]
struct Batch {
    records: Vec<(StageKey, Vec<u8>)>,
    small: Vec<Output>,
    large: Vec<Output>,
    bytes: u64,
}

impl Remote {
    /// Brings the results of these keys; those without a record are passed over.
    pub fn push(
        &self,
        store: &Store,
        keys: &[StageKey],
        there: &Catalogue,
        how: &Pushing<'_>,
    ) -> Result<Pushed, RemoteError> {
        if self.wire.is_web {
            return Err(RemoteError::ReadOnly { remote: self.shown().to_owned() });
        }
        let mut pushed = Pushed::default();
        let batches = batches(store, keys, there, how.repair, &mut pushed)?;
        let total = batches.iter().map(|batch| batch.bytes).sum();
        let sending =
            Sending { remote: self, store, how, total, done: AtomicU64::new(0), sent: AtomicU64::new(0) };
        for batch in batches.iter().filter(|batch| !batch.records.is_empty()) {
            self.runtime.block_on(sending.batch(batch))?;
            pushed.new += batch.records.len();
            pushed.objects += batch.small.len() + batch.large.len();
            pushed.bytes += batch.bytes;
        }
        pushed.sent = sending.sent.into_inner();
        if pushed.new > 0 {
            self.runtime.block_on(catalogue::publish_names(&self.wire))?;
        }
        Ok(pushed)
    }
}

/// What is not there yet, in the order of the keys.
fn batches(
    store: &Store,
    keys: &[StageKey],
    there: &Catalogue,
    again: bool,
    pushed: &mut Pushed,
) -> Result<Vec<Batch>, RemoteError> {
    let (mut batches, mut planned, mut seen) = (vec![Batch::default()], BTreeSet::new(), BTreeSet::new());
    for key in keys.iter().filter(|key| seen.insert(**key)) {
        let Some(record) = store.lookup(*key)? else { continue };
        if there.has(*key) && !again {
            pushed.known += 1;
            continue;
        }
        let mut batch = batches.pop().unwrap_or_default();
        if batch.bytes >= BATCH || batch.records.len() >= RECORDS {
            batches.push(std::mem::take(&mut batch));
        }
        let text = fsx::read(&store.record_path(*key))?;
        batch.bytes += text.len() as u64;
        batch.records.push((*key, text));
        for output in record.outputs {
            if (again || !there.has_object(output.digest)) && planned.insert(output.digest) {
                batch.bytes += output.size;
                if output.size >= LARGE { batch.large.push(output) } else { batch.small.push(output) }
            }
        }
        batches.push(batch);
    }
    Ok(batches)
}

/// A push on its way.
struct Sending<'a> {
    remote: &'a Remote,
    store: &'a Store,
    how: &'a Pushing<'a>,
    total: u64,
    done: AtomicU64,
    sent: AtomicU64,
}

impl Sending<'_> {
    async fn batch(&self, batch: &Batch) -> Result<(), RemoteError> {
        let mut index = Index::new();
        let large = batch.large.iter().map(|output| self.large(output));
        tasks::each(large, AT_ONCE, |object| {
            index.objects.push(object);
            Ok(())
        })
        .await?;
        let packs = chunks(batch).into_iter().map(|items| self.pack(items));
        tasks::each(packs, PACKS_AT_ONCE, |(digest, items, pieces)| {
            let pack = index.packs.len() as u32;
            index.packs.push(digest);
            for (item, (offset, length)) in items.into_iter().zip(pieces) {
                item.note(&mut index, Piece(pack, offset, length));
            }
            Ok(())
        })
        .await?;
        let bytes = index.to_bytes();
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        catalogue::write(&self.remote.wire, &bytes, self.how.signer).await
    }

    /// Sends a large object, unless it is there: then a push broke off before it wrote its index.
    async fn large(&self, output: &Output) -> Result<ObjectAt, RemoteError> {
        self.check_cancelled()?;
        let name = wire::object(output.digest);
        if self.how.repair || self.remote.wire.size(&name).await?.is_none() {
            let path = self.store.object_path(output.digest);
            let sent = upload::object(&self.remote.wire, &name, &path, output, self.how.cancelled).await?;
            self.sent.fetch_add(sent, Ordering::Relaxed);
        }
        self.tell(output.size);
        Ok(ObjectAt { digest: output.digest, size: output.size, at: None })
    }

    async fn pack(&self, items: Vec<Item>) -> Result<(Digest, Vec<Item>, Vec<(u64, u64)>), RemoteError> {
        self.check_cancelled()?;
        let store = self.store.clone();
        let build = move || build(&store, &items).map(|(bytes, pieces)| (bytes, items, pieces));
        let (bytes, items, pieces) = ended(spawn_blocking(build)).await?;
        let digest = Digest::of(&bytes);
        let name = wire::pack(digest);
        if self.how.repair {
            self.remote.wire.put(&name, &bytes).await?;
        } else {
            self.remote.wire.put_new(&name, &bytes).await?;
        }
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.tell(items.iter().map(Item::size).sum());
        Ok((digest, items, pieces))
    }

    fn tell(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.how.progress)(done, self.total);
    }

    fn check_cancelled(&self) -> Result<(), RemoteError> {
        if self.how.cancelled.load(Ordering::Relaxed) { Err(RemoteError::Cancelled) } else { Ok(()) }
    }
}

impl Item {
    fn note(self, index: &mut Index, at: Piece) {
        match self {
            Self::Object(Output { digest, size, .. }) => {
                index.objects.push(ObjectAt { digest, size, at: Some(at) });
            }
            Self::Record(key, text) => {
                let (digest, size) = (Digest::of(&text), text.len() as u64);
                index.records.push(RecordAt { key, digest, size, at });
            }
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Object(output) => output.size,
            Self::Record(_, text) => text.len() as u64,
        }
    }
}

/// What goes into each pack. Records lie side by side: a run that looks for results reads all of theirs at once.
fn chunks(batch: &Batch) -> Vec<Vec<Item>> {
    let small = batch.small.iter().map(|output| Item::Object(output.clone()));
    let records = batch.records.iter().map(|(key, text)| Item::Record(*key, text.clone()));
    let (mut chunks, mut bytes) = (vec![Vec::new()], 0);
    for item in small.chain(records) {
        if bytes >= PACK {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += item.size();
        chunks.last_mut().expect("one is there").push(item);
    }
    chunks
}

/// Packs items, each alone, so that one can be had without the others.
fn build(store: &Store, items: &[Item]) -> Result<Built, RemoteError> {
    let frame = |item: &Item| match item {
        Item::Record(_, text) => Ok(piece::pack(text)),
        Item::Object(output) => {
            let bytes = fsx::read(&store.object_path(output.digest))?;
            if Digest::of(&bytes) != output.digest {
                return Err(RemoteError::Damaged { object: output.digest });
            }
            Ok(piece::pack(&bytes))
        }
    };
    let frames: Vec<Vec<u8>> = items.par_iter().map(frame).collect::<Result<_, RemoteError>>()?;
    let mut offset = 0;
    let places = frames.iter().map(|frame| {
        let place = (offset, frame.len() as u64);
        offset += place.1;
        place
    });
    let places = places.collect();
    Ok((frames.concat(), places))
}
