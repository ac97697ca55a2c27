//! What the one who watches has chosen, and how keys change it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::cli::watch::state::Run;

/// How the curves are drawn, which stage is selected, whether it is enough.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    /// `None` follows what runs.
    pub(super) selected: Option<usize>,
    pub(super) metric: Metric,
    pub(super) is_logarithmic: bool,
    pub(super) is_over: bool,
}

/// What the curves are of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    #[default]
    Error,
    Loss,
}

impl Metric {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Loss => "loss",
        }
    }
}

impl View {
    /// The stage that is selected: by keys, or because it runs.
    pub(super) fn place(&self, run: &Run) -> Option<usize> {
        self.selected.or_else(|| run.focus())
    }

    /// What the view is after a key.
    pub(super) fn after(mut self, key: KeyEvent, run: &Run) -> Self {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => self.is_over = true,
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Up | KeyCode::Char('k') => self.go(run, -1),
            KeyCode::Down | KeyCode::Char('j') => self.go(run, 1),
            KeyCode::PageUp => self.go(run, -PAGE),
            KeyCode::PageDown => self.go(run, PAGE),
            KeyCode::Home => self.go(run, isize::MIN),
            KeyCode::End => self.go(run, isize::MAX),
            KeyCode::Char('f') | KeyCode::Esc => self.selected = None,
            KeyCode::Char('e') => self.metric = Metric::Error,
            KeyCode::Char('l') => self.metric = Metric::Loss,
            KeyCode::Char('g') => self.is_logarithmic = !self.is_logarithmic,
            _ => {}
        }
        self
    }

    fn go(&mut self, run: &Run, by: isize) {
        let Some(last) = run.stages.len().checked_sub(1) else { return };
        let here = self.place(run).unwrap_or(0);
        self.selected = Some(here.saturating_add_signed(by).min(last));
    }
}

/// How many stages a page has.
const PAGE: isize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::state::tests::run;

    #[test]
    fn keys_select_and_switch() {
        let run = run("");
        let press = |view: View, code: KeyCode| view.after(KeyEvent::from(code), &run);
        let view = View::default();
        assert_eq!(view.place(&run), Some(1), "it follows the training");
        let below = press(view, KeyCode::Down);
        assert_eq!(below.place(&run), Some(2));
        assert_eq!(press(below, KeyCode::Char('k')), View { selected: Some(1), ..view });
        assert_eq!(press(below, KeyCode::PageDown).selected, Some(4));
        assert_eq!(press(below, KeyCode::Home).selected, Some(0));
        assert_eq!(press(press(below, KeyCode::End), KeyCode::Down).selected, Some(4));
        assert_eq!(press(below, KeyCode::Char('f')), view);
        assert_eq!(press(view, KeyCode::Char('l')).metric, Metric::Loss);
        assert!(press(view, KeyCode::Char('g')).is_logarithmic);
        assert!(press(view, KeyCode::Char('q')).is_over);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(view.after(control_c, &run).is_over && !press(view, KeyCode::Char('c')).is_over);
        assert_eq!(press(view, KeyCode::Char('x')), view);
        assert_eq!(
            view.after(KeyCode::Down.into(), &Run::default()),
            view,
            "nothing is there to be selected"
        );
    }
}
