//! Contents, hashed and described: from here on an archive has an identity.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::archive::bag::{self, Info, Manifest};
use crate::archive::contents::{Content, Contents, LeftOut, MakeError};
use crate::archive::{FORMAT, paths, provenance, readme};
use crate::base::digest::{Digest, Sha, Sums};

/// An archive, ready to be written.
pub struct Sealed {
    /// The name of its folder: that of the pipeline.
    pub name: String,
    /// SHA-256 of `tagmanifest-sha256.txt`.
    pub identity: Sha,
    /// The files that say what is to come, in their order.
    pub(super) head: Vec<(&'static str, Vec<u8>)>,
    /// All other files, by path.
    pub(super) files: BTreeMap<String, (Content, Sums)>,
}

impl Sealed {
    /// Hashes and describes contents. `progress` is told the bytes hashed and those in all, from many threads.
    pub fn new(contents: Contents, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Self, MakeError> {
        let sums = hash(&contents, progress)?;
        let mut files: BTreeMap<String, (Content, Sums)> = BTreeMap::new();
        let described = [
            ("README.md", readme::text(&contents).into_bytes()),
            ("ro-crate-metadata.json", provenance::text(&contents, &sums).into_bytes()),
            (bag::FETCH, fetch(&contents.left_out).into_bytes()),
        ];
        let described = described.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        let described = described.map(|(name, bytes)| (name.to_owned(), bytes));
        for (name, bytes) in described.chain(contents.tags) {
            let sums = Sums::of(&bytes);
            files.insert(name, (Content::Bytes(bytes), sums));
        }

        let mut manifest: Manifest = sums.iter().map(|(path, sums)| (path.clone(), sums.sha256)).collect();
        let mut info = Info { format: FORMAT, bytes: sums.values().map(|sums| sums.size).sum(), files: 0 };
        for (digest, left_out) in &contents.left_out {
            if let Some(published) = &left_out.published {
                manifest.insert(paths::object(*digest), published.sha256);
                info.bytes += left_out.size;
            }
        }
        info.files = manifest.len() as u64;
        let mut head = vec![
            (bag::DECLARED, bag::DECLARATION.as_bytes().to_vec()),
            (bag::INFO, info.to_text().into_bytes()),
            (bag::MANIFEST, bag::manifest_text(&manifest).into_bytes()),
        ];
        let mut tags: Manifest =
            head.iter().map(|(name, bytes)| ((*name).to_owned(), Sha::of(bytes))).collect();
        tags.extend(files.iter().map(|(name, (_, sums))| (name.clone(), sums.sha256)));
        let tag_manifest = bag::manifest_text(&tags).into_bytes();
        let identity = Sha::of(&tag_manifest);
        head.insert(2, (bag::TAG_MANIFEST, tag_manifest));

        files.extend(
            contents
                .payload
                .into_iter()
                .zip(sums)
                .map(|((path, content), (_, sums))| (path, (content, sums))),
        );
        Ok(Self { name: contents.lock.pipeline, identity, head, files })
    }

    /// Bytes before compression, and files.
    pub fn size(&self) -> (u64, usize) {
        let head = self.head.iter().map(|(_, bytes)| bytes.len() as u64);
        let files = self.files.values().map(|(_, sums)| sums.size);
        (head.chain(files).sum(), self.head.len() + self.files.len())
    }
}

/// Hashes the payload; an object must be what its name says.
fn hash(
    contents: &Contents,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<BTreeMap<String, Sums>, MakeError> {
    let (total, done) = (contents.size(), AtomicU64::new(0));
    let hash = |(path, content): (&String, &Content)| {
        let sums = match content {
            Content::Bytes(bytes) => Sums::of(bytes),
            Content::File(path) | Content::Object(path, _) => Sums::of_file(path)?,
        };
        match content {
            Content::Object(_, digest) if *digest != sums.blake3 => return Err(damaged(*digest)),
            _ => {}
        }
        progress(done.fetch_add(sums.size, Ordering::Relaxed) + sums.size, total);
        Ok((path.clone(), sums))
    };
    contents.payload.par_iter().map(hash).collect()
}

fn damaged(digest: Digest) -> MakeError {
    MakeError::Damaged { digest }
}

/// What can be had elsewhere, and where it belongs.
fn fetch(left_out: &BTreeMap<Digest, LeftOut>) -> String {
    let line = |(digest, left_out): (&Digest, &LeftOut)| {
        let published = left_out.published.as_ref()?;
        Some(bag::fetch_line(&published.url, left_out.size, &paths::object(*digest)))
    };
    left_out.iter().filter_map(line).collect()
}
