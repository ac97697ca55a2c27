//! Images as plain bytes, and their classes: what `images` makes of a folder of pictures.
//!
//! A file of pixels is n × C·H·W bytes, channel by channel within an example; one of labels is n numbers of 16 bits, little-endian.

use std::io::Read;

use crate::base::files::Files;
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

/// Reads the examples of a split.
pub fn read(dataset: &Dataset, files: &Files, split: Split) -> Result<Decoded, DataError> {
    let (for_images, for_labels) = match split {
        Split::Train => (Role::TrainImages, Role::TrainLabels),
        Split::Test => (Role::TestImages, Role::TestLabels),
    };
    let piece = dataset.shape.iter().product();
    let pixels = whole(dataset, files, for_images, piece)?.1;
    let (file, bytes) = whole(dataset, files, for_labels, size_of::<u16>())?;
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

/// The bytes of a file, after checking that they are whole pieces.
fn whole<'d>(
    dataset: &'d Dataset,
    files: &Files,
    role: Role,
    piece: usize,
) -> Result<(&'d DataFile, Vec<u8>), DataError> {
    let none = || DataError::Role { dataset: dataset.name.clone(), role };
    let file = dataset.files(role).next().ok_or_else(none)?;
    let mut bytes = Vec::with_capacity(file.size as usize);
    open(file, files)?.read_to_end(&mut bytes).map_err(unreadable(file))?;
    if bytes.len().is_multiple_of(piece) {
        return Ok((file, bytes));
    }
    let error = PixelsError::Length { found: bytes.len(), piece };
    Err(DataError::encoding(file, "a file of plain bytes", error))
}
