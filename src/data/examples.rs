//! Labelled examples in memory: bytes as published, standardised on the way out.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::files::{Files, NoSuchFile};
use crate::base::fsx::{self, FileError};
use crate::data::augment::Augment;
use crate::data::bytes::Bytes;
use crate::data::catalogue::{DataFile, Dataset, Role, Sample};
use crate::data::format::Decoded;

/// The file of a DATASET artifact that says what the others are: a [`Dataset`].
pub const DESCRIPTION: &str = "dataset.json";

/// Which examples.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Those that the network is trained on.
    Train,
    /// Those that it never sees.
    Test,
}

impl Split {
    /// The word in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl Sample {
    /// How many examples of a split; `None` for all.
    pub fn of(&self, split: Split) -> Option<usize> {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }
}

/// Why examples could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The artifact lacks a file.
    #[error(transparent)]
    Missing(#[from] NoSuchFile),
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// The description is not one.
    #[error("'{DESCRIPTION}' does not describe a dataset: {0}")]
    Description(#[from] serde_json::Error),
    /// The description does not name a file of this role.
    #[error("the dataset '{dataset}' has no file for {role:?}")]
    Role {
        /// Which dataset.
        dataset: String,
        /// What it lacks.
        role: Role,
    },
    /// Truncated or damaged compression.
    #[error("'{name}' is not a whole gzip file: {source}")]
    Gzip {
        /// Which file.
        name: String,
        /// What the decoder said.
        source: std::io::Error,
    },
    /// The disk, on the way through a file.
    #[error("cannot read '{name}': {source}")]
    Read {
        /// Which file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not the encoding that was expected.
    #[error("'{name}' is not {format} as expected: {source}")]
    Encoding {
        /// Which file.
        name: String,
        /// What it should be, with its article.
        format: &'static str,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Images and labels do not belong together.
    #[error("there are {images} {} images but {labels} labels", split.as_str())]
    Count {
        /// Of which split.
        split: Split,
        /// How many images.
        images: usize,
        /// How many labels.
        labels: usize,
    },
    /// More examples are asked for than there are.
    #[error("the sample is of {wanted} {} images, and there are {count}", split.as_str())]
    Sample {
        /// Of which split.
        split: Split,
        /// How many are asked for.
        wanted: usize,
        /// How many there are.
        count: usize,
    },
}

impl DataError {
    /// A file that a decoder does not understand.
    pub fn encoding(
        file: &DataFile,
        format: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Encoding { name: file.name.clone(), format, source: Box::new(source) }
    }
}

/// Labelled examples.
pub struct Examples {
    /// Name of the dataset that they are of.
    pub dataset: String,
    /// Channels, height, width of one example.
    pub shape: [usize; 3],
    /// Labels are below this.
    pub classes: usize,
    /// n classes.
    pub labels: Vec<u16>,
    /// n × C·H·W, channel by channel within an example.
    pixels: Bytes,
    /// Per channel: byte → standardised value.
    standard: Vec<[f32; 256]>,
    /// Per channel: mean and standard deviation of the published pixels, of which 255 is 1.
    moments: Vec<[f64; 2]>,
}

impl Examples {
    /// Joins pixels (n × C·H·W) and labels (n), to be standardised as the dataset says.
    ///
    /// # Panics
    /// If there are not C·H·W pixels for each label.
    pub fn new(dataset: &Dataset, pixels: Bytes, labels: Vec<u16>) -> Self {
        let (shape, classes) = (dataset.shape, dataset.classes);
        assert_eq!(pixels.len(), labels.len() * shape.iter().product::<usize>(), "pixels per label");
        let moments: Vec<_> =
            dataset.mean.iter().zip(&dataset.std).map(|(mean, std)| [*mean, *std]).collect();
        let standard = moments.iter().map(|moments| table(*moments)).collect();
        Self { dataset: dataset.name.clone(), shape, classes, pixels, labels, standard, moments }
    }

    /// Says whether all that was asked for could be read: whoever made a result of these examples asks before it is used.
    pub fn check(&self) -> Result<(), DataError> {
        let name = format!("the pixels of {}", self.dataset);
        self.pixels.check().map_err(|source| DataError::Read { name, source })
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Numbers per example: C·H·W.
    pub fn features(&self) -> usize {
        self.shape.iter().product()
    }

    /// Writes the standardised rows of these examples, (byte / 255 − mean) / std, into `out` (indices × C·H·W).
    pub fn fill(&self, indices: &[u32], out: &mut [f32]) {
        assert_eq!(out.len(), indices.len() * self.features(), "one row per index");
        for (index, row) in indices.iter().zip(out.chunks_exact_mut(self.features())) {
            self.row(*index as usize, row);
        }
    }

    /// Writes the standardised rows of consecutive examples into `out` (range × C·H·W).
    pub fn rows(&self, range: Range<usize>, out: &mut [f32]) {
        assert_eq!(out.len(), range.len() * self.features(), "one row per example");
        for (index, row) in range.zip(out.chunks_exact_mut(self.features())) {
            self.row(index, row);
        }
    }

    /// Writes the pixels of consecutive examples as numbers from 0 to 255.
    pub fn images(&self, range: Range<usize>, out: &mut [f32]) {
        self.pixels.with(range.start * self.features()..range.end * self.features(), |pixels| {
            out.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = f32::from(*pixel));
        });
    }

    /// Standardises images whose pixels may lie between two bytes: n × C·H·W, in [0, 255]. Of bytes, the result is that of
    /// [`Examples::rows`] to the bit.
    pub fn standardise(&self, images: &[f32], out: &mut [f32]) {
        let plane = self.shape[1] * self.shape[2];
        let planes = images.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
        for ((pixels, out), moments) in planes.zip(self.moments.iter().cycle()) {
            for (value, pixel) in out.iter_mut().zip(pixels) {
                *value = standard(f64::from(*pixel), *moments);
            }
        }
    }

    /// Writes the rows of these examples as [`Examples::fill`] does, of images varied as they are in an epoch of a training.
    pub fn fill_varied(&self, augment: Augment, [seed, epoch]: [u64; 2], indices: &[u32], out: &mut [f32]) {
        assert_eq!(out.len(), indices.len() * self.features(), "one row per index");
        for (index, row) in indices.iter().zip(out.chunks_exact_mut(self.features())) {
            let view = augment.view(seed, epoch, *index, [self.shape[1], self.shape[2]]);
            self.planes(*index as usize, row, |pixels, table, out| {
                view.plane(pixels, self.shape[2], table, out);
            });
        }
    }

    fn row(&self, index: usize, out: &mut [f32]) {
        self.planes(index, out, |pixels, table, out| {
            for (value, pixel) in out.iter_mut().zip(pixels) {
                *value = table[usize::from(*pixel)];
            }
        });
    }

    /// Goes through the channels of an example: bytes, what they become, and where in its row.
    fn planes(&self, index: usize, row: &mut [f32], write: impl Fn(&[u8], &[f32; 256], &mut [f32])) {
        let (plane, features) = (self.shape[1] * self.shape[2], self.features());
        self.pixels.with(index * features..(index + 1) * features, |pixels| {
            let planes = pixels.chunks_exact(plane).zip(row.chunks_exact_mut(plane));
            planes.zip(&self.standard).for_each(|((pixels, out), table)| write(pixels, table, out));
        });
    }
}

fn table(moments: [f64; 2]) -> [f32; 256] {
    std::array::from_fn(|byte| standard(byte as f64, moments))
}

/// Computed in f64, so that the one rounding to f32 is the last step.
fn standard(pixel: f64, [mean, std]: [f64; 2]) -> f32 {
    ((pixel / 255.0 - mean) / std) as f32
}

/// Reads a DATASET artifact: the published files, and [`DESCRIPTION`].
pub fn load(files: &Files, split: Split) -> Result<Examples, DataError> {
    let dataset: Dataset = serde_json::from_slice(&fsx::read(files.path(DESCRIPTION)?)?)?;
    let Decoded { mut pixels, mut labels } = (dataset.format.read)(&dataset, files, split)?;
    let features = dataset.shape.iter().product::<usize>();
    let count = pixels.len() / features;
    if count != labels.len() {
        return Err(DataError::Count { split, images: count, labels: labels.len() });
    }
    if let Some(wanted) = dataset.sample.and_then(|sample| sample.of(split)) {
        if wanted > count {
            return Err(DataError::Sample { split, wanted, count });
        }
        pixels.truncate(wanted * features);
        labels.truncate(wanted);
    }
    Ok(Examples::new(&dataset, pixels, labels))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::data::catalogue;

    /// The tracked files of MNIST, with the description that `download` would write beside them.
    fn mnist(scratch: &Path) -> Files {
        let dataset = catalogue::find("mnist").unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/mnist");
        let mut files: std::collections::BTreeMap<_, _> =
            dataset.files.iter().map(|file| (file.name.clone(), folder.join(&file.name))).collect();
        let description = scratch.join(DESCRIPTION);
        fsx::write_atomic(&description, &serde_json::to_vec(dataset).unwrap()).unwrap();
        files.insert(DESCRIPTION.to_owned(), description);
        Files(files)
    }

    fn gzip(path: &Path, bytes: &[u8]) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        fsx::write_atomic(path, &encoder.finish().unwrap()).unwrap();
    }

    /// Sums of integers, so the only roundings are the last ones.
    #[test]
    fn mean_and_std_are_those_of_the_training_pixels() {
        let scratch = tempfile::tempdir().unwrap();
        let train = load(&mnist(scratch.path()), Split::Train).unwrap();
        assert_eq!((train.len(), train.features(), train.classes), (60_000, 784, 10));
        let n = train.pixels.len();
        let sums = |(sum, squares): (i128, i128), pixel: &u8| {
            (sum + i128::from(*pixel), squares + i128::from(*pixel).pow(2))
        };
        let (sum, squares) = train.pixels.with(0..n, |pixels| pixels.iter().fold((0, 0), sums));
        let n = n as i128;
        let mean = sum as f64 / (n * 255) as f64;
        let std = ((n * squares - sum * sum) as f64).sqrt() / (n * 255) as f64;
        let mnist = catalogue::find("mnist").unwrap();
        assert_eq!(mnist.mean, [mean]);
        assert!((mnist.std[0] / std - 1.0).abs() < 4.0 * f64::EPSILON, "{std}");
    }

    /// The first labels and the class counts are published facts.
    #[test]
    fn the_test_split_is_the_published_one() {
        let scratch = tempfile::tempdir().unwrap();
        let test = load(&mnist(scratch.path()), Split::Test).unwrap();
        assert_eq!(test.labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
        let mut counts = [0; 10];
        test.labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
        assert_eq!(counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    }

    #[test]
    fn rows_are_standardised_per_channel() {
        let mut dataset = catalogue::find("mnist").unwrap().clone();
        (dataset.shape, dataset.mean, dataset.std) = ([2, 1, 2], vec![0.0, 0.5], vec![1.0, 0.25]);
        let examples = Examples::new(&dataset, Bytes::Held(vec![0, 255, 0, 255, 51, 0, 255, 0]), vec![3, 1]);
        let mut rows = [9.0; 8];
        examples.fill(&[1, 0], &mut rows);
        assert_eq!(rows, [0.2, 0.0, 2.0, -2.0, 0.0, 1.0, -2.0, 2.0]);
        let mut row = [9.0; 4];
        examples.rows(0..1, &mut row);
        assert_eq!(row, rows[4..]);
        examples.standardise(&[51.0, 0.0, 255.0, 0.0, 0.0, 255.0, 0.0, 255.0], &mut rows);
        assert_eq!(rows, [0.2, 0.0, 2.0, -2.0, 0.0, 1.0, -2.0, 2.0]);
        examples.standardise(&[25.5, 0.0, 127.5, 0.0], &mut row);
        assert_eq!(row, [0.1, 0.0, 0.0, -2.0]);
    }

    #[test]
    fn varied_rows_are_shifted_or_mirrored_and_have_a_black_border() {
        let mut dataset = catalogue::find("mnist").unwrap().clone();
        (dataset.shape, dataset.mean, dataset.std) = ([2, 1, 2], vec![0.0, 0.5], vec![1.0, 0.25]);
        let examples = Examples::new(&dataset, Bytes::Held(vec![51, 255, 255, 51]), vec![3]);
        // Standardised, black is 0 in the first channel and -2 in the second: the channels are varied alike.
        let all = [
            [0.2, 1.0, 2.0, -1.2],
            [1.0, 0.2, -1.2, 2.0],
            [0.0, 0.2, -2.0, 2.0],
            [0.2, 0.0, 2.0, -2.0],
            [1.0, 0.0, -1.2, -2.0],
            [0.0, 1.0, -2.0, -1.2],
            [0.0, 0.0, -2.0, -2.0],
        ];
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            let mut row = [9.0; 4];
            examples.fill_varied(
                Augment { pad: 1, flip: true, resized_crop: None },
                [0, epoch],
                &[0],
                &mut row,
            );
            let place = all.iter().position(|view| *view == row);
            seen.insert(place.unwrap_or_else(|| panic!("{row:?} is no view of the image")));
        }
        assert_eq!(seen.len(), all.len());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let mut files = mnist(scratch.path());
        let name = "t10k-images-idx3-ubyte.gz";
        let whole = fsx::read(files.path(name).unwrap()).unwrap();
        let damaged = scratch.path().join("damaged");
        files.0.insert(name.to_owned(), damaged.clone());
        let message = |files: &Files| load(files, Split::Test).err().unwrap().to_string();

        fsx::write_atomic(&damaged, &whole[..whole.len() / 2]).unwrap();
        assert!(message(&files).starts_with(&format!("'{name}' is not a whole gzip file")));
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fsx::write_atomic(&damaged, &flipped).unwrap();
        assert!(message(&files).starts_with(&format!("'{name}' is not")));

        gzip(&damaged, &[&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], &[0; 784]].concat());
        assert_eq!(message(&files), "there are 1 test images but 10000 labels");
        files.0.remove(name);
        assert!(message(&files).starts_with(&format!("there is no file '{name}' among dataset.json,")));
    }
}
