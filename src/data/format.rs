//! The encodings of published files: a table, so that a new one is a file beside this one and a line in it.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::files::Files;
use crate::base::fsx;
use crate::data::bytes::Bytes;
use crate::data::catalogue::{DataFile, Dataset};
use crate::data::examples::{DataError, Split};
use crate::data::{cifar, idx, pixels};

/// A new format is a line here.
static FORMATS: &[&Format] = &[
    &Format { name: "idx", read: idx::read },
    &Format { name: "cifar", read: cifar::read },
    &Format { name: "cifar-fine", read: cifar::read_fine },
    Format::PIXELS,
];

/// How a dataset's files are encoded.
pub struct Format {
    /// The word in `datasets/*.yaml`.
    name: &'static str,
    /// Reads the examples of a split.
    pub read: fn(&Dataset, &Files, Split) -> Result<Decoded, DataError>,
}

/// The examples of a split, as bytes.
#[derive(Debug)]
pub struct Decoded {
    /// n × C·H·W, channel by channel within an example.
    pub pixels: Bytes,
    /// n classes.
    pub labels: Vec<u16>,
}

/// Opens a published file; one whose name ends in `.gz` is decompressed on the way.
pub fn open(file: &DataFile, files: &Files) -> Result<Box<dyn Read>, DataError> {
    let published = fsx::open(files.path(&file.name)?)?;
    Ok(if is_compressed(file) { Box::new(GzDecoder::new(published)) } else { Box::new(published) })
}

/// Says in which file something could not be read.
pub fn unreadable(file: &DataFile) -> impl Fn(std::io::Error) -> DataError {
    let (name, is_compressed) = (file.name.clone(), is_compressed(file));
    move |source| match (name.clone(), is_compressed) {
        (name, true) => DataError::Gzip { name, source },
        (name, false) => DataError::Read { name, source },
    }
}

fn is_compressed(file: &DataFile) -> bool {
    Path::new(&file.name).extension().is_some_and(|extension| extension == "gz")
}

impl Format {
    /// What this program writes itself.
    pub const PIXELS: &'static Self = &Self { name: "pixels", read: pixels::read };
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for &'static Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = FORMATS.iter().copied().find(|format| format.name == name);
        found.ok_or_else(|| de::Error::custom(format!("there is no format '{name}'")))
    }
}
