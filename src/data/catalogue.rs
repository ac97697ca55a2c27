//! The datasets that this program knows: `datasets/*.yaml`, compiled in so that a key needs no disk.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;

/// A new dataset is a file in `datasets/` and a line here.
static TEXTS: &[&str] = &[include_str!("../../datasets/mnist.yaml")];

static ALL: LazyLock<Vec<Dataset>> = LazyLock::new(|| {
    let parse = |text| serde_yaml::from_str(text).expect("the compiled-in catalogue parses: a test reads it");
    TEXTS.iter().map(|text| parse(text)).collect()
});

/// A dataset: what is in it and where to get it.
///
/// Its serialised form is what identifies the *content*: mirrors and prose are left out, so they may change without
/// changing a key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// The word in the pipeline file.
    pub name: String,
    /// One line for people.
    #[serde(default, skip_serializing)]
    pub about: String,
    /// Terms of use, and who holds the copyright.
    #[serde(default, skip_serializing)]
    pub licence: String,
    /// What to cite.
    #[serde(default, skip_serializing)]
    pub citation: String,
    /// How the files are encoded.
    pub format: Format,
    /// Channels, height, width of one example.
    pub shape: [usize; 3],
    /// Labels are below this.
    pub classes: usize,
    /// Mean of the training pixels / 255, per channel.
    pub mean: Vec<f64>,
    /// Population standard deviation of the training pixels / 255, per channel.
    pub std: Vec<f64>,
    /// The published files.
    pub files: Vec<DataFile>,
    /// Where they are, to be tried in this order.
    #[serde(default, skip_serializing)]
    pub sources: Vec<Source>,
}

/// How a dataset's files are encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Gzipped IDX, as `LeCun`'s page describes it: see [`idx`](crate::data::idx).
    Idx,
}

/// One published file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// What is in it.
    pub role: Role,
    /// Its published name.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// SHA-256 of its bytes, 64 hex digits: what publishers give.
    pub sha256: String,
    /// BLAKE3 of its bytes: what the store names it by.
    pub blake3: Digest,
}

/// What a file of a dataset holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Pixels of the training examples.
    TrainImages,
    /// Classes of the training examples.
    TrainLabels,
    /// Pixels of the test examples.
    TestImages,
    /// Classes of the test examples.
    TestLabels,
}

/// A place that has the files of a dataset under their published names.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "String")]
pub enum Source {
    /// A folder, relative to the project's.
    Folder(String),
    /// The beginning of a URL.
    Web(String),
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        let is_url = text.starts_with("https://") || text.starts_with("http://");
        if is_url { Self::Web(text) } else { Self::Folder(text) }
    }
}

impl Dataset {
    /// The file of this role.
    pub fn file(&self, role: Role) -> Option<&DataFile> {
        self.files.iter().find(|file| file.role == role)
    }
}

/// Finds a dataset by its name.
pub fn find(name: &str) -> Option<&'static Dataset> {
    ALL.iter().find(|dataset| dataset.name == name)
}

/// Names of all datasets.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    ALL.iter().map(|dataset| dataset.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_complete() {
        for dataset in ALL.iter() {
            let [channels, ..] = dataset.shape;
            assert_eq!((dataset.mean.len(), dataset.std.len()), (channels, channels));
            assert!(dataset.std.iter().all(|std| *std > 0.0));
            for text in [&dataset.about, &dataset.licence, &dataset.citation] {
                assert!(!text.is_empty());
            }
            for file in &dataset.files {
                assert!(
                    file.sha256.len() == 64 && file.sha256.chars().all(|c| "0123456789abcdef".contains(c))
                );
            }
            assert!(!dataset.sources.is_empty());
        }
        let unique: std::collections::BTreeSet<_> = names().collect();
        assert_eq!(unique.len(), TEXTS.len());
    }

    #[test]
    fn the_serialised_form_names_content_only_and_reads_back() {
        let mnist = find("mnist").unwrap();
        let text = serde_json::to_string(mnist).unwrap();
        assert!(text.contains("440fcabf") && !text.contains("http") && !text.contains("licence"));
        let back: Dataset = serde_json::from_str(&text).unwrap();
        assert_eq!((&back.files, &back.mean, &back.std), (&mnist.files, &mnist.mean, &mnist.std));
        assert_eq!(find("minst"), None);
    }
}
