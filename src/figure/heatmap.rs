//! A heatmap, described: rows × columns of values. How it looks is the drawing functions' affair.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a heatmap shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// Above everything; may be empty.
    pub title: String,
    /// What the rows are; may be empty.
    pub row_title: String,
    /// What the columns are; may be empty.
    pub column_title: String,
    /// What the values are: the title of the colour bar; may be empty.
    pub value_title: String,
    /// Labels of the rows, from the top.
    pub rows: Vec<String>,
    /// Headings of the columns, from the left.
    pub columns: Vec<String>,
    /// The values, row by row: rows × columns. `None` where there is none.
    pub values: Vec<Option<f64>>,
    /// The values at the ends of the colours.
    pub scale: Scale,
    /// Digits after the point of the values.
    pub decimals: usize,
    /// Rows that stand a little apart from the one above.
    pub row_breaks: Vec<usize>,
    /// Columns that stand a little apart from the one to the left.
    pub column_breaks: Vec<usize>,
}

/// The values at the ends of the colours. Those beyond have the colour of the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The palest.
    pub min: f64,
    /// The darkest.
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
}

impl Heatmap {
    /// The text of each cell: without the zero before the point if all are below one; empty where there is no value.
    pub fn texts(&self) -> Vec<String> {
        let plain: Vec<_> = self.values.iter().map(|value| value.map(|v| number(v, self.decimals))).collect();
        let reaches_one =
            |text: &String| text.trim_start_matches('−').starts_with(|c| matches!(c, '1'..='9'));
        let all_fractions = !plain.iter().flatten().any(reaches_one);
        let shorten = |text: String| if all_fractions { text.replacen("0.", ".", 1) } else { text };
        plain.into_iter().map(|text| text.map(shorten).unwrap_or_default()).collect()
    }

    /// Round values on the scale, at most `most` + 1 of them, and their texts.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let ticks = self.scale.ticks(most);
        let exact = |decimals: &i32| {
            let unit = 10_f64.powi(*decimals);
            ticks.iter().all(|tick| (tick * unit - (tick * unit).round()).abs() < 1e-6)
        };
        let decimals = (0..9).find(exact).unwrap_or(9) as usize;
        ticks.into_iter().map(|tick| (tick, number(tick, decimals))).collect()
    }
}

/// A number with a real minus sign; `NaN` and `∞` if it is none.
fn number(value: f64, decimals: usize) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let text = format!("{value:.decimals$}");
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    if is_zero { text.replace('-', "") } else { text.replace('-', "−") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two layers of figure 1, a value that is missing, and one that is no number.
    pub(in crate::figure) fn small() -> Heatmap {
        Heatmap {
            title: "FCN 3×256 on <MNIST>".into(),
            row_title: "layer".into(),
            column_title: "reset to epoch τ".into(),
            value_title: "error".into(),
            rows: vec!["layer1".into(), "fullmodel".into()],
            columns: vec!["rerand".into(), "0".into(), "100".into()],
            values: vec![Some(0.884), Some(0.377), Some(0.021), None, Some(0.913), Some(f64::NAN)],
            scale: Scale { min: 0.0, max: 1.0 },
            decimals: 3,
            row_breaks: vec![1],
            column_breaks: vec![1],
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(small().texts(), [".884", ".377", ".021", "", ".913", "NaN"]);
        let fractions = Heatmap { values: vec![Some(0.061), Some(-0.5), Some(-0.0), None], ..small() };
        assert_eq!(fractions.texts(), [".061", "−.500", ".000", ""]);
        let large = Heatmap { values: vec![Some(0.061), Some(12.5)], ..small() };
        assert_eq!(large.texts(), ["0.061", "12.500"]);
    }

    #[test]
    fn marks_are_round() {
        let texts = |min, max| {
            let map = Heatmap { scale: Scale { min, max }, ..small() };
            map.ticks(5).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(texts(0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(texts(0.0, 0.67), "0.0 0.2 0.4 0.6");
        assert_eq!(texts(0.0, 0.48), "0.0 0.1 0.2 0.3 0.4");
        assert_eq!(texts(-1.0, 1.0), "−1.0 −0.5 0.0 0.5 1.0");
        assert_eq!(texts(0.0, 3000.0), "0 1000 2000 3000");
        assert_eq!(small().ticks(2).len(), 3);
        assert_eq!(texts(0.25, 0.5), "0.25 0.30 0.35 0.40 0.45 0.50");
    }

    #[test]
    fn scale_clamps() {
        let scale = Scale::up_to_largest([0.2, f64::NAN, 0.5].into_iter());
        assert_eq!((scale.fraction(0.25), scale.fraction(9.0), scale.fraction(-1.0)), (0.5, 1.0, 0.0));
        assert_eq!(Scale::up_to_largest([].into_iter()).max, 1.0);
    }
}
