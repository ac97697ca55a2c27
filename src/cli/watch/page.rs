//! The state of a run as a page of text, for who is on no terminal.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cli::page::{columns, row};
use crate::cli::watch::state::Run;
use crate::cli::watch::view::{Metric, View};
use crate::cli::watch::{chart, words};

/// How large a chart is.
const WIDTH: u16 = 80;
const HEIGHT: u16 = 12;

/// The page.
pub(super) fn text(run: &Run, now: f64) -> String {
    let mut rows = vec![row(["stage", "kind", "status", "", "time", ""])];
    rows.extend(run.stages.iter().map(|stage| {
        let (percent, time) = (words::percent(stage), words::time(stage, run, now));
        let note = words::note(stage);
        row([&stage.name, &stage.kind, words::status(stage.status), &percent, &time, &note])
    }));
    let head = format!(
        "{}: {}, {} (process {} on {})",
        run.pipeline,
        words::phase(run, now),
        words::counts(run),
        run.pid,
        run.host
    );
    let charts: String = [Metric::Error, Metric::Loss].map(|metric| chart_text(run, metric)).concat();
    format!("{head}\n{}{charts}", columns(&rows, "  "))
}

/// The curves of the training that is worth a look, if there is one.
fn chart_text(run: &Run, metric: Metric) -> String {
    let Some(stage) = run.curves_beside(View::default().place(run)) else { return String::new() };
    let mut buffer = Buffer::empty(Rect::new(0, 0, WIDTH, HEIGHT));
    chart::draw(stage, metric, false, buffer.area, &mut buffer);
    let line = |y: u16| -> String { (0..WIDTH).map(|x| buffer[(x, y)].symbol()).collect() };
    let lines = (0..HEIGHT).map(|y| format!("{}\n", line(y).trim_end()));
    format!("\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::cli::watch::state::tests::run;

    #[test]
    fn a_page_says_what_the_screen_says() {
        assert_snapshot!(text(&run(""), 110.0));
    }
}
