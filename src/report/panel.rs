//! An aggregated table as a heatmap that is a table: every cell can be read, and errors have a threshold to move.

use std::fmt::Write;

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::figure::heatmap::Heatmap;
use crate::figure::scale::number;
use crate::report::palette;
use crate::table::grid::{Grid, Summary};
use crate::table::order::{self, FULL_MODEL, RERAND};
use crate::table::reference::SOURCE;

/// A table of the pipeline.
pub struct Panel {
    /// Its stage, with its coordinates.
    pub name: String,
    /// What it shows, and in which colours.
    pub map: Heatmap,
    /// The values.
    pub grid: Grid,
    /// The published values, cell by cell as those of the grid; empty if there are none.
    pub published: Vec<Option<f64>>,
    /// Which publication that is, as in `Fig1a`.
    pub figure: String,
    /// A reset is critical if it raises the error by more than this.
    pub threshold: f64,
}

impl Panel {
    /// Its place on the page.
    pub(super) fn anchor(&self) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        format!("table-{}", self.name.chars().map(letter).collect::<String>())
    }

    /// Whether rows are layers that were reset, and values errors: only these are robust or critical.
    pub(super) fn is_judged(&self) -> bool {
        self.grid.metric == "error" && self.grid.column_name == "source" && self.last().is_some()
    }

    /// The column of the last epoch: a layer that is reset to it is as it was.
    fn last(&self) -> Option<usize> {
        self.grid.columns.iter().rposition(|column| order::is_epoch(column))
    }

    /// What the columns are called.
    pub(super) fn headings(&self) -> Vec<String> {
        let is_source = self.grid.column_name == SOURCE;
        let word = |column: &String| if is_source { order::source(column) } else { column.clone() };
        self.grid.columns.iter().map(word).collect()
    }

    fn full_model(&self) -> Option<usize> {
        self.grid.rows.iter().position(|row| row.iter().any(|name| name == FULL_MODEL))
    }

    pub(super) fn value(&self, row: usize, column: usize) -> Option<f64> {
        self.summary(row, column).map(|summary| summary.mean)
    }

    pub(super) fn summary(&self, row: usize, column: usize) -> Option<&Summary> {
        self.grid.cells[row * self.grid.columns.len() + column].as_ref()
    }

    /// What the reset costs; `None` of the full model.
    pub(super) fn cost(&self, row: usize, column: usize) -> Option<f64> {
        let last = self.last().filter(|last| *last != column && self.is_judged())?;
        if Some(row) == self.full_model() {
            return None;
        }
        let base = self.value(row, last).or_else(|| self.value(self.full_model()?, last))?;
        Some(self.value(row, column)? - base)
    }

    /// What resetting each row to a column costs, by the name of the row.
    pub fn costs(&self, column: &str) -> Vec<(String, f64)> {
        let Some(at) = self.grid.columns.iter().position(|other| other == column) else { return Vec::new() };
        let rows = self.map.rows.iter().cloned().enumerate();
        rows.filter_map(|(row, name)| Some((name, self.cost(row, at)?))).collect()
    }

    /// The value of a row in the column of the last epoch.
    pub fn last_of(&self, name: &str) -> Option<f64> {
        let row = self.map.rows.iter().position(|other| other == name)?;
        self.value(row, self.last()?)
    }

    /// What the script needs to know.
    pub(super) fn data(&self) -> Value {
        let columns = self.grid.columns.len();
        let means: Vec<_> = self.grid.cells.iter().map(|cell| cell.map(|summary| summary.mean)).collect();
        let table = |values: &[Option<f64>]| values.chunks(columns).map(<[_]>::to_vec).collect::<Vec<_>>();
        json!({
            "anchor": self.anchor(),
            "rows": self.map.rows,
            "columns": self.headings(),
            "ours": table(&means),
            "published": table(&self.published),
            "judged": self.is_judged(),
            "last": self.last(),
            "full": self.full_model(),
            "max": self.map.scale.max,
            "decimals": self.map.decimals,
        })
    }

    pub(super) fn section(&self) -> Markup {
        html! {
            section class="panel" id=(self.anchor()) {
                h2 { (self.map.title) }
                (self.controls())
                div class="scroll" tabindex="0" role="group" aria-label=(self.map.title) { (self.heatmap()) }
                @if self.is_judged() { p class="count" aria-live="polite" { (self.count()) } }
            }
        }
    }

    fn controls(&self) -> Markup {
        let (anchor, threshold) = (self.anchor(), format!("{:.2}", self.threshold));
        html! {
            form class="controls script" {
                @if !self.published.is_empty() {
                    fieldset {
                        legend class="hidden" { "Which values" }
                        @for (view, words) in [("ours", "ours"), ("published", &*self.figure), ("difference", "ours − published")] {
                            label { input type="radio" name="view" value=(view) checked[view == "ours"]; (words) }
                        }
                    }
                }
                @if self.is_judged() {
                    label for={ (anchor) "-threshold" } { "critical if the error rises by more than" }
                    input type="range" id={ (anchor) "-threshold" } name="threshold" min="0" max="1" step="0.01" value=(threshold);
                    output for={ (anchor) "-threshold" } { (threshold) }
                }
            }
        }
    }

    fn heatmap(&self) -> Markup {
        html! {
            table class="heatmap" {
                caption class="hidden" { (self.map.title) ": " (self.grid.metric) }
                thead {
                    tr {
                        th scope="col" { (self.grid.row_names.join(", ")) }
                        @for heading in self.headings() { th scope="col" { (heading) } }
                    }
                }
                tbody {
                    @for (i, name) in self.map.rows.iter().enumerate() {
                        tr class=[(Some(i) == self.full_model()).then_some("full")] {
                            th scope="row" { (name) }
                            @for j in 0..self.grid.columns.len() { (self.cell(i, j)) }
                        }
                    }
                }
            }
        }
    }

    fn cell(&self, row: usize, column: usize) -> Markup {
        let Some(value) = self.value(row, column) else { return html! { td class="none" { "–" } } };
        let is_critical = self.cost(row, column).is_some_and(|cost| cost > self.threshold);
        let style = palette::cell(self.map.scale.fraction(value), is_critical);
        let told = self.told(row, column);
        html! { td class=[is_critical.then_some("critical")] style=(style) title=(told) { (number(value, self.map.decimals)) } }
    }

    /// All that is known of a cell, in words.
    fn told(&self, row: usize, column: usize) -> String {
        let decimals = self.map.decimals;
        let mut told = format!("{}, {}", self.map.rows[row], self.headings()[column]);
        if let Some(summary) = self.summary(row, column) {
            _ = write!(told, ": {:.decimals$}", summary.mean);
            if let Some(half) = summary.half_width() {
                _ = write!(told, " ± {half:.decimals$} (95 %, n = {})", summary.n);
            }
        }
        if let Some(published) = self.published.get(row * self.grid.columns.len() + column).copied().flatten()
        {
            _ = write!(told, "; published {published:.decimals$}");
        }
        if let Some(cost) = self.cost(row, column) {
            _ = write!(told, "; the reset costs {}", format!("{cost:+.decimals$}").replace('-', "−"));
        }
        told
    }

    /// `reset to 0: 1 critical, 3 robust`, for each way of resetting that a layer is judged by.
    fn count(&self) -> String {
        let judged = |column: &&String| matches!(column.as_str(), "0" | RERAND);
        let of = |column: &String| {
            let at = self.grid.columns.iter().position(|other| other == column).unwrap_or_default();
            let costs: Vec<f64> = (0..self.grid.rows.len()).filter_map(|row| self.cost(row, at)).collect();
            let critical = costs.iter().filter(|cost| **cost > self.threshold).count();
            let name = order::source(column);
            format!("{name}: {critical} critical, {} robust", costs.len() - critical)
        };
        self.grid.columns.iter().filter(judged).map(of).collect::<Vec<_>>().join(" · ")
    }
}
