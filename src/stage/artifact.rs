//! Artifacts, and the typed slots through which a stage receives them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::base::digest::{Digest, Fields};
use crate::base::files::{Files, NoSuchFile};

/// What an artifact holds. The word is all there is to it, so a new kind can bring its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArtifactType(pub &'static str);

impl ArtifactType {
    /// Stands in a slot that takes an artifact of whatever type.
    pub const ANY: Self = Self("artifact");

    /// Whether a slot of this type takes an artifact of that one.
    pub fn takes(self, given: Self) -> bool {
        self == given || self == Self::ANY
    }
}

impl fmt::Display for ArtifactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How many artifacts a slot takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// Exactly one: the stage inherits its axes.
    One,
    /// At least one: the slot gathers every axis that the stage does not have.
    Many,
    /// None or more, gathered likewise.
    Any,
}

/// A named, typed input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The word under `needs`.
    pub name: Cow<'static, str>,
    /// What it takes.
    pub ty: ArtifactType,
    /// How many.
    pub arity: Arity,
}

impl Slot {
    /// A slot for exactly one artifact.
    pub const fn one(name: &'static str, ty: ArtifactType) -> Self {
        Self { name: Cow::Borrowed(name), ty, arity: Arity::One }
    }

    /// A slot for one artifact or more.
    pub const fn many(name: &'static str, ty: ArtifactType) -> Self {
        Self { name: Cow::Borrowed(name), ty, arity: Arity::Many }
    }

    /// A slot that may be left out.
    pub const fn any(name: &'static str, ty: ArtifactType) -> Self {
        Self { name: Cow::Borrowed(name), ty, arity: Arity::Any }
    }

    /// The same slot under another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self { name: Cow::Owned(name.to_owned()), ..self.clone() }
    }
}

/// A committed output: named read-only files, and where in the matrix they were made.
#[derive(Clone, Debug, Default)]
pub struct Artifact {
    /// The files.
    pub files: Files,
    /// BLAKE3 of each file.
    pub digests: BTreeMap<String, Digest>,
    /// Axis → value, as text, of the stage that made it.
    pub coordinates: BTreeMap<String, String>,
}

impl Artifact {
    /// Returns where the bytes of this file are.
    pub fn path(&self, name: &str) -> Result<&Path, NoSuchFile> {
        self.files.path(name)
    }

    /// The digest of the whole: of the names and digests of all files.
    pub fn digest(&self) -> Digest {
        contents(self.digests.iter().map(|(name, digest)| (name.as_str(), *digest)))
    }
}

/// The digest of an artifact, from the names and digests of its files in the order of their names.
pub fn contents<'a>(files: impl Iterator<Item = (&'a str, Digest)>) -> Digest {
    let mut fields = Fields::new("layerwise artifact v1");
    for (name, digest) in files {
        fields.add("name", name.as_bytes());
        fields.add("digest", digest.bytes());
    }
    fields.finish()
}

/// The artifacts that a stage receives, by slot; those of one slot are in order of their coordinates.
#[derive(Clone, Debug, Default)]
pub struct Inputs(pub BTreeMap<String, Vec<Artifact>>);

impl Inputs {
    /// The artifact of a slot that takes exactly one.
    pub fn one(&self, slot: &str) -> &Artifact {
        &self.many(slot)[0]
    }

    /// The artifacts of a slot; empty if it was left out.
    pub fn many(&self, slot: &str) -> &[Artifact] {
        self.0.get(slot).map_or(&[], Vec::as_slice)
    }
}
