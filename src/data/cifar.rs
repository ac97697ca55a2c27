//! The binary versions of CIFAR-10 and CIFAR-100, as <https://www.cs.toronto.edu/~kriz/cifar.html> describes them.
//!
//! A file is records without a header: a byte for the class, then the pixels, channel by channel. In CIFAR-100, another byte goes before
//! that for the class: it says which of twenty groups of classes.

use std::io::Read;

use crate::base::files::Files;
use crate::data::bytes::Bytes;
use crate::data::catalogue::{DataFile, Dataset, Role};
use crate::data::examples::{DataError, Split};
use crate::data::format::{Decoded, open, unreadable};

/// Why bytes are not the CIFAR file that was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CifarError {
    /// Nothing, or the last record is cut.
    #[error("it has {found} bytes, no whole number of records of {record} bytes: it ends within record {}", found / record)]
    Length {
        /// How many bytes there are.
        found: usize,
        /// How many a record has: the label's and the pixels'.
        record: usize,
    },
    /// A class that does not exist.
    #[error("the label of record {index} is {found}, not below {classes}")]
    Label {
        /// Which record; the first is 0.
        index: usize,
        /// Its value.
        found: u8,
        /// How many classes there are.
        classes: usize,
    },
}

/// Reads the examples of a split from the files of its role, in the order in which the dataset names them.
pub fn read(dataset: &Dataset, files: &Files, split: Split) -> Result<Decoded, DataError> {
    read_labels(1, dataset, files, split)
}

/// Likewise, of CIFAR-100.
pub fn read_fine(dataset: &Dataset, files: &Files, split: Split) -> Result<Decoded, DataError> {
    read_labels(2, dataset, files, split)
}

/// Of records that begin with so many labels, of which the last one is the class.
fn read_labels(count: usize, dataset: &Dataset, files: &Files, split: Split) -> Result<Decoded, DataError> {
    let role = match split {
        Split::Train => Role::Train,
        Split::Test => Role::Test,
    };
    let parts: Vec<&DataFile> = dataset.files(role).collect();
    if parts.is_empty() {
        return Err(DataError::Role { dataset: dataset.name.clone(), role });
    }
    let size: u64 = parts.iter().map(|file| file.size).sum();
    let (mut pixels, mut labels) = (Vec::with_capacity(size as usize), Vec::new());
    // One file at a time: the peak is the pixels and one file.
    let mut records = Vec::new();
    for file in parts {
        records.clear();
        open(file, files)?.read_to_end(&mut records).map_err(unreadable(file))?;
        append(&records, count, dataset, &mut pixels, &mut labels)
            .map_err(|error| DataError::encoding(file, "a CIFAR file", error))?;
    }
    Ok(Decoded { pixels: Bytes::Held(pixels), labels })
}

/// Appends the records of a file.
fn append(
    records: &[u8],
    count: usize,
    dataset: &Dataset,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u16>,
) -> Result<(), CifarError> {
    let record = count + dataset.shape.iter().product::<usize>();
    if records.is_empty() || !records.len().is_multiple_of(record) {
        return Err(CifarError::Length { found: records.len(), record });
    }
    for (index, record) in records.chunks_exact(record).enumerate() {
        let label = record[count - 1];
        if usize::from(label) >= dataset.classes {
            return Err(CifarError::Label { index, found: label, classes: dataset.classes });
        }
        labels.push(label.into());
        pixels.extend_from_slice(&record[count..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fsx;
    use crate::data::catalogue;

    /// Three channels of 1 × 2 pixels in ten classes, two training files and a test file, in a folder.
    fn toy(folder: &std::path::Path, contents: [&[u8]; 3]) -> (Dataset, Files) {
        let mut dataset = catalogue::find("cifar10").unwrap().clone();
        dataset.shape = [3, 1, 2];
        dataset.files.drain(2..5);
        let mut files = Files::default();
        for (file, content) in dataset.files.iter().zip(contents) {
            let path = folder.join(&file.name);
            fsx::write_atomic(&path, content).unwrap();
            files.0.insert(file.name.clone(), path);
        }
        (dataset, files)
    }

    const ONE: &[u8] = &[3, 1, 2, 3, 4, 5, 6, 9, 7, 8, 9, 10, 11, 12];
    const TWO: &[u8] = &[0, 13, 14, 15, 16, 17, 18];

    #[test]
    fn files_of_a_role_are_read_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let (dataset, files) = toy(folder.path(), [ONE, TWO, TWO]);
        let holds = |split, pixels: std::ops::RangeInclusive<u8>, labels: &[u16]| {
            let decoded = read(&dataset, &files, split).unwrap();
            assert_eq!(decoded.labels, labels);
            decoded.pixels.with(0..pixels.len(), |bytes| assert!(bytes.iter().copied().eq(pixels)));
        };
        holds(Split::Train, 1..=18, &[3, 9, 0]);
        holds(Split::Test, 13..=18, &[0]);
    }

    #[test]
    fn of_cifar_100_the_second_label_is_the_class() {
        let folder = tempfile::tempdir().unwrap();
        let record = [9, 0, 1, 2, 3, 4, 5, 6];
        let (dataset, files) = toy(folder.path(), [&record, &[0, 4, 1, 1, 1, 1, 1, 1], &record]);
        assert_eq!(read_fine(&dataset, &files, Split::Train).unwrap().labels, [0, 4]);
        let test = read_fine(&dataset, &files, Split::Test).unwrap();
        test.pixels.with(0..6, |bytes| assert_eq!(bytes, [1, 2, 3, 4, 5, 6]));
        let (dataset, files) = toy(folder.path(), [&[0, 10, 1, 1, 1, 1, 1, 1], &record, &record]);
        let error = read_fine(&dataset, &files, Split::Train).unwrap_err().to_string();
        assert!(error.ends_with("the label of record 0 is 10, not below 10"), "{error}");
    }

    #[test]
    fn says_in_which_file_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let message = |second: &[u8]| {
            let (dataset, files) = toy(folder.path(), [ONE, second, TWO]);
            read(&dataset, &files, Split::Train).unwrap_err().to_string()
        };
        let name = "'data_batch_2.bin' is not a CIFAR file as expected: ";
        let cut = "it has 13 bytes, no whole number of records of 7 bytes: it ends within record 1";
        assert_eq!(message(&ONE[..13]), format!("{name}{cut}"));
        let empty = "it has 0 bytes, no whole number of records of 7 bytes: it ends within record 0";
        assert_eq!(message(&[]), format!("{name}{empty}"));
        let wrong = [ONE, &[10, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(message(&wrong), format!("{name}the label of record 2 is 10, not below 10"));
        let (mut dataset, mut files) = toy(folder.path(), [ONE, TWO, TWO]);
        files.0.remove("data_batch_2.bin");
        let missing = read(&dataset, &files, Split::Train).unwrap_err().to_string();
        assert!(missing.starts_with("there is no file 'data_batch_2.bin' among "), "{missing}");
        dataset.files.clear();
        let none = read(&dataset, &files, Split::Train).unwrap_err().to_string();
        assert_eq!(none, "the dataset 'cifar10' has no file for Train");
    }
}
