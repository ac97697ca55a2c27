//! The comparison for people: a page of Markdown.

use std::fmt::Write;

use crate::table::classes::{Classes, JUDGED, Reset};
use crate::table::comparison::{Cell, Comparison};
use crate::table::label;
use crate::table::order;
use crate::table::reference::SOURCE;

/// Writes the page.
pub fn markdown(comparison: &Comparison) -> String {
    let mut page = heading(comparison);
    page += &measures(comparison);
    match &comparison.classes {
        Some(classes) => page += &classes_section(comparison, classes),
        None if comparison.column_name != SOURCE => {}
        None => page += "\nRobust and critical are classes of errors; they do not apply to distances.\n",
    }
    page += &side_by_side(comparison);
    page
}

fn heading(comparison: &Comparison) -> String {
    let Comparison { figure, metric, dataset, model, .. } = comparison;
    let of_model = if model.is_empty() { String::new() } else { format!(" of {model}") };
    let mut text =
        format!("# {figure}: ours and the published values\n\n`{metric}`{of_model} on {dataset}. ");
    _ = write!(text, "Cells compared: {}. ", comparison.compared);
    let (published, ours) = (comparison.only_published, comparison.only_ours);
    _ = write!(text, "Published and not here: {published}; here and not published: {ours}.");
    if !comparison.precision.is_empty() {
        _ = write!(text, " Published values were read off a figure: {}.", comparison.precision);
    }
    text + "\n\n"
}

fn measures(comparison: &Comparison) -> String {
    let largest = &comparison.largest_difference;
    let column = if comparison.column_name == SOURCE {
        order::source(&largest.column)
    } else {
        largest.column.clone()
    };
    let at = format!("{}, {column}", label::short(&largest.row));
    let mut rows = vec![
        ("mean absolute difference".to_owned(), format!("{:.4}", comparison.mean_absolute_difference)),
        (
            "largest difference (ours − published)".to_owned(),
            format!("{} at {at}", signed(largest.difference)),
        ),
        (
            "rank correlation (Spearman)".to_owned(),
            comparison.rank_correlation.map_or("undefined".to_owned(), |r| format!("{r:.3}")),
        ),
    ];
    if let Some(classes) = &comparison.classes {
        for column in JUDGED {
            let resets: Vec<_> = classes.resets.iter().filter(|reset| reset.column == column).collect();
            let agree = resets.iter().filter(|reset| reset.critical_ours == reset.critical_published).count();
            if !resets.is_empty() {
                let name = format!("same class, {} ({}s)", order::source(column), comparison.row_name);
                rows.push((name, format!("{agree} of {}", resets.len())));
            }
        }
        let cells = format!("{} of {}", classes.cells_agree, classes.cells_compared);
        rows.push(("same class, all sources (cells)".to_owned(), cells));
    }
    let mut text = "| measure | value |\n| --- | --- |\n".to_owned();
    for (name, value) in rows {
        _ = writeln!(text, "| {name} | {value} |");
    }
    text
}

fn classes_section(comparison: &Comparison, classes: &Classes) -> String {
    let threshold = classes.threshold;
    let mut text = format!(
        "\n## Robust and critical at the threshold {threshold}\n\nA reset is critical if it raises the error of the \
         full model by more than {threshold}. Each side is judged by its own full model.\n\n"
    );
    text += "| reset | critical in both | robust in both | critical only here | critical only in the publication |\n";
    text += "| --- | --- | --- | --- | --- |\n";
    for column in JUDGED {
        let resets = || classes.resets.iter().filter(|reset| reset.column == column);
        let names = |ours, published| {
            let like = resets().filter(|r| (r.critical_ours, r.critical_published) == (ours, published));
            let names: Vec<_> = like.map(|reset| label::short(&reset.row)).collect();
            if names.is_empty() { "none".to_owned() } else { names.join("; ") }
        };
        if resets().next().is_some() {
            let lists = [names(true, true), names(false, false), names(true, false), names(false, true)];
            _ = writeln!(text, "| {} | {} |", order::source(column), lists.join(" | "));
        }
    }
    _ = writeln!(text, "\n| {} | reset | cost, ours | cost, published | class |", comparison.row_name);
    text += "| --- | --- | ---: | ---: | --- |\n";
    for reset in &classes.resets {
        let Reset { row, column, ours, published, .. } = reset;
        let (row, class) = (label::short(row), class(reset));
        _ = writeln!(
            text,
            "| {row} | {} | {} | {} | {class} |",
            order::source(column),
            signed(*ours),
            signed(*published)
        );
    }
    text
}

fn class(reset: &Reset) -> &'static str {
    match (reset.critical_ours, reset.critical_published) {
        (true, true) => "critical",
        (false, false) => "robust",
        (true, false) => "**critical here, robust in the publication**",
        (false, true) => "**robust here, critical in the publication**",
    }
}

fn side_by_side(comparison: &Comparison) -> String {
    let mut columns: Vec<&str> = comparison.cells.iter().map(|cell| cell.column.as_str()).collect();
    columns.sort_by(|a, b| order::headings(a, b));
    columns.dedup();
    let mut text = "\n## Ours (published)\n\n".to_owned();
    _ = writeln!(text, "| {} | {} |", comparison.row_name, columns.join(" | "));
    _ = writeln!(text, "| --- |{}", " ---: |".repeat(columns.len()));
    for row in comparison.cells.chunk_by(|a, b| a.row == b.row) {
        _ = write!(text, "| {} |", label::short(&row[0].row));
        for column in &columns {
            let cell = row.iter().find(|cell| cell.column == *column);
            _ = write!(text, " {} |", cell.map(pair).unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

fn pair(cell: &Cell) -> String {
    let number = |value: Option<f64>, around: Option<f64>| match (value, around) {
        (None, _) => "–".to_owned(),
        (Some(value), None) => format!("{value:.3}"),
        (Some(value), Some(around)) => format!("{value:.3} ± {around:.3}"),
    };
    format!("{} ({})", number(cell.ours, cell.half_width), number(cell.published, cell.spread))
}

fn signed(value: f64) -> String {
    format!("{value:+.3}").replace('-', "−")
}
