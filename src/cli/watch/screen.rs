//! The full-screen view: what is known of a run and what the viewer chose, drawn.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::cli::watch::state::{Phase, Run, Stage, Status};
use crate::cli::watch::view::View;
use crate::cli::watch::{chart, words};

const KEYS: &str = "q quit   ↑↓ select   f follow   e error   l loss   g logarithmic";
/// A chart takes no more lines.
const CHART: u16 = 18;
/// A screen of fewer lines has no chart.
const LOW: u16 = 16;
/// A name of more characters is cut.
const NAME: usize = 40;

/// Draws all of it.
pub(super) fn draw(run: &Run, view: View, now: f64, area: Rect, buffer: &mut Buffer) {
    let place = view.place(run);
    let curves = run.curves_beside(place).filter(|_| area.height >= LOW);
    let chart = if curves.is_some() { CHART.min(area.height / 2) } else { 0 };
    let [head, list, below, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(0),
        Constraint::Length(chart),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(run, now, head, buffer);
    draw_list(run, place, now, list, buffer);
    if let Some(stage) = curves {
        chart::draw(stage, view.metric, view.is_logarithmic, below, buffer);
    }
    Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM)).render(foot, buffer);
}

/// The pipeline, how far it is, and a bar of it.
fn draw_head(run: &Run, now: f64, area: Rect, buffer: &mut Buffer) {
    let done = run.count(&[Status::Done, Status::Cached]);
    let colour = match run.phase {
        Phase::Running => Color::Cyan,
        Phase::Ended if done == run.stages.len() => Color::Green,
        Phase::Ended | Phase::Died => Color::Red,
    };
    let line = Line::from(vec![
        Span::styled(run.pipeline.as_str(), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        Span::styled(words::phase(run, now), Style::new().fg(colour)),
        Span::raw(format!("  {}", words::counts(run))),
    ]);
    let bar = words::bar(done as f64 / run.stages.len().max(1) as f64, area.width as usize);
    let rows = [line, Line::styled(bar, Style::new().fg(colour))];
    rows.into_iter().zip(area.rows()).for_each(|(line, row)| line.render(row, buffer));
}

/// A line for each stage; if they do not fit, those around the selected one.
fn draw_list(run: &Run, place: Option<usize>, now: f64, area: Rect, buffer: &mut Buffer) {
    let (height, count) = (area.height as usize, run.stages.len());
    let first = place.unwrap_or(0).saturating_sub(height / 2).min(count.saturating_sub(height));
    let width = run.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0).min(NAME);
    for (at, row) in (first..count).zip(area.rows()) {
        stage_line(run, at, width, area.width, now).render(row, buffer);
        if place == Some(at) {
            buffer.set_style(row, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

/// What there is to say of a stage; on a narrow screen, only what is most wanted.
fn stage_line(run: &Run, at: usize, width: usize, room: u16, now: f64) -> Line<'_> {
    let stage = &run.stages[at];
    let name: String = stage.name.chars().take(width).collect();
    let mut spans = vec![
        Span::styled(format!("{:<9} ", words::status(stage.status)), style(stage.status)),
        Span::raw(format!("{name:<width$}  ")),
    ];
    if room >= 100 {
        spans.push(Span::styled(format!("{:<10} ", stage.kind), Style::new().add_modifier(Modifier::DIM)));
    }
    if room >= 70 {
        spans.push(Span::styled(bar(stage), style(stage.status)));
    }
    spans.push(Span::raw(format!(" {:>4} {:>12}  ", words::percent(stage), words::time(stage, run, now))));
    spans.push(Span::raw(words::note(stage)));
    Line::from(spans)
}

/// Of what runs, or stopped on its way.
fn bar(stage: &Stage) -> String {
    const WIDTH: usize = 12;
    match (stage.status, stage.share()) {
        (
            Status::Waiting
            | Status::InQueue
            | Status::Elsewhere
            | Status::Skipped
            | Status::Cached
            | Status::Done,
            _,
        )
        | (_, None) => " ".repeat(WIDTH),
        (_, Some(share)) => words::bar(share, WIDTH),
    }
}

fn style(status: Status) -> Style {
    match status {
        Status::Running => Style::new().fg(Color::Cyan),
        Status::Done => Style::new().fg(Color::Green),
        Status::Failed | Status::Lost => Style::new().fg(Color::Red),
        Status::Stopped | Status::Elsewhere | Status::InQueue => Style::new().fg(Color::Yellow),
        Status::Waiting | Status::Cached | Status::Skipped => Style::new().add_modifier(Modifier::DIM),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::watch::state::tests::run;
    use crate::cli::watch::view::Metric;

    fn screen(run: &Run, view: View, [width, height]: [u16; 2]) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(run, view, 110.0, frame.area(), frame.buffer_mut())).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_training_is_shown_with_its_curves() {
        assert_snapshot!(screen(&run(""), View::default(), [100, 24]));
        let view = View { metric: Metric::Loss, is_logarithmic: true, ..View::default() };
        assert_snapshot!(screen(&run(""), view, [100, 24]));
    }

    #[test]
    fn a_small_screen_shows_what_is_most_wanted() {
        assert_snapshot!(screen(&run(""), View { selected: Some(4), ..View::default() }, [60, 6]));
        for size in [[1, 1], [3, 40], [200, 2], [10, 16]] {
            screen(&run(""), View::default(), size); // must not panic
        }
        screen(&Run::default(), View::default(), [80, 24]);
    }

    #[test]
    fn a_death_is_told() {
        let mut run = run("");
        run.lose();
        assert_snapshot!(screen(&run, View::default(), [100, 10]));
    }
}
