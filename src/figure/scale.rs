//! From the least to the largest value that is drawn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The values at the ends of an axis, or of the colours. Those beyond are drawn at the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The least; of colours, the palest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Scale {
    /// Where a value is on the scale: 0 at the least, 1 at the largest.
    pub fn fraction(&self, value: f64) -> f64 {
        ((value - self.min) / (self.max - self.min)).clamp(0.0, 1.0)
    }

    /// From 0 to the largest value; to 1 if there is none above 0.
    pub fn up_to_largest(values: impl Iterator<Item = f64>) -> Self {
        let max = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        Self { min: 0.0, max: if max > 0.0 { max } else { 1.0 } }
    }

    /// Round values to mark, from the least: at most `most` + 1 of them.
    fn ticks(&self, most: usize) -> Vec<f64> {
        let span = self.max - self.min;
        let rough = span / most as f64;
        let power = 10_f64.powi(libm::floor(libm::log10(rough)) as i32);
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|s| s * power).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(span);
        let first = libm::ceil(self.min / step - 1e-9) as i64;
        let last = libm::floor(self.max / step + 1e-9) as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }

    /// Round values on the scale, at most `most` + 1 of them, and their texts.
    pub fn marks(&self, most: usize) -> Vec<(f64, String)> {
        let ticks = self.ticks(most);
        let exact = |decimals: &i32| {
            let unit = 10_f64.powi(*decimals);
            ticks.iter().all(|tick| (tick * unit - (tick * unit).round()).abs() < 1e-6)
        };
        let decimals = (0..9).find(exact).unwrap_or(9) as usize;
        ticks.into_iter().map(|tick| (tick, number(tick, decimals))).collect()
    }
}

/// A number with a real minus sign; `NaN` and `∞` if it is none.
pub fn number(value: f64, decimals: usize) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let text = format!("{value:.decimals$}");
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    if is_zero { text.replace('-', "") } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        let texts = |min, max| {
            Scale { min, max }.marks(5).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(texts(0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(texts(0.0, 0.67), "0.0 0.2 0.4 0.6");
        assert_eq!(texts(0.0, 0.48), "0.0 0.1 0.2 0.3 0.4");
        assert_eq!(texts(-1.0, 1.0), "−1.0 −0.5 0.0 0.5 1.0");
        assert_eq!(texts(0.0, 3000.0), "0 1000 2000 3000");
        assert_eq!(Scale { min: 0.0, max: 1.0 }.marks(2).len(), 3);
        assert_eq!(texts(0.25, 0.5), "0.25 0.30 0.35 0.40 0.45 0.50");
    }

    #[test]
    fn scale_clamps() {
        let scale = Scale::up_to_largest([0.2, f64::NAN, 0.5].into_iter());
        assert_eq!((scale.fraction(0.25), scale.fraction(9.0), scale.fraction(-1.0)), (0.5, 1.0, 0.0));
        assert_eq!(Scale::up_to_largest([].into_iter()).max, 1.0);
    }
}
