//! TensorBoard's event files: records of a length, a checksum of it, an event, and a checksum of that.
//!
//! An event is a message of protocol buffers, of which three kinds of fields are needed here. The checksum is CRC-32C, rotated and
//! shifted by a constant, so that a checksum of a checksum is none. All numbers are little endian.

/// The first record: what the others are.
pub(super) fn header(time: f64) -> Vec<u8> {
    record(&[double(1, time), bytes(3, b"brain.Event:2")].concat())
}

/// A point of a curve.
pub(super) fn scalar(time: f64, step: u64, curve: &str, value: f64) -> Vec<u8> {
    let value = [bytes(1, curve.as_bytes()), float(2, value as f32)].concat();
    record(&[double(1, time), integer(2, step), bytes(5, &bytes(1, &value))].concat())
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    [&length, &masked(&length).to_le_bytes()[..], event, &masked(event).to_le_bytes()].concat()
}

fn double(field: u64, value: f64) -> Vec<u8> {
    [varint((field << 3) | 1), value.to_le_bytes().to_vec()].concat()
}

fn float(field: u64, value: f32) -> Vec<u8> {
    [varint((field << 3) | 5), value.to_le_bytes().to_vec()].concat()
}

fn integer(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint((field << 3) | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Castagnoli's polynomial, bit by bit: there are a few kilobytes of it.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of RFC 3720, B.4, and the usual one.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let counting: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&counting), 0x46dd_794e);
    }

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(127), [127]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }

    /// Field by field, as the schema of TensorFlow's `event.proto` and `summary.proto` has them.
    #[test]
    fn a_point_is_a_message() {
        let record = scalar(1.0, 3, "test/error", 0.5);
        let event = &record[12..record.len() - 4];
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f][..], // wall_time = 1.0
            &[0x10, 3],                                // step = 3
            &[0x2a, 19, 0x0a, 17, 0x0a, 10],           // summary, value, tag
            b"test/error",
            &[0x15, 0, 0, 0, 0x3f], // simple_value = 0.5
        ];
        assert_eq!(event, expected.concat());
        assert_eq!(record[..8], (event.len() as u64).to_le_bytes());
        assert_eq!(record[8..12], masked(&record[..8]).to_le_bytes());
        assert_eq!(record[record.len() - 4..], masked(event).to_le_bytes());
        let header = header(0.0);
        assert!(header.len() == 12 + 9 + 2 + 13 + 4 && header[23..36] == *b"brain.Event:2");
    }
}
