//! Examples as rows of a picture, turned back into the records of a CIFAR file: a label, then the pixels channel by channel.

use std::io::{self, Cursor, Read};

use png::{BitDepth, ColorType, Decoder, Reader};

/// The records of a sheet, one after the other, as a file has them.
pub(super) struct Records {
    sheet: Reader<Cursor<Vec<u8>>>,
    labels: std::vec::IntoIter<u8>,
    channels: usize,
    record: Vec<u8>,
    /// How much of the record was read.
    taken: usize,
}

impl Records {
    /// Opens a PNG picture whose rows are the examples with these labels.
    pub(super) fn open(mut picture: impl Read, labels: Vec<u8>) -> io::Result<Self> {
        let mut bytes = Vec::new();
        picture.read_to_end(&mut bytes)?;
        let sheet = Decoder::new(Cursor::new(bytes)).read_info()?;
        let info = sheet.info();
        let channels = match (info.color_type, info.bit_depth) {
            (ColorType::Rgb, BitDepth::Eight) => 3,
            (ColorType::Grayscale, BitDepth::Eight) => 1,
            (colour, depth) => return Err(io::Error::other(format!("its pixels are {colour:?} {depth:?}"))),
        };
        if info.height as usize != labels.len() {
            let told = format!("it has {} rows for {} labels", info.height, labels.len());
            return Err(io::Error::other(told));
        }
        Ok(Self { sheet, labels: labels.into_iter(), channels, record: Vec::new(), taken: 0 })
    }

    /// Makes the next record; `false` after the last.
    fn advance(&mut self) -> io::Result<bool> {
        let (Some(row), Some(label)) = (self.sheet.next_row()?, self.labels.next()) else { return Ok(false) };
        self.taken = 0;
        self.record.clear();
        self.record.push(label);
        let pixels = row.data();
        for channel in 0..self.channels {
            self.record.extend(pixels.iter().skip(channel).step_by(self.channels));
        }
        Ok(true)
    }
}

impl Read for Records {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.record.len() && !self.advance()? {
            return Ok(0);
        }
        let count = (&self.record[self.taken..]).read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, rows: &[u8], colour: ColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let per_row = width as usize * colour.samples();
        let mut encoder = png::Encoder::new(&mut bytes, width, (rows.len() / per_row) as u32);
        encoder.set_color(colour);
        encoder.set_depth(BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(rows).unwrap();
        bytes
    }

    #[test]
    fn a_row_becomes_a_record() {
        let sheet = picture(2, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], ColorType::Rgb);
        let mut records = Vec::new();
        Records::open(&sheet[..], vec![9, 0]).unwrap().read_to_end(&mut records).unwrap();
        assert_eq!(records, [9, 1, 4, 2, 5, 3, 6, 0, 7, 10, 8, 11, 9, 12]);
        let grey = picture(2, &[1, 2, 3, 4], ColorType::Grayscale);
        let mut records = Vec::new();
        Records::open(&grey[..], vec![5, 6]).unwrap().read_to_end(&mut records).unwrap();
        assert_eq!(records, [5, 1, 2, 6, 3, 4]);
    }

    #[test]
    fn what_is_no_sheet_says_so() {
        let sheet = picture(2, &[0; 12], ColorType::Rgb);
        let wrong = |bytes: &[u8], labels: usize| match Records::open(bytes, vec![0; labels]) {
            Err(error) => error.to_string(),
            Ok(mut records) => records.read_to_end(&mut Vec::new()).unwrap_err().to_string(),
        };
        assert_eq!(wrong(&sheet, 3), "it has 2 rows for 3 labels");
        assert_eq!(
            wrong(&picture(1, &[0; 2], ColorType::GrayscaleAlpha)[..], 1),
            "its pixels are GrayscaleAlpha Eight"
        );
        for cut in [0, 10, sheet.len() / 2] {
            assert!(!wrong(&sheet[..cut], 2).is_empty());
        }
    }
}
