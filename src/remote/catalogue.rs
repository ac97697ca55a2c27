//! All that is there: the indices of a remote, read once and kept in the store, as no index ever changes.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::base::signature::{Signer, Trusted};
use crate::remote::index::{Index, LONGEST, NoIndex, ObjectAt, RecordAt};
use crate::remote::wire::Wire;
use crate::remote::{Remote, RemoteError};
use crate::stage::StageKey;

/// Requests at a time.
const AT_ONCE: usize = 32;
const FOLDER: &str = "v1/index";
const NAMES: &str = "v1/catalogue";
const SIGNATURE: &str = "minisig";
const LONGEST_SIGNATURE: u64 = 4096;
const LONGEST_LIST: u64 = 1 << 26;

/// What a remote has.
#[derive(Debug, Default)]
pub struct Catalogue {
    pub(super) indices: Vec<Index>,
    /// Index and place in it, of each time that the key is there.
    records: BTreeMap<StageKey, Vec<(u32, u32)>>,
    objects: BTreeMap<Digest, Vec<(u32, u32)>>,
    /// Indices that are not what their names say.
    pub damaged: usize,
    /// Indices that no trusted key signed.
    pub untrusted: usize,
}

impl Catalogue {
    /// Whether a result is there.
    pub fn has(&self, key: StageKey) -> bool {
        self.records.contains_key(&key)
    }

    /// How many results are there.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn has_object(&self, digest: Digest) -> bool {
        self.objects.contains_key(&digest)
    }

    /// Where the record of a key is; the digests of texts decide the order, so that all who look find the same.
    pub(super) fn records(&self, key: StageKey) -> Vec<(&Index, &RecordAt)> {
        let places = self.records.get(&key).into_iter().flatten();
        let mut found: Vec<_> = places
            .map(|(index, place)| {
                let index = &self.indices[*index as usize];
                (index, &index.records[*place as usize])
            })
            .collect();
        found.sort_by_key(|(_, record)| record.digest);
        found
    }

    /// Where an object is.
    pub(super) fn objects(&self, digest: Digest) -> impl Iterator<Item = (&Index, &ObjectAt)> {
        let places = self.objects.get(&digest).into_iter().flatten();
        places.map(|(index, place)| {
            let index = &self.indices[*index as usize];
            (index, &index.objects[*place as usize])
        })
    }

    fn add(&mut self, index: Index) {
        let number = self.indices.len() as u32;
        for (place, record) in index.records.iter().enumerate() {
            self.records.entry(record.key).or_default().push((number, place as u32));
        }
        for (place, object) in index.objects.iter().enumerate() {
            self.objects.entry(object.digest).or_default().push((number, place as u32));
        }
        self.indices.push(index);
    }
}

impl Remote {
    /// Reads what is there; indices that were read once are in the folder `kept`. With keys, only what one of them signed counts.
    pub fn catalogue(&self, kept: &Path, trusted: Option<&Trusted>) -> Result<Catalogue, RemoteError> {
        self.runtime.block_on(read(&self.wire, kept, trusted))
    }
}

async fn read(wire: &Wire, kept: &Path, trusted: Option<&Trusted>) -> Result<Catalogue, RemoteError> {
    // Of each index the names of its signatures.
    let mut found: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for name in names(wire).await? {
        let (digest, rest) = name.split_once('.').unwrap_or((&name, ""));
        if let Some(digest) = Digest::parse(digest) {
            let signatures = found.entry(digest).or_default();
            if rest.ends_with(SIGNATURE) {
                signatures.push(name);
            }
        }
    }
    let reads = found.into_iter().map(|(name, signatures)| one(wire, kept, name, signatures, trusted));
    let read: Vec<Read> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    let mut catalogue = Catalogue::default();
    for index in read {
        match index {
            Read::Index(index) => catalogue.add(index),
            Read::Damaged => catalogue.damaged += 1,
            Read::Untrusted => catalogue.untrusted += 1,
            Read::Gone => {}
        }
    }
    Ok(catalogue)
}

/// The names of all indices and signatures: a web server has them in a file.
async fn names(wire: &Wire) -> Result<Vec<String>, RemoteError> {
    if !wire.is_web {
        return wire.list(FOLDER).await;
    }
    let text = wire.get(NAMES, LONGEST_LIST).await?;
    let text = text.ok_or_else(|| wire.lacks(NAMES))?;
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

/// What became of the reading of an index.
enum Read {
    Index(Index),
    Damaged,
    Untrusted,
    /// It was named, and is not there.
    Gone,
}

async fn one(
    wire: &Wire,
    kept: &Path,
    name: Digest,
    signatures: Vec<String>,
    trusted: Option<&Trusted>,
) -> Result<Read, RemoteError> {
    let at = format!("{FOLDER}/{name}");
    let file = kept.join(name.to_string());
    let is_right = |bytes: &Vec<u8>| Digest::of(bytes) == name;
    let bytes = if let Some(bytes) = fsx::read(&file).ok().filter(is_right) {
        bytes
    } else {
        let Some(bytes) = wire.get(&at, LONGEST).await? else { return Ok(Read::Gone) };
        if !is_right(&bytes) {
            return Ok(Read::Damaged);
        }
        // A store that may only be read asks again next time.
        let _ = fsx::place(&file, &bytes);
        bytes
    };
    if let Some(trusted) = trusted
        && !is_signed(wire, &bytes, &signatures, trusted).await?
    {
        return Ok(Read::Untrusted);
    }
    match Index::parse(name, &bytes) {
        Ok(index) => Ok(Read::Index(index)),
        Err(NoIndex::Damaged) => Ok(Read::Damaged),
        Err(NoIndex::Newer) => Err(RemoteError::Newer { remote: wire.shown().to_owned() }),
    }
}

async fn is_signed(
    wire: &Wire,
    bytes: &[u8],
    signatures: &[String],
    trusted: &Trusted,
) -> Result<bool, RemoteError> {
    for name in signatures {
        let text = wire.get(&format!("{FOLDER}/{name}"), LONGEST_SIGNATURE).await?;
        let text = text.and_then(|text| String::from_utf8(text).ok());
        if text.is_some_and(|text| trusted.verify(bytes, &text).is_ok()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes an index, and before it the signature: each key has its own, so that many can vouch for the same.
pub(super) async fn write(wire: &Wire, bytes: &[u8], signer: Option<&Signer>) -> Result<(), RemoteError> {
    let name = Digest::of(bytes);
    if let Some(signer) = signer {
        let text = signer.sign(bytes, &format!("layerwise index {name}"));
        wire.put(&format!("{FOLDER}/{name}.{}.{SIGNATURE}", signer.key_id()), text.as_bytes()).await?;
    }
    wire.put_new(&format!("{FOLDER}/{name}"), bytes).await
}

/// Writes the names of all indices and signatures, for those who cannot list. Two who do so at once list both what they wrote; in between the hint
/// may lack one of them, until the next push.
pub(super) async fn publish_names(wire: &Wire) -> Result<(), RemoteError> {
    let names = wire.list(FOLDER).await?;
    let text: String = names.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
    wire.put(NAMES, text.as_bytes()).await
}
