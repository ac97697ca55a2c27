//! A heatmap, described: rows × columns of values. How it looks is the drawing functions' affair.

use crate::figure::colour::Palette;
use crate::figure::scale::{Scale, number};

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
    /// The colours.
    pub palette: Palette,
    /// Digits after the point of the values.
    pub decimals: usize,
    /// Rows that stand a little apart from the one above.
    pub row_breaks: Vec<usize>,
    /// Columns that stand a little apart from the one to the left.
    pub column_breaks: Vec<usize>,
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
            palette: Palette::Values,
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
}
