//! A heatmap as text for a terminal.

use std::fmt::Write;

use crate::figure::colour;
use crate::figure::heatmap::Heatmap;

/// Between columns.
const SPACE: &str = " ";

/// Aligned rows under a heading; with `colours`, each cell on the colour it has in the figure (24 bits).
pub fn heatmap(map: &Heatmap, colours: bool) -> String {
    let texts = map.texts();
    let longest = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let (left, width) = (longest(&map.rows), longest(&texts).max(longest(&map.columns)) + 2);
    let mut page = String::new();
    if !map.title.is_empty() {
        _ = writeln!(page, "{}", map.title);
    }
    let mut head = " ".repeat(left);
    for column in &map.columns {
        _ = write!(head, "{SPACE}{column:>width$}");
    }
    _ = writeln!(page, "{}", head.trim_end());
    for (i, row) in map.rows.iter().enumerate() {
        let mut line = format!("{row:<left$}");
        for j in 0..map.columns.len() {
            let cell = i * map.columns.len() + j;
            line += SPACE;
            line += &painted(&format!("{:>width$}", texts[cell]), map, cell, colours);
        }
        _ = writeln!(page, "{}", line.trim_end());
    }
    page
}

fn painted(text: &str, map: &Heatmap, cell: usize, colours: bool) -> String {
    match map.values[cell].filter(|value| colours && value.is_finite()) {
        None => text.to_owned(),
        Some(value) => {
            let fill = map.palette.fill(map.scale.fraction(value));
            let ([r, g, b], [ink_r, ink_g, ink_b]) = (fill, colour::ink_on(fill));
            format!("\u{1b}[48;2;{r};{g};{b};38;2;{ink_r};{ink_g};{ink_b}m{text}\u{1b}[0m")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heatmap::tests::small;

    #[test]
    fn columns_are_aligned() {
        insta::assert_snapshot!(heatmap(&small(), false), @r"
        FCN 3×256 on <MNIST>
                    rerand        0      100
        layer1        .884     .377     .021
        fullmodel              .913      NaN
        ");
    }

    #[test]
    fn colours_only_add_colours() {
        let coloured = heatmap(&small(), true);
        assert!(coloured.contains("\u{1b}[48;2;"));
        let mut plain = coloured.clone();
        while let Some(start) = plain.find('\u{1b}') {
            let end = start + plain[start..].find('m').unwrap();
            plain.replace_range(start..=end, "");
        }
        assert_eq!(plain, heatmap(&small(), false));
    }
}
