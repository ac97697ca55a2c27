//! A grid for people: Markdown, and LaTeX for a paper.

use std::fmt::Write;

use crate::table::grid::{Grid, Summary};
use crate::table::label;

/// Digits after the point that fit a set of values: three, or as many as give the largest three that matter.
pub fn decimals(values: impl Iterator<Item = f64>) -> usize {
    let largest = values.filter(|value| value.is_finite()).fold(0.0, |largest: f64, v| largest.max(v.abs()));
    (3..9).find(|decimals| largest == 0.0 || largest * 10_f64.powi(*decimals) >= 100.0).unwrap_or(9) as usize
}

/// Writes the grid as a Markdown table, with a line that says what it shows.
pub fn markdown(grid: &Grid) -> String {
    let mut text = String::new();
    let head: Vec<_> = grid.row_names.iter().chain(&grid.columns).map(|name| markdown_text(name)).collect();
    _ = writeln!(text, "| {} |", head.join(" | "));
    let (left, right) = (" --- |".repeat(grid.row_names.len()), " ---: |".repeat(grid.columns.len()));
    _ = writeln!(text, "|{left}{right}");
    for (names, numbers) in wide(grid, " ± ") {
        let names = names.iter().map(|name| markdown_text(name));
        _ = writeln!(text, "| {} |", names.chain(numbers).collect::<Vec<_>>().join(" | "));
    }
    _ = writeln!(text, "\n{}", caption(grid));
    text
}

fn markdown_text(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Writes the grid as a `tabular` of the LaTeX package `booktabs`.
pub fn latex(grid: &Grid) -> String {
    let mut text = format!("% {}\n", caption(grid));
    let (left, right) = ("l".repeat(grid.row_names.len()), "r".repeat(grid.columns.len()));
    _ = writeln!(text, "\\begin{{tabular}}{{{left}{right}}}\n\\toprule");
    let head: Vec<_> = grid.row_names.iter().chain(&grid.columns).map(|name| latex_text(name)).collect();
    _ = writeln!(text, "{} \\\\\n\\midrule", head.join(" & "));
    for (names, numbers) in wide(grid, " \\pm ") {
        let names = names.iter().map(|name| latex_text(name));
        let numbers = numbers.iter().map(|n| if n.is_empty() { String::new() } else { format!("${n}$") });
        _ = writeln!(text, "{} \\\\", names.chain(numbers).collect::<Vec<_>>().join(" & "));
    }
    text + "\\bottomrule\n\\end{tabular}\n"
}

fn latex_text(text: &str) -> String {
    let escape = |c: char| match c {
        '\\' => "\\textbackslash{}".to_owned(),
        '~' => "\\textasciitilde{}".to_owned(),
        '^' => "\\textasciicircum{}".to_owned(),
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
        '–' => "--".to_owned(),
        _ => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Each row as text: short labels, then one number per column.
fn wide(grid: &Grid, plus_minus: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let decimals = decimals(grid.cells.iter().flatten().map(|summary| summary.mean));
    let number = |cell: &Option<Summary>| {
        let Some(summary) = cell else { return String::new() };
        let mean = format!("{:.decimals$}", summary.mean);
        match summary.half_width() {
            Some(half_width) => format!("{mean}{plus_minus}{half_width:.decimals$}"),
            None => mean,
        }
    };
    let row = |(row, cells): (&[String], &[Option<Summary>])| {
        (row.iter().map(|name| label::short(name)).collect(), cells.iter().map(number).collect())
    };
    grid.iter().map(row).collect()
}

/// What the numbers are.
fn caption(grid: &Grid) -> String {
    let counts = || grid.cells.iter().flatten().map(|summary| summary.n);
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    let n = if least == most { format!("n = {most}") } else { format!("n from {least} to {most}") };
    let has_interval = grid.cells.iter().flatten().any(|summary| summary.ci95.is_some());
    match (most, has_interval) {
        (..=1, _) => grid.metric.clone(),
        (_, true) => format!("{}: mean and half-width of its 95 % interval (Student's t), {n}", grid.metric),
        (_, false) => format!("{}: mean, {n}", grid.metric),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::table::grid::Statistic;

    /// One value, several values, none.
    fn grid() -> Grid {
        let one = Summary { n: 1, mean: 0.0456, std: None, ci95: None };
        let several = Summary { n: 5, mean: 1.0, std: Some(0.01), ci95: Some((0.9, 1.1)) };
        Grid {
            row_names: vec!["layer".into()],
            column_name: "source".into(),
            metric: "loss".into(),
            statistics: Statistic::ALL.to_vec(),
            rows: vec![vec!["final_linear".into()], vec!["layer2+layer3+layer4".into()]],
            columns: vec!["rerand".into(), "0".into()],
            cells: vec![Some(several), Some(one), Some(several), None],
        }
    }

    #[test]
    fn pages_show_what_is_there() {
        assert_snapshot!(markdown(&grid()), @r"
        | layer | rerand | 0 |
        | --- | ---: | ---: |
        | final_linear | 1.000 ± 0.100 | 0.046 |
        | layer2–4 | 1.000 ± 0.100 |  |

        loss: mean and half-width of its 95 % interval (Student's t), n from 1 to 5
        ");
        assert_snapshot!(latex(&grid()), @r"
        % loss: mean and half-width of its 95 % interval (Student's t), n from 1 to 5
        \begin{tabular}{lrr}
        \toprule
        layer & rerand & 0 \\
        \midrule
        final\_linear & $1.000 \pm 0.100$ & $0.046$ \\
        layer2--4 & $1.000 \pm 0.100$ &  \\
        \bottomrule
        \end{tabular}
        ");
    }

    #[test]
    fn what_means_something_to_latex_is_escaped() {
        assert_eq!(
            latex_text(r"a_b & 5% {x}~^\#$"),
            r"a\_b \& 5\% \{x\}\textasciitilde{}\textasciicircum{}\textbackslash{}\#\$"
        );
    }

    #[test]
    fn three_digits_matter() {
        let digits = |value: f64| decimals([value, f64::NAN, 0.0].into_iter());
        assert_eq!([digits(0.9), digits(0.05), digits(0.004), digits(70.0), digits(0.0)], [3, 4, 5, 3, 3]);
    }
}
