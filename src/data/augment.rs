//! Random variation of training images: what torchvision calls `RandomCrop(size, padding=pad)` and `RandomHorizontalFlip()`.
//!
//! How an image is varied is a function of (seed, epoch, its index), so it depends neither on the batch that it is in, nor on threads,
//! nor on an interruption. As in torchvision, the border is of zeros before standardisation: of black pixels, not of mean ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::rng;

/// How training images are varied, anew in each epoch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Black pixels around an image, of which a random crop of the image's size is taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pad: u8,
    /// Whether every second image, by chance, is mirrored left to right.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flip: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One image's variation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct View {
    /// How wide the border is.
    pad: usize,
    /// Where the crop begins in the image with its border: row and column, at most 2 · pad.
    corner: [usize; 2],
    /// Whether it is mirrored then.
    flip: bool,
}

impl Augment {
    /// Whether images stay as they are.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Draws the variation of an image. All is drawn, whatever is asked for: to flip does not move the crops.
    pub(super) fn view(self, seed: u64, epoch: u64, index: u32) -> View {
        let labels = ["augment", &epoch.to_string(), &index.to_string()];
        let mut numbers = rng::stream(seed, &labels);
        let corner = [(); 2].map(|()| numbers.below(2 * u64::from(self.pad) + 1) as usize);
        View { pad: self.pad.into(), corner, flip: numbers.below(2) == 1 && self.flip }
    }
}

impl View {
    /// Writes a plane of an image, seen so; `table` says which value a byte becomes, also those of the border, which are 0.
    pub(super) fn plane(self, pixels: &[u8], width: usize, table: &[f32; 256], out: &mut [f32]) {
        let Self { pad, corner: [top, left], flip } = self;
        // Columns of the crop that show something of the original, which begins there at column `pad`.
        let shown = pad.saturating_sub(left)..(pad + width).saturating_sub(left).min(width);
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            out.fill(table[0]);
            let row = (y + top).checked_sub(pad).and_then(|y| pixels.get(y * width..(y + 1) * width));
            if let Some(row) = row.filter(|_| !shown.is_empty()) {
                let pixels = &row[shown.start + left - pad..];
                for (out, pixel) in out[shown.clone()].iter_mut().zip(pixels) {
                    *out = table[usize::from(*pixel)];
                }
            }
            if flip {
                out.reverse();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixel by pixel, through an image that really has a border.
    fn by_definition(pixels: &[u8], [height, width]: [usize; 2], view: View) -> Vec<f32> {
        let View { pad, corner: [top, left], flip } = view;
        let wide = width + 2 * pad;
        let mut padded = vec![0; (height + 2 * pad) * wide];
        for y in 0..height {
            padded[(y + pad) * wide + pad..][..width].copy_from_slice(&pixels[y * width..][..width]);
        }
        let crop = |y: usize, x: usize| padded[(y + top) * wide + x + left];
        let at = |y, x| crop(y, if flip { width - 1 - x } else { x });
        (0..height * width).map(|place| f32::from(at(place / width, place % width)) + 0.5).collect()
    }

    #[test]
    fn a_view_is_a_crop_of_the_padded_image() {
        let pixels: Vec<u8> = (1..=15).collect();
        for pad in 0..=6 {
            for place in 0..(2 * pad + 1) * (2 * pad + 1) * 2 {
                let corner = [place % (2 * pad + 1), place / 2 / (2 * pad + 1)];
                let view = View { pad, corner, flip: place % 2 == 1 };
                let (table, mut out) = (std::array::from_fn(|byte| byte as f32 + 0.5), [77.0; 15]);
                view.plane(&pixels, 5, &table, &mut out);
                assert_eq!(out.as_slice(), by_definition(&pixels, [3, 5], view), "{view:?}");
            }
        }
    }

    #[test]
    fn every_crop_is_as_likely_as_another() {
        let augment = Augment { pad: 2, flip: true };
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..50_000 {
            let view = augment.view(3, 1, index);
            *counts.entry((view.corner, view.flip)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 5 * 5 * 2);
        // 1000 each, with a standard deviation of 31.
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_view_is_a_function_of_seed_epoch_and_index() {
        let augment = Augment { pad: 100, flip: true };
        let view = augment.view(0, 1, 2);
        assert_eq!(view, augment.view(0, 1, 2));
        for other in [augment.view(1, 1, 2), augment.view(0, 2, 2), augment.view(0, 1, 3)] {
            assert_ne!(view.corner, other.corner);
        }
        let unflipped = Augment { flip: false, ..augment };
        assert_eq!(unflipped.view(0, 1, 2).corner, view.corner);
        assert!((0..99).all(|index| !unflipped.view(0, 1, index).flip));
        assert!((0..99).all(|index| Augment { pad: 0, flip: true }.view(0, 1, index).corner == [0, 0]));
    }
}
