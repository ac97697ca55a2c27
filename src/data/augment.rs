//! Random variation of training images: what torchvision calls `RandomCrop(size, padding=pad)`, `RandomResizedCrop(size)` and
//! `RandomHorizontalFlip()`.
//!
//! How an image is varied is a function of (seed, epoch, its index), so it depends neither on the batch that it is in, nor on threads,
//! nor on an interruption. As in torchvision, the border is of zeros before standardisation: of black pixels, not of mean ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::rng;
use crate::data::resized_crop::{Part, ResizedCrop};

/// How training images are varied, anew in each epoch.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Black pixels around an image, of which a random crop of the image's size is taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pad: u8,
    /// Whether every second image, by chance, is mirrored left to right.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flip: bool,
    /// In the place of `pad`: a random part of an image is scaled to the image's size.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resized_crop: Option<ResizedCrop>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One image's variation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct View {
    crop: Crop,
    /// Whether it is mirrored then.
    flip: bool,
}

/// What of an image is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Crop {
    /// As much as the image is large, of the image with a border.
    Padded {
        /// How wide the border is.
        pad: usize,
        /// Where the crop begins in the image with its border: row and column, at most 2 · pad.
        corner: [usize; 2],
    },
    /// A part, scaled.
    Resized(Part),
}

impl Augment {
    /// Says what is wrong with the parameters: which, why, and what to do.
    pub fn check(&self) -> Result<(), [&'static str; 3]> {
        if *self == Self::default() {
            let hint = "give 'pad', 'flip' or 'resized_crop', as in '{ pad: 4, flip: true }', or leave 'augment' out";
            return Err(["", "it changes no image", hint]);
        }
        if self.pad > 0 && self.resized_crop.is_some() {
            return Err(["", "'pad' and 'resized_crop' are two ways to crop", "leave one of them out"]);
        }
        self.resized_crop.as_ref().map_or(Ok(()), ResizedCrop::check)
    }

    /// Draws the variation of an image of this height and width. All is drawn, whatever is asked for: to flip does not move the crops.
    pub(super) fn view(&self, seed: u64, epoch: u64, index: u32, size: [usize; 2]) -> View {
        let labels = ["augment", &epoch.to_string(), &index.to_string()];
        let mut numbers = rng::stream(seed, &labels);
        let corner = [(); 2].map(|()| numbers.below(2 * u64::from(self.pad) + 1) as usize);
        let flip = numbers.below(2) == 1 && self.flip;
        let crop = match &self.resized_crop {
            Some(resized) => Crop::Resized(resized.draw(size, &mut numbers)),
            None => Crop::Padded { pad: self.pad.into(), corner },
        };
        View { crop, flip }
    }
}

impl View {
    /// Writes a plane of an image, seen so; `table` says which value a byte becomes, also those of the border, which are 0.
    pub(super) fn plane(self, pixels: &[u8], width: usize, table: &[f32; 256], out: &mut [f32]) {
        match self.crop {
            Crop::Padded { pad, corner } => padded(pad, corner, pixels, width, table, out),
            Crop::Resized(part) => part.plane(pixels, width, table, out),
        }
        if self.flip {
            out.chunks_exact_mut(width).for_each(<[f32]>::reverse);
        }
    }
}

fn padded(
    pad: usize,
    [top, left]: [usize; 2],
    pixels: &[u8],
    width: usize,
    table: &[f32; 256],
    out: &mut [f32],
) {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixel by pixel, through an image that really has a border.
    fn by_definition(pixels: &[u8], [height, width]: [usize; 2], view: View) -> Vec<f32> {
        let View { crop: Crop::Padded { pad, corner: [top, left] }, flip } = view else { panic!("{view:?}") };
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
                let view = View { crop: Crop::Padded { pad, corner }, flip: place % 2 == 1 };
                let (table, mut out) = (std::array::from_fn(|byte| byte as f32 + 0.5), [77.0; 15]);
                view.plane(&pixels, 5, &table, &mut out);
                assert_eq!(out.as_slice(), by_definition(&pixels, [3, 5], view), "{view:?}");
            }
        }
    }

    /// Where the crop of an image of no matter which size begins.
    fn corner(view: View) -> [usize; 2] {
        let Crop::Padded { corner, .. } = view.crop else { panic!("{view:?}") };
        corner
    }

    const SIZE: [usize; 2] = [3, 5];

    #[test]
    fn every_crop_is_as_likely_as_another() {
        let augment = Augment { pad: 2, flip: true, resized_crop: None };
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..50_000 {
            let view = augment.view(3, 1, index, SIZE);
            *counts.entry((corner(view), view.flip)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 5 * 5 * 2);
        // 1000 each, with a standard deviation of 31.
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_view_is_a_function_of_seed_epoch_and_index() {
        let augment = Augment { pad: 100, flip: true, resized_crop: None };
        let view = augment.view(0, 1, 2, SIZE);
        assert_eq!(view, augment.view(0, 1, 2, SIZE));
        for [seed, epoch, index] in [[1, 1, 2], [0, 2, 2], [0, 1, 3]] {
            assert_ne!(corner(view), corner(augment.view(seed, epoch, index as u32, SIZE)));
        }
        let unflipped = Augment { flip: false, ..augment };
        assert_eq!(corner(unflipped.view(0, 1, 2, SIZE)), corner(view));
        assert!((0..99).all(|index| !unflipped.view(0, 1, index, SIZE).flip));
        let whole = Augment { pad: 0, ..augment };
        assert!((0..99).all(|index| corner(whole.view(0, 1, index, SIZE)) == [0, 0]));
    }

    #[test]
    fn a_mirrored_part_is_the_part_mirrored() {
        let augment = Augment { pad: 0, flip: true, resized_crop: Some(ResizedCrop::default()) };
        let (pixels, table) = ((1..=15).collect::<Vec<u8>>(), std::array::from_fn(|byte| byte as f32));
        let view = (0..99).map(|index| augment.view(0, 1, index, SIZE)).find(|view| view.flip).unwrap();
        let (mut seen, mut straight) = ([0.0; 15], [0.0; 15]);
        view.plane(&pixels, 5, &table, &mut seen);
        View { flip: false, ..view }.plane(&pixels, 5, &table, &mut straight);
        straight.chunks_exact_mut(5).for_each(<[f32]>::reverse);
        assert_eq!(seen, straight);
    }
}
