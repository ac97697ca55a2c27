//! Colours of cells: one hue for what is robust, another for what is critical, two for differences. Blue and orange are told apart
//! by the colour-blind, and each hue goes from pale to dark, so that a grey print shows the values.

use serde_json::{Value, json};

use crate::figure::colour::{self, Palette, Rgb};

/// Steps of a palette.
const STEPS: usize = 33;

/// Orange: a reset that is critical.
fn critical(fraction: f64) -> Rgb {
    let colour = colorous::ORANGES.eval_continuous(fraction);
    [colour.r, colour.g, colour.b]
}

fn difference(fraction: f64) -> Rgb {
    Palette::Differences.fill(fraction)
}

/// Background and ink of a cell.
pub(super) fn cell(fraction: f64, is_critical: bool) -> String {
    let place = (fraction.clamp(0.0, 1.0) * (STEPS - 1) as f64).round() / (STEPS - 1) as f64;
    let fill = if is_critical { critical(place) } else { colour::fill(place) };
    format!("background:{};color:{}", colour::hex(fill), colour::hex(colour::ink_on(fill)))
}

/// For the script: pairs of background and ink.
pub(super) fn all() -> Value {
    let steps = |fill: fn(f64) -> Rgb| {
        let step = |i: usize| {
            let fill = fill(i as f64 / (STEPS - 1) as f64);
            [colour::hex(fill), colour::hex(colour::ink_on(fill))]
        };
        (0..STEPS).map(step).collect::<Vec<_>>()
    };
    json!({ "robust": steps(colour::fill), "critical": steps(critical), "difference": steps(difference) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn rgb(hex: &str) -> Rgb {
        let channel = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        [channel(1), channel(3), channel(5)]
    }

    #[test]
    fn words_are_legible_on_every_cell() {
        for (name, steps) in all().as_object().unwrap() {
            for step in steps.as_array().unwrap() {
                let [fill, ink] = [&step[0], &step[1]].map(|hex| rgb(hex.as_str().unwrap()));
                assert!(colour::contrast(fill, ink) >= 4.5, "{name}: {step}");
            }
        }
    }

    /// Every colour of words, on the page and on what is set off from it, light and dark.
    #[test]
    fn words_are_legible_on_the_page() {
        let style = include_str!("style.css");
        let schemes: Vec<&str> =
            style.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let colours =
                scheme.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "));
            let colours: BTreeMap<_, _> = colours.map(|(name, hex)| (name, rgb(hex))).collect();
            for ink in ["ink", "faint", "link", "holds", "fails", "untested"] {
                for ground in ["page", "soft"] {
                    let contrast = colour::contrast(colours[ink], colours[ground]);
                    assert!(contrast >= 4.5, "{ink} on {ground}: {contrast}");
                }
            }
        }
    }
}
