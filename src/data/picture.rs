//! Pictures (JPEG, PNG) as examples of one size, as is usual for `ImageNet`: scaled by the shorter side, then the middle.

use image::imageops::{self, FilterType};
use image::{ImageError, ImageReader, Limits};

/// How pictures of any size become examples of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framing {
    /// The shorter side is scaled to so many pixels.
    pub resize: u32,
    /// Height and width of the middle that is taken.
    pub crop: u32,
}

impl Framing {
    /// Decodes a picture: 3 × crop × crop bytes (red, green, blue), channel by channel.
    ///
    /// Scaled with a triangle as wide as the scale asks for: what torchvision calls bilinear with antialiasing. Grey and transparent
    /// pictures are read as colours.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
        let mut reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format()?;
        // More than any photograph: a file that announces more is broken, or a trap.
        let mut limits = Limits::default();
        limits.max_alloc = Some(1 << 30);
        reader.limits(limits);
        let picture = reader.decode()?.into_rgb8();
        let (width, height) = picture.dimensions();
        let [width, height] = self.scaled([width, height]);
        let picture = imageops::resize(&picture, width, height, FilterType::Triangle);
        // Python rounds halves to even numbers.
        let half = |rest: u32| rest / 2 + (rest % 2) * (rest / 2 % 2);
        let [left, top] = [width, height].map(|side| half(side - self.crop));
        let middle = imageops::crop_imm(&picture, left, top, self.crop, self.crop).to_image();
        let pixels = middle.as_raw();
        Ok((0..3).flat_map(|channel| pixels[channel..].iter().step_by(3).copied()).collect())
    }

    /// Width and height of the whole picture, scaled: the longer side is rounded down, as in torchvision.
    fn scaled(self, [width, height]: [u32; 2]) -> [u32; 2] {
        let shorter = u64::from(width.min(height).max(1));
        [width, height].map(|side| {
            let scaled = u64::from(side) * u64::from(self.resize) / shorter;
            u32::try_from(scaled).unwrap_or(u32::MAX).max(self.resize)
        })
    }
}

/// Sums over all pixels of a channel, exact: of bytes, and of their squares.
#[derive(Default)]
pub struct Sums {
    count: u64,
    totals: [u64; 3],
    squares: [u64; 3],
}

impl Sums {
    /// Adds the pixels of an example, channel by channel.
    pub fn add(&mut self, pixels: &[u8]) {
        let plane = pixels.len() / 3;
        self.count += plane as u64;
        for (channel, pixels) in pixels.chunks_exact(plane).enumerate() {
            self.totals[channel] += pixels.iter().map(|pixel| u64::from(*pixel)).sum::<u64>();
            self.squares[channel] += pixels.iter().map(|pixel| u64::from(*pixel).pow(2)).sum::<u64>();
        }
    }

    /// Mean and population standard deviation of the pixels / 255.
    pub fn moments(&self) -> ([f64; 3], [f64; 3]) {
        let count = self.count as f64;
        let mean = self.totals.map(|sum| sum as f64 / count / 255.0);
        let of = |channel: usize| {
            let [squares, sum] = [self.squares[channel], self.totals[channel]].map(u128::from);
            let scaled = u128::from(self.count) * squares - sum * sum;
            // Where all pixels are equal there is nothing to divide by.
            if scaled > 0 { (scaled as f64).sqrt() / count / 255.0 } else { 1.0 }
        };
        (mean, [of(0), of(1), of(2)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of so many pixels, each a function of its place and channel.
    fn png([width, height]: [u32; 2], value: impl Fn(u32, u32, u32) -> u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        let pixel = |place: u32| (0..3).map(move |channel| (place % width, place / width, channel));
        let pixels: Vec<u8> =
            (0..width * height).flat_map(pixel).map(|(x, y, channel)| value(x, y, channel)).collect();
        writer.write_image_data(&pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn the_middle_is_taken_channel_by_channel() {
        let bytes = png([8, 6], |x, y, channel| (100 * channel + 10 * y + x) as u8);
        let framed = Framing { resize: 6, crop: 4 }.read(&bytes).unwrap();
        let expected: Vec<u8> = (0..3)
            .flat_map(|channel| {
                (1..5).flat_map(move |y| (2..6).map(move |x| (100 * channel + 10 * y + x) as u8))
            })
            .collect();
        assert_eq!(framed, expected);
    }

    /// Pillow 13: `Image.fromarray(…).resize((4, 3), Image.BILINEAR)`, the first three columns.
    #[test]
    fn scaling_is_that_of_pillow() {
        let bytes = png([12, 9], |x, y, _| (x * x + 7 * y) as u8);
        let scaled = Framing { resize: 3, crop: 3 }.read(&bytes).unwrap();
        let pillow = [12_u8, 26, 59, 31, 45, 78, 50, 64, 97];
        let far = scaled.iter().zip(pillow).map(|(a, b)| a.abs_diff(b)).max();
        assert!(far <= Some(1), "{scaled:?}");
    }

    #[test]
    fn longer_sides_are_rounded_down() {
        let scaled = |size| Framing { resize: 256, crop: 224 }.scaled(size);
        assert_eq!(scaled([500, 375]), [341, 256]);
        assert_eq!(scaled([375, 500]), [256, 341]);
        assert_eq!(scaled([10, 10]), [256, 256]);
    }

    #[test]
    fn what_is_no_picture_is_told() {
        let read = |bytes: &[u8]| Framing { resize: 4, crop: 4 }.read(bytes).is_err();
        assert!(read(b"") && read(b"text") && read(&png([3, 3], |_, _, _| 0)[..40]));
    }
}
