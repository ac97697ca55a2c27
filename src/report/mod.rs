//! A page that answers: verdicts, heatmaps with a threshold to move, figures, all cells, how it came about. One file, no request.
//!
//! All that the page says is in its HTML; the script only recolours, recounts, sorts, filters and saves. So it can be printed, read
//! by a screen reader, and opened in twenty years.

mod cells;
mod palette;
mod panel;
mod stages;
mod verdicts;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use panel::Panel;
pub use stages::Made;
pub use verdicts::Claim;

use crate::table::tidy::Tidy;

/// What the page is made of.
pub struct Report {
    /// The pipeline's name, with the scale.
    pub pipeline: String,
    /// What it says of itself: the question.
    pub about: String,
    /// Its claims.
    pub claims: Vec<Claim>,
    /// Its aggregated tables.
    pub panels: Vec<Panel>,
    /// Its other tables, which are no heatmaps, by the names of their stages.
    pub tables: Vec<(String, Tidy)>,
    /// Further pictures, as SVG, by title.
    pub pictures: Vec<(String, String)>,
    /// The graph of its stages, as SVG.
    pub graph: String,
    /// Its stages.
    pub stages: Vec<Made>,
    /// Stages without a result.
    pub missing: Vec<String>,
    /// Facts of the whole, by name: versions, digests.
    pub facts: Vec<(&'static str, String)>,
    /// The commands that make this page.
    pub commands: Vec<String>,
}

/// Whatever the page holds, a browser asks no server for anything on its behalf.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Writes the page.
pub fn page(report: &Report) -> String {
    let data = serde_json::json!({
        "palettes": palette::all(),
        "panels": report.panels.iter().map(Panel::data).collect::<Vec<_>>(),
    });
    // A script ends at the first "</", wherever that stands.
    let data = data.to_string().replace("</", "<\\/");
    let title = format!("{}: layerwise", report.pipeline);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#verdicts" { "Skip to the verdicts" }
                header {
                    h1 { (report.pipeline) }
                    p class="about" { (report.about) }
                    (contents(report))
                }
                main {
                    (missing(&report.missing))
                    (verdicts::section(&report.claims))
                    @for panel in &report.panels { (panel.section()) }
                    (tables(&report.tables))
                    (pictures(&report.pictures))
                    (cells::section(&report.panels))
                    section id="graph" {
                        h2 { "The pipeline" }
                        (picture("The graph of the stages", &report.graph))
                    }
                    (stages::section(&report.stages))
                    (again(report))
                }
                script type="application/json" id="data" { (PreEscaped(data)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string() + "\n"
}

fn contents(report: &Report) -> Markup {
    html! {
        nav aria-label="Contents" {
            a href="#verdicts" { "Verdicts" }
            @for panel in &report.panels { a href={ "#" (panel.anchor()) } { (panel.name) } }
            @if !report.tables.is_empty() { a href="#tables" { "Tables" } }
            @if !report.pictures.is_empty() { a href="#pictures" { "Pictures" } }
            @if !report.panels.is_empty() { a href="#cells" { "All cells" } }
            a href="#graph" { "Pipeline" }
            a href="#stages" { "Stages" }
            a href="#again" { "Reproduce" }
        }
    }
}

fn missing(names: &[String]) -> Markup {
    html! {
        @if !names.is_empty() {
            p class="note" role="note" { "Not run yet, and so not here: " (names.join(", ")) "." }
        }
    }
}

fn tables(tables: &[(String, Tidy)]) -> Markup {
    html! {
        @if !tables.is_empty() {
            section id="tables" {
                h2 { "Tables" }
                @for (name, table) in tables {
                    div class="scroll" tabindex="0" role="group" aria-label=(name) {
                        table {
                            caption { (name) }
                            thead { tr { @for column in &table.columns { th scope="col" { (column) } } } }
                            tbody { @for row in &table.rows { tr { @for cell in row { td { (cell) } } } } }
                        }
                    }
                }
            }
        }
    }
}

fn pictures(pictures: &[(String, String)]) -> Markup {
    html! {
        @if !pictures.is_empty() {
            section id="pictures" {
                h2 { "Pictures" }
                @for (title, svg) in pictures { (picture(title, svg)) }
            }
        }
    }
}

/// A picture that is part of the page; its texts can be read and searched.
fn picture(title: &str, svg: &str) -> Markup {
    html! {
        figure class="picture" {
            div class="scroll" tabindex="0" role="group" aria-label=(title) { (PreEscaped(svg)) }
        }
    }
}

fn again(report: &Report) -> Markup {
    html! {
        section id="again" {
            h2 { "Make this page again" }
            pre tabindex="0" { code { (report.commands.join("\n")) } }
            table {
                caption { "What it was made with" }
                tbody {
                    @for (name, value) in &report.facts { tr { th scope="row" { (name) } td class="digest" { (value) } } }
                }
            }
        }
    }
}
