//! The font of the figures, and how wide words are in it.

use std::sync::Arc;

use resvg::usvg::fontdb::Database;
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// What browsers are asked for; its widths are nearly those of Verdana.
pub const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// Height of a capital letter or a digit, in font sizes.
pub const CAPITAL: f64 = 0.729;

static REGULAR: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");
static BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold.ttf");

/// Thickness of the strokes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// For everything.
    Regular,
    /// For the title.
    Bold,
}

/// Width of a text, in the unit of `size`. A character that the font lacks counts as one font size.
pub fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let bytes = if weight == Weight::Bold { BOLD } else { REGULAR };
    let font = FontRef::new(bytes).expect("the font is part of the program");
    let (characters, metrics) = (font.charmap(), font.glyph_metrics(Size::new(1.0), LocationRef::default()));
    let advance = |c| characters.map(c).and_then(|glyph| metrics.advance_width(glyph)).unwrap_or(1.0);
    text.chars().map(|c| f64::from(advance(c))).sum::<f64>() * size
}

/// The font and no other: nothing of the system is asked.
pub fn database() -> Arc<Database> {
    let mut database = Database::new();
    database.load_font_data(REGULAR.to_vec());
    database.load_font_data(BOLD.to_vec());
    database.set_sans_serif_family("DejaVu Sans");
    Arc::new(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `from fontTools.ttLib import TTFont; f = TTFont("DejaVuSans.ttf"); c = f.getBestCmap()`
    /// `sum(f["hmtx"][c[ord(x)]][0] for x in "layer10 θτ–×") / f["head"].unitsPerEm` (fontTools 4.68.0)
    #[test]
    fn widths_are_those_of_the_font() {
        let text = "layer10 θτ–×";
        assert!((width(text, 10.0, Weight::Regular) / 10.0 - 6.650_878_906_25).abs() < 1e-6);
        assert!((width(text, 10.0, Weight::Bold) / 10.0 - 7.243_652_343_75).abs() < 1e-6);
    }

    #[test]
    fn only_our_faces_are_there() {
        let database = database();
        let names: Vec<_> = database.faces().map(|face| face.post_script_name.clone()).collect();
        assert_eq!(names, ["DejaVuSans", "DejaVuSans-Bold"]);
    }
}
