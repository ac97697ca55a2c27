//! Colours of values: pale is low, dark is high, one hue, so that a grey print and a colour-blind eye see the same order. Differences have
//! two, from white in the middle.

/// Red, green, blue in sRGB.
pub type Rgb = [u8; 3];

/// For words on white.
pub const INK: Rgb = [0x1f, 0x23, 0x28];
/// For words of less weight on white.
pub const FAINT: Rgb = [0x57, 0x60, 0x6a];
const WHITE: Rgb = [0xff; 3];
const BLACK: Rgb = [0x00; 3];
/// Least contrast of words, by WCAG 2.1 (level AA).
const LEGIBLE: f64 = 4.5;

/// Which colours values get.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Palette {
    /// `Blues` of Brewer's colours for maps: pale is low, dark is high.
    #[default]
    Values,
    /// `PRGn`, likewise: purple is below the middle, green above, the middle is white. The colour-blind tell them apart.
    Differences,
}

impl Palette {
    /// The colour of a fraction of the scale.
    pub fn fill(self, fraction: f64) -> Rgb {
        let gradient = match self {
            Self::Values => colorous::BLUES,
            Self::Differences => colorous::PURPLE_GREEN,
        };
        let colour = gradient.eval_continuous(fraction.clamp(0.0, 1.0));
        [colour.r, colour.g, colour.b]
    }
}

/// The colour of a value.
pub fn fill(fraction: f64) -> Rgb {
    Palette::Values.fill(fraction)
}

/// The colour of words on a fill. Black or white always have a contrast of 4.58 at least.
pub fn ink_on(fill: Rgb) -> Rgb {
    [INK, WHITE].into_iter().find(|ink| contrast(*ink, fill) >= LEGIBLE).unwrap_or(BLACK)
}

/// Contrast ratio of two colours, by WCAG 2.1: 1 to 21.
pub fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Relative luminance, by WCAG 2.1: 0 to 1.
fn luminance(colour: Rgb) -> f64 {
    let linear = |channel: u8| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { libm::pow((value + 0.055) / 1.055, 2.4) }
    };
    let [red, green, blue] = colour.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// `#1f2328`.
pub fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs of WCAG's own technique G18: black on white 21:1, `#767676` on white 4.54:1.
    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((contrast(WHITE, BLACK) - 21.0).abs() < 1e-12);
        assert!((contrast([0x76; 3], WHITE) - 4.54).abs() < 0.005);
    }

    #[test]
    fn words_are_legible_on_every_fill() {
        for i in 0..=1000 {
            for fill in [Palette::Values, Palette::Differences].map(|p| p.fill(f64::from(i) / 1000.0)) {
                assert!(contrast(ink_on(fill), fill) >= LEGIBLE, "{}", hex(fill));
            }
        }
        assert_eq!((ink_on(fill(0.0)), ink_on(fill(1.0))), (INK, WHITE));
    }

    #[test]
    fn higher_is_darker_and_out_of_scale_is_at_an_end() {
        let all: Vec<_> = (0..=100).map(|i| luminance(fill(f64::from(i) / 100.0))).collect();
        assert!(all.is_sorted_by(|a, b| a > b));
        assert_eq!((fill(-1.0), fill(2.0)), (fill(0.0), fill(1.0)));
    }
}
