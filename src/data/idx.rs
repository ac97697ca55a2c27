//! The IDX format of MNIST and its kin, as <http://yann.lecun.com/exdb/mnist> describes it.
//!
//! Two zero bytes, the element type (8: unsigned byte), the number of dimensions, each dimension as a big-endian u32, then
//! the elements, the last dimension fastest.

use std::io::Read;

use crate::base::files::Files;
use crate::data::bytes::Bytes;
use crate::data::catalogue::{Dataset, Role};
use crate::data::examples::{DataError, Split};
use crate::data::format::{Decoded, open, unreadable};

const UNSIGNED_BYTE: u8 = 8;

/// Why bytes are not the IDX file that was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdxError {
    /// Another file altogether.
    #[error("it begins with {found:02x?}, not with {expected:02x?}: no IDX file of {} dimensions of bytes", expected[3])]
    Magic {
        /// The first bytes, four at most.
        found: Vec<u8>,
        /// What they should be.
        expected: [u8; 4],
    },
    /// Images of another size.
    #[error("its images are {found:?}, not {expected:?} (height, width)")]
    Dimensions {
        /// Height and width that the header gives.
        found: [usize; 2],
        /// Height and width of the dataset.
        expected: [usize; 2],
    },
    /// Too short, or something follows the last element.
    #[error("it has {found} bytes; its header announces {expected}")]
    Length {
        /// How many bytes there are.
        found: usize,
        /// How many the header announces, itself included.
        expected: u128,
    },
    /// A class that does not exist.
    #[error("label {index} is {found}, not below {classes}")]
    Label {
        /// Which label.
        index: usize,
        /// Its value.
        found: u8,
        /// How many classes there are.
        classes: usize,
    },
}

/// Reads the examples of a split: images and labels are files of their own.
pub fn read(dataset: &Dataset, files: &Files, split: Split) -> Result<Decoded, DataError> {
    let (for_images, for_labels) = match split {
        Split::Train => (Role::TrainImages, Role::TrainLabels),
        Split::Test => (Role::TestImages, Role::TestLabels),
    };
    let [_, height, width] = dataset.shape;
    let pixels = of_role(dataset, files, for_images, |bytes| images(bytes, [height, width]))?;
    let labels = of_role(dataset, files, for_labels, |bytes| labels(bytes, dataset.classes))?;
    Ok(Decoded { pixels: Bytes::Held(pixels), labels })
}

fn of_role<T>(
    dataset: &Dataset,
    files: &Files,
    role: Role,
    decode: impl Fn(Vec<u8>) -> Result<Vec<T>, IdxError>,
) -> Result<Vec<T>, DataError> {
    let none = || DataError::Role { dataset: dataset.name.clone(), role };
    let file = dataset.files(role).next().ok_or_else(none)?;
    let mut bytes = Vec::new();
    open(file, files)?.read_to_end(&mut bytes).map_err(unreadable(file))?;
    decode(bytes).map_err(|error| DataError::encoding(file, "an IDX file", error))
}

/// Reads images of `height` × `width` bytes: returns their pixels one after the other.
pub fn images(bytes: Vec<u8>, [height, width]: [usize; 2]) -> Result<Vec<u8>, IdxError> {
    let ([_, rows, columns], pixels) = elements(bytes)?;
    if [rows, columns] != [height, width] {
        return Err(IdxError::Dimensions { found: [rows, columns], expected: [height, width] });
    }
    Ok(pixels)
}

/// Reads labels, each below `classes`.
pub fn labels(bytes: Vec<u8>, classes: usize) -> Result<Vec<u16>, IdxError> {
    let ([_], labels) = elements(bytes)?;
    match labels.iter().position(|label| usize::from(*label) >= classes) {
        Some(index) => Err(IdxError::Label { index, found: labels[index], classes }),
        None => Ok(labels.into_iter().map(u16::from).collect()),
    }
}

/// Returns the dimensions and the elements, after checking that there are as many as the header announces.
fn elements<const D: usize>(mut bytes: Vec<u8>) -> Result<([usize; D], Vec<u8>), IdxError> {
    let magic = [0, 0, UNSIGNED_BYTE, D as u8];
    if !bytes.starts_with(&magic) {
        bytes.truncate(magic.len());
        return Err(IdxError::Magic { found: bytes, expected: magic });
    }
    let header = magic.len() + 4 * D;
    if bytes.len() < header {
        return Err(IdxError::Length { found: bytes.len(), expected: header as u128 });
    }
    let mut dimensions = [0; D];
    for (dimension, field) in dimensions.iter_mut().zip(bytes[magic.len()..header].chunks_exact(4)) {
        *dimension = field.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
    }
    let expected = header as u128 + dimensions.iter().map(|d| *d as u128).product::<u128>();
    if bytes.len() as u128 != expected {
        return Err(IdxError::Length { found: bytes.len(), expected });
    }
    bytes.drain(..header);
    Ok((dimensions, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of 2 × 3.
    fn two() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(1..=12);
        bytes
    }

    #[test]
    fn reads_images_and_labels() {
        assert_eq!(images(two(), [2, 3]), Ok((1..=12).collect()));
        assert_eq!(labels(vec![0, 0, 8, 1, 0, 0, 0, 2, 9, 0], 10), Ok(vec![9, 0]));
    }

    #[test]
    fn says_what_is_wrong() {
        let short = two()[..27].to_vec();
        assert_eq!(images(short, [2, 3]), Err(IdxError::Length { found: 27, expected: 28 }));
        let mut long = two();
        long.push(0);
        assert_eq!(images(long, [2, 3]), Err(IdxError::Length { found: 29, expected: 28 }));
        assert_eq!(images(two()[..9].to_vec(), [2, 3]), Err(IdxError::Length { found: 9, expected: 16 }));
        assert_eq!(images(two(), [3, 2]), Err(IdxError::Dimensions { found: [2, 3], expected: [3, 2] }));
        assert_eq!(
            labels(two(), 10),
            Err(IdxError::Magic { found: vec![0, 0, 8, 3], expected: [0, 0, 8, 1] })
        );
        assert_eq!(labels(vec![31], 10), Err(IdxError::Magic { found: vec![31], expected: [0, 0, 8, 1] }));
        let wrong = labels(vec![0, 0, 8, 1, 0, 0, 0, 2, 9, 10], 10).unwrap_err();
        assert_eq!(wrong.to_string(), "label 1 is 10, not below 10");
    }

    #[test]
    fn an_absurd_header_does_not_overflow() {
        let bytes = [&[0, 0, 8, 3][..], &[0xff; 12]].concat();
        assert!(matches!(images(bytes, [2, 3]), Err(IdxError::Length { found: 16, .. })));
    }
}
