//! The numbers that differ between two states of results: read from the tables that both still have in the store.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::failure::Style;
use crate::cli::page;
use crate::engine::diff::{Changed, Difference, File};
use crate::store::Store;
use crate::table::difference::{self, TableDifference};
use crate::table::tidy::Tidy;

/// How many of the largest changes of a metric are shown.
const SHOWN: usize = 2;

/// A table that differs.
pub(super) struct Table {
    /// What to call it.
    name: String,
    difference: TableDifference,
}

/// The tables that differ: published ones by their names there; those of stages, if nothing published is known to differ.
pub(super) fn tables(difference: &Difference, stores: &[&Store]) -> Vec<Table> {
    let published: Vec<_> =
        difference.published.iter().filter_map(|file| compare(file.name.clone(), file, stores)).collect();
    if !published.is_empty() {
        return published;
    }
    let of_stage = |changed: &Changed| {
        let name = |file: &File| format!("{}/{}", changed.stage, file.name);
        changed.outputs.iter().filter_map(|file| compare(name(file), file, stores)).collect::<Vec<_>>()
    };
    difference.changed.iter().flat_map(of_stage).collect()
}

/// `None` unless both sides have it as a table of numbers.
fn compare(name: String, file: &File, stores: &[&Store]) -> Option<Table> {
    if file.name.rsplit('.').next() != Some("csv") {
        return None;
    }
    let read = |digest| stores.iter().find_map(|store| Tidy::read(&store.object_path(digest)).ok());
    let difference = difference::difference(&read(file.before?)?, &read(file.after?)?)?;
    Some(Table { name, difference })
}

/// For people.
pub(super) fn text(tables: &[Table], style: Style) -> String {
    let mut text = String::new();
    if tables.is_empty() {
        return text;
    }
    let metrics = || tables.iter().flat_map(|table| &table.difference.metrics);
    let has_other_rows = metrics().any(|metric| metric.added + metric.removed > 0);
    let other = if has_other_rows { &["added", "removed"][..] } else { &[] };
    let head = [&["table", "metric", "rows", "changed"], other, &["mean |Δ|", "largest |Δ|"]].concat();
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for Table { name, difference } in tables {
        for metric in &difference.metrics {
            let others = [metric.added, metric.removed];
            let others = if has_other_rows { &others[..] } else { &[] };
            let counts = [&[metric.rows, metric.changed], others].concat();
            let sizes = [metric.mean, metric.largest].map(number);
            let names = [name.clone(), metric.metric.clone()];
            rows.push(names.into_iter().chain(counts.iter().map(usize::to_string)).chain(sizes).collect());
        }
    }
    _ = write!(text, "{}\n{}", style.strong("metrics"), page::columns(&ditto(rows), "  "));
    let largest: Vec<_> = tables.iter().flat_map(largest).collect();
    if !largest.is_empty() {
        let head = ["table", "metric", "row", "before", "after", "Δ"];
        let rows = std::iter::once(page::row(head)).chain(largest).collect();
        _ = write!(text, "{}\n{}", style.strong("largest changes"), page::columns(&ditto(rows), "  "));
    }
    text
}

/// Leaves out a table's name where it stands in the row above.
fn ditto(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for i in (1..rows.len()).rev() {
        if rows[i][0] == rows[i - 1][0] {
            rows[i][0].clear();
        }
    }
    rows
}

/// The largest changes of each metric, as rows; a key that is the same in all changes of the table is left out.
fn largest(table: &Table) -> Vec<Vec<String>> {
    let Table { name, difference } = table;
    let changes = || difference.metrics.iter().flat_map(|metric| &metric.changes);
    let varies = |column: usize| {
        changes().any(|c| changes().next().is_some_and(|first| first.key[column] != c.key[column]))
    };
    let told: Vec<bool> =
        (0..difference.keys.len()).map(|column| changes().count() == 1 || varies(column)).collect();
    let mut rows = Vec::new();
    for metric in &difference.metrics {
        for change in metric.changes.iter().take(SHOWN) {
            let key = difference.keys.iter().zip(&change.key).zip(&told);
            let key = key.filter(|((_, value), is_told)| **is_told && !value.is_empty());
            let key: Vec<_> = key.map(|((key, value), _)| format!("{key}={value}")).collect();
            let delta = change.after - change.before;
            let sign = if delta > 0.0 { "+" } else { "" };
            let (metric, delta) = (metric.metric.clone(), format!("{sign}{}", number(delta)));
            rows.push(vec![
                name.clone(),
                metric,
                key.join(" "),
                number(change.before),
                number(change.after),
                delta,
            ]);
        }
    }
    rows
}

/// Four digits that matter.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !size.is_finite() {
        return value.to_string();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let whole = libm::floor(libm::log10(size)) as i32;
    let decimals = (3 - whole).max(0) as usize;
    format!("{value:.decimals$}")
}

/// For programs.
pub(super) fn json(tables: &[Table]) -> Value {
    let table = |Table { name, difference }: &Table| json!({ "table": name, "difference": difference });
    tables.iter().map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_matter() {
        let texts = [0.0, 0.377_12, -12.345_6, 123_456.7, 1.0e-7, f64::NAN].map(number);
        assert_eq!(texts, ["0", "0.3771", "-12.35", "123457", "1.000e-7", "NaN"]);
    }
}
