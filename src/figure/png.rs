//! A figure as PNG, drawn from its SVG.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Options, Tree};

use crate::figure::font;

/// Pixels per unit of the SVG, so that words stay sharp on a fine screen.
const ZOOM: f32 = 2.0;

/// Why an SVG could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// It is no SVG.
    #[error("the figure is not SVG: {0}")]
    Svg(#[from] usvg::Error),
    /// There is no picture of this size.
    #[error("a picture of {width} × {height} pixels is too large")]
    Size {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// The encoder failed.
    #[error("the picture could not be encoded: {0}")]
    Encoding(String),
}

/// Draws an SVG at twice its size, in the font of this program and no other.
pub fn draw(svg: &str) -> Result<Vec<u8>, PngError> {
    let options = Options { fontdb: font::database(), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size();
    let (width, height) = ((size.width() * ZOOM).ceil() as u32, (size.height() * ZOOM).ceil() as u32);
    let mut picture = Pixmap::new(width, height).ok_or(PngError::Size { width, height })?;
    resvg::render(&tree, Transform::from_scale(ZOOM, ZOOM), &mut picture.as_mut());
    picture.encode_png().map_err(|error| PngError::Encoding(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heatmap::{Heatmap, tests::small};
    use crate::figure::svg;

    fn size(png: &[u8]) -> (u32, u32) {
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        (number(16), number(20)) // in the header chunk
    }

    #[test]
    fn same_bytes_each_time_at_twice_the_size() {
        let svg = svg::heatmap(&small());
        let png = draw(&svg).unwrap();
        assert_eq!(png, draw(&svg).unwrap());
        let width = svg.split("width=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(size(&png).0, (width.parse::<f64>().unwrap() * 2.0).ceil() as u32);
    }

    /// Words are drawn in the font of this program: without them the picture is another one.
    #[test]
    fn words_are_drawn() {
        let silent = Heatmap { title: " ".into(), ..small() };
        assert_ne!(draw(&svg::heatmap(&small())).unwrap(), draw(&svg::heatmap(&silent)).unwrap());
    }

    #[test]
    fn any_shape_can_be_drawn() {
        for (rows, columns) in [(1, 1), (1, 9), (54, 5)] {
            let map = Heatmap {
                rows: (0..rows).map(|i| format!("stage{i}.resblk{i}")).collect(),
                columns: (0..columns).map(|i| i.to_string()).collect(),
                values: vec![Some(0.5); rows * columns],
                ..small()
            };
            draw(&svg::heatmap(&map)).unwrap();
        }
    }
}
