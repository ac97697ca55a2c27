//! Images as plain bytes, and their classes: what `images` makes of a folder of pictures.
//!
//! A file of pixels is n × C·H·W bytes, channel by channel within an example; one of labels is n numbers of 16 bits, little-endian.

use std::io::Read;

use crate::base::files::Files;
use crate::base::fsx;
use crate::data::bytes::Bytes;
use crate::data::catalogue::{DataFile, Dataset, Role};
use crate::data::examples::{DataError, Split};
use crate::data::format::{Decoded, open, unreadable};

/// Why bytes are not such a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PixelsError {
    /// The last image or label is cut.
    #[error("it has {found} bytes, no whole number of pieces of {piece} bytes")]
    Length {
        /// How many bytes there are.
        found: usize,
        /// How many an image has, or a label.
        piece: usize,
    },
    /// A class that does not exist.
    #[error("label {index} is {found}, not below {classes}")]
    Label {
        /// Which label; the first is 0.
        index: usize,
        /// Its value.
        found: u16,
        /// How many classes there are.
        classes: usize,
    },
}

/// Images of more bytes than this stay on the disk, and are read as they are needed: `ImageNet` has 193 GB.
const HELD: u64 = 1 << 30;

/// Reads the examples of a split.
pub fn read(dataset: &Dataset, files: &Files, split: Split) -> Result<Decoded, DataError> {
    read_holding(HELD, dataset, files, split)
}

/// Likewise, with at most so many bytes of images in memory.
fn read_holding(held: u64, dataset: &Dataset, files: &Files, split: Split) -> Result<Decoded, DataError> {
    let (for_images, for_labels) = match split {
        Split::Train => (Role::TrainImages, Role::TrainLabels),
        Split::Test => (Role::TestImages, Role::TestLabels),
    };
    let file_of = |role| {
        let none = || DataError::Role { dataset: dataset.name.clone(), role };
        dataset.files(role).next().ok_or_else(none)
    };
    let (images, file) = (file_of(for_images)?, file_of(for_labels)?);
    let pixels = if images.size <= held {
        Bytes::Held(whole(images, files)?)
    } else {
        let path = files.path(&images.name)?;
        Bytes::of_file(fsx::open(path)?, fsx::metadata(path)?.len() as usize)
    };
    check_length(images, pixels.len(), dataset.shape.iter().product())?;
    let bytes = whole(file, files)?;
    check_length(file, bytes.len(), size_of::<u16>())?;
    let labels: Vec<u16> =
        bytes.chunks_exact(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]])).collect();
    match labels.iter().position(|label| usize::from(*label) >= dataset.classes) {
        Some(index) => {
            let error = PixelsError::Label { index, found: labels[index], classes: dataset.classes };
            Err(DataError::encoding(file, "a file of labels", error))
        }
        None => Ok(Decoded { pixels, labels }),
    }
}

fn whole(file: &DataFile, files: &Files) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(file.size as usize);
    open(file, files)?.read_to_end(&mut bytes).map_err(unreadable(file))?;
    Ok(bytes)
}

fn check_length(file: &DataFile, found: usize, piece: usize) -> Result<(), DataError> {
    if found.is_multiple_of(piece) {
        return Ok(());
    }
    Err(DataError::encoding(file, "a file of plain bytes", PixelsError::Length { found, piece }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::catalogue;

    #[test]
    fn images_on_the_disk_are_those_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut dataset = catalogue::find("cifar10").unwrap().clone();
        dataset.shape = [3, 1, 2];
        dataset.files.truncate(2);
        let mut files = Files::default();
        let roles = [
            (Role::TestImages, (0..24).collect::<Vec<u8>>()),
            (Role::TestLabels, vec![3, 0, 1, 0, 0, 0, 9, 0]),
        ];
        for (file, (role, bytes)) in dataset.files.iter_mut().zip(roles) {
            (file.role, file.size) = (role, bytes.len() as u64);
            let path = folder.path().join(&file.name);
            fsx::write_atomic(&path, &bytes).unwrap();
            files.0.insert(file.name.clone(), path);
        }
        for held in [0, 23, 24] {
            let Decoded { pixels, labels } = read_holding(held, &dataset, &files, Split::Test).unwrap();
            assert_eq!(matches!(pixels, Bytes::Held(_)), held == 24);
            assert_eq!(labels, [3, 1, 0, 9]);
            pixels.with(6..12, |image| assert_eq!(image, [6, 7, 8, 9, 10, 11]));
        }
        dataset.shape = [3, 1, 5];
        let error = read_holding(0, &dataset, &files, Split::Test).unwrap_err().to_string();
        assert!(error.ends_with("it has 24 bytes, no whole number of pieces of 15 bytes"), "{error}");
    }
}
