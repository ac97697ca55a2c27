//! What torchvision calls `RandomResizedCrop`: a random part of an image, scaled to the image's size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::rng::Stream;

/// Which parts are taken. The defaults are torchvision's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResizedCrop {
    /// Least and largest share of the image's area.
    pub scale: [f64; 2],
    /// Least and largest width : height.
    pub ratio: [f64; 2],
}

impl Default for ResizedCrop {
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

/// A part of an image, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// Row and column at which it begins.
    corner: [usize; 2],
    /// Height and width.
    size: [usize; 2],
}

impl ResizedCrop {
    /// Says what is wrong with the parameters: which, why, and what to do.
    pub fn check(&self) -> Result<(), [&'static str; 3]> {
        let is_range = |[least, largest]: [f64; 2]| 0.0 < least && least <= largest && largest.is_finite();
        if !is_range(self.scale) || self.scale[1] > 1.0 {
            return Err([
                "resized_crop.scale",
                "it is no range of shares",
                "give two numbers in (0, 1], the lesser one first",
            ]);
        }
        if !is_range(self.ratio) {
            return Err([
                "resized_crop.ratio",
                "it is no range of proportions",
                "give two numbers above 0, the lesser one first",
            ]);
        }
        Ok(())
    }

    /// Draws a part of an image of this size: area and the logarithm of width : height are uniform; the tenth part that does not fit is
    /// given up for the middle.
    pub(super) fn draw(&self, size: [usize; 2], numbers: &mut Stream) -> Part {
        let [height, width] = size;
        for _ in 0..10 {
            let area = (height * width) as f64 * numbers.uniform(self.scale[0], self.scale[1]);
            let [least, largest] = self.ratio.map(libm::log);
            let ratio = libm::exp(numbers.uniform(least, largest));
            let size = [area / ratio, area * ratio].map(|square| libm::rint(libm::sqrt(square)) as usize);
            if (1..=height).contains(&size[0]) && (1..=width).contains(&size[1]) {
                let corner = [height - size[0], width - size[1]];
                return Part { corner: corner.map(|last| numbers.below(last as u64 + 1) as usize), size };
            }
        }
        self.middle(size)
    }

    /// The largest part in the middle whose proportions are allowed.
    fn middle(&self, [height, width]: [usize; 2]) -> Part {
        let rounded = |length: f64| (libm::rint(length) as usize).max(1);
        let (high, wide) = (height as f64, width as f64);
        let [least, largest] = self.ratio;
        let size = if wide / high < least {
            [rounded(wide / least).min(height), width]
        } else if wide / high > largest {
            [height, rounded(high * largest).min(width)]
        } else {
            [height, width]
        };
        Part { corner: [(height - size[0]) / 2, (width - size[1]) / 2], size }
    }
}

impl Part {
    /// Writes a plane of the image's size, interpolated between the four nearest pixels of this part of it.
    pub(super) fn plane(&self, pixels: &[u8], width: usize, table: &[f32; 256], out: &mut [f32]) {
        let columns: Vec<Between> = (0..width).map(|x| Between::new(x, width, self.size[1])).collect();
        let height = out.len() / width;
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let row = Between::new(y, height, self.size[0]);
            let [above, below] = row.pixels.map(|y| &pixels[(self.corner[0] + y) * width + self.corner[1]..]);
            for (out, column) in out.iter_mut().zip(&columns) {
                let at = |row: &[u8]| column.mix(column.pixels.map(|x| table[usize::from(row[x])]));
                *out = row.mix([at(above), at(below)]);
            }
        }
    }
}

/// Where a pixel of the result lies: between the centres of two, the second one having this weight.
struct Between {
    pixels: [usize; 2],
    second: f32,
}

impl Between {
    /// Of pixel `index` of `to`, which `from` pixels are scaled to.
    fn new(index: usize, to: usize, from: usize) -> Self {
        let place = ((index as f32 + 0.5) * (from as f32 / to as f32) - 0.5).clamp(0.0, from as f32 - 1.0);
        let first = place as usize;
        Self { pixels: [first, (first + 1).min(from - 1)], second: place - first as f32 }
    }

    fn mix(&self, [first, second]: [f32; 2]) -> f32 {
        first + self.second * (second - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    #[test]
    fn parts_are_those_of_torchvision() {
        // Means of corner and size over 400,000 draws of torchvision's algorithm, written down in Python with its own generator.
        for (image, means) in
            [([32, 32], [5.151, 5.155, 21.684, 21.682]), ([24, 40], [3.080, 10.684, 17.845, 18.626])]
        {
            let (mut numbers, mut sums) = (rng::stream(0, &["test"]), [0; 4]);
            for _ in 0..40_000 {
                let Part { corner, size } = ResizedCrop::default().draw(image, &mut numbers);
                assert!((0..2).all(|side| corner[side] + size[side] <= image[side] && size[side] > 0));
                let [[top, left], [height, width]] = [corner, size];
                sums.iter_mut().zip([top, left, height, width]).for_each(|(sum, value)| *sum += value);
            }
            for (sum, mean) in sums.into_iter().zip(means) {
                // The standard deviation of a draw is 9 at most, that of the mean .045.
                let ours = sum as f64 / 40_000.0;
                assert!((ours - mean).abs() < 0.15, "{image:?}: {ours} for {mean}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_gives_the_middle() {
        let part = |ratio, image| {
            let crop = ResizedCrop { scale: [1.0, 1.0], ratio };
            let Part { corner, size } = crop.draw(image, &mut rng::stream(0, &["test"]));
            (corner, size)
        };
        assert_eq!(part([1.0, 1.0], [10, 20]), ([0, 5], [10, 10]));
        assert_eq!(part([1.0, 1.0], [21, 10]), ([5, 0], [10, 10]));
        assert_eq!(part([2.0, 2.0], [10, 20]), ([0, 0], [10, 20]));
        assert_eq!(part([4.0, 5.0], [2, 2]), ([0, 0], [1, 2]));
    }

    #[test]
    fn pixels_between_are_those_of_pytorch() {
        let pixels: Vec<u8> = (0..4 * 5).map(|place: u32| (place * place * 7 % 256) as u8).collect();
        let plane = |part: Part| {
            let mut out = [0.0; 20];
            part.plane(&pixels, 5, &std::array::from_fn(|byte| byte as f32), &mut out);
            out
        };
        let whole = plane(Part { corner: [0, 0], size: [4, 5] });
        assert!(whole.iter().zip(&pixels).all(|(seen, pixel)| *seen == f32::from(*pixel)));
        // torch.nn.functional.interpolate(part, [4, 5], mode="bilinear", antialias=True)
        let seen = plane(Part { corner: [1, 1], size: [2, 3] });
        let pytorch = [
            [252.0, 186.0, 87.0, 150.0, 192.0],
            [208.75, 175.35, 125.25, 160.35, 183.75],
            [122.25, 154.05, 201.75, 181.05, 167.25],
            [79.0, 143.4, 240.0, 191.4, 159.0],
        ];
        for (ours, theirs) in seen.iter().zip(pytorch.as_flattened()) {
            assert!((ours - theirs).abs() < 1e-4, "{seen:?}");
        }
        assert_eq!(plane(Part { corner: [3, 4], size: [1, 1] }), [f32::from(pixels[19]); 20]);
    }
}
