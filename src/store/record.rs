//! What is known of an execution.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::name;
use crate::stage::artifact;
use crate::stage::key::ContentKey;
use crate::stage::{KeyFields, StageKey};

/// A finished execution: outputs hashed, immutable, complete.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Identity of the execution.
    pub key: StageKey,
    /// Identity of what it read. Records of the first version lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentKey>,
    /// What went into the key.
    pub fields: KeyFields,
    /// Digests of the artifacts that it read, in the order of `fields.inputs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Digest>,
    /// Outputs, sorted by name.
    pub outputs: Vec<Output>,
    /// How it came about. Not part of any key or lock.
    pub provenance: Provenance,
}

/// A file of an artifact.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Its name in the artifact; `/` stands between folders.
    pub name: String,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// How a result came about.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// The pipeline and the node that it was made for, as in `fig1/fit[seed=0]`. Others may share it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// Version of this program.
    pub version: String,
    /// Revision of the project's repository, with `-dirty` if files were changed; empty if unknown.
    pub revision: String,
    /// Name of the machine.
    pub host: String,
    /// Threads used.
    pub threads: usize,
    /// Start, in seconds since 1970.
    pub started: u64,
    /// Duration of the last, uninterrupted part of the work.
    pub seconds: f64,
    /// The execution whose outputs these are, if this one was not run because it would have read the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<StageKey>,
}

impl Record {
    /// Reads a record; `None` if the bytes are not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Reads what somebody else says is the record of a key; `None` if it cannot be: its key follows from its fields, its content key
    /// from what it read, and its outputs are sorted files below a folder.
    pub fn of_stranger(bytes: &[u8], key: StageKey) -> Option<Self> {
        let record = Self::parse(bytes)?;
        let is_content = |told: ContentKey| {
            record.inputs.len() == record.fields.inputs.len()
                && record.fields.content_key(record.inputs.iter().copied()) == told
        };
        let is_sound = record.key == key
            && record.fields.key() == key
            && record.content.is_none_or(is_content)
            && !record.outputs.is_empty()
            && record.outputs.iter().all(|output| name::is_safe_path(&output.name))
            && name::clash(record.outputs.iter().map(|output| &output.name)).is_none()
            && record.outputs.is_sorted_by(|a, b| a.name < b.name);
        is_sound.then_some(record)
    }

    /// The record as text, with a newline at the end.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record has string keys and finite numbers") + "\n"
    }
}

/// What a plan and a run need of a record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Identity of the execution.
    pub key: StageKey,
    /// Identity of what it read.
    pub content: Option<ContentKey>,
    /// Kind of work.
    pub kind: String,
    /// The pipeline and the node that it was made for, as in `fig1/fit[seed=0]`; empty if the record does not say.
    pub stage: String,
    /// Digests of the artifacts that it read; `None` if the record does not say.
    pub inputs: Option<Vec<Digest>>,
    /// Digest of the artifact that it made.
    pub artifact: Digest,
    /// Outputs, sorted by name.
    pub outputs: Vec<Output>,
    /// Start, in seconds since 1970.
    pub started: u64,
    /// Duration.
    pub seconds: f64,
}

impl Summary {
    /// Whether it read artifacts with these digests, in the order of its key's inputs. A record that does not say is believed.
    pub fn read_these(&self, inputs: &[Digest]) -> bool {
        self.inputs.as_ref().is_none_or(|read| read == inputs)
    }

    /// The summary of a record.
    pub fn of(record: &Record) -> Self {
        let files = record.outputs.iter().map(|output| (output.name.as_str(), output.digest));
        Self {
            key: record.key,
            content: record.content,
            kind: record.fields.kind.clone(),
            stage: record.provenance.stage.clone(),
            inputs: (record.inputs.len() == record.fields.inputs.len()).then(|| record.inputs.clone()),
            artifact: artifact::contents(files),
            outputs: record.outputs.clone(),
            started: record.provenance.started,
            seconds: record.provenance.seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    /// The means and deviations of CIFAR-10 have 17 digits: read one bit off, they would make another key.
    #[test]
    fn numbers_come_back_to_the_bit() {
        let numbers = json!({"mean": [0.491_399_678_615_196_07, 0.482_158_408_394_607_83, 0.446_530_914_445_465_67],
            "std": [0.247_032_232_463_282_01, 0.243_485_128_000_055_53, 0.261_587_841_727_964_5]});
        let text = numbers.to_string();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), numbers, "{text}");
        for number in numbers["mean"].as_array().unwrap().iter().chain(numbers["std"].as_array().unwrap()) {
            assert_eq!(number.as_f64(), number.to_string().parse().ok());
        }
    }
}
