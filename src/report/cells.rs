//! All cells of all tables, to be sorted, searched, and saved.

use maud::{Markup, html};

use crate::report::panel::Panel;

const HEAD: [&str; 11] = [
    "table",
    "row",
    "column",
    "n",
    "mean",
    "std",
    "95 % low",
    "95 % high",
    "published",
    "difference",
    "cost",
];

pub(super) fn section(panels: &[Panel]) -> Markup {
    html! {
        @if !panels.is_empty() {
            section id="cells" {
                h2 { "All cells" }
                form class="controls script" {
                    label for="filter" { "show rows with" }
                    input type="search" id="filter" placeholder="layer1 reset to 0";
                    button type="button" id="save" { "save as CSV" }
                    output id="shown" for="filter" {}
                }
                div class="scroll tall" tabindex="0" role="group" aria-label="All cells" {
                    table id="all" {
                        caption class="hidden" { "Every cell of every table" }
                        thead { tr { @for name in HEAD { th scope="col" { button type="button" { (name) } } } } }
                        tbody { @for panel in panels { (rows(panel)) } }
                    }
                }
            }
        }
    }
}

fn rows(panel: &Panel) -> Markup {
    let (names, headings) = (&panel.map.rows, panel.headings());
    let columns = headings.len();
    html! {
        @for (i, name) in names.iter().enumerate() {
            @for (j, heading) in headings.iter().enumerate() {
                @if let Some(summary) = panel.summary(i, j) {
                    @let published = panel.published.get(i * columns + j).copied().flatten();
                    tr {
                        td { (panel.name) }
                        td { (name) }
                        td { (heading) }
                        td { (summary.n) }
                        td { (rounded(summary.mean)) }
                        td { (text(summary.std)) }
                        td { (text(summary.ci95.map(|ends| ends.0))) }
                        td { (text(summary.ci95.map(|ends| ends.1))) }
                        td { (text(published)) }
                        td { (text(published.map(|published| summary.mean - published))) }
                        td { (text(panel.cost(i, j))) }
                    }
                }
            }
        }
    }
}

/// To seven significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.6e}").parse().unwrap_or(value)
}

fn text(value: Option<f64>) -> String {
    value.map(|value| rounded(value).to_string()).unwrap_or_default()
}
