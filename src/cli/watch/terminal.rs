//! Shows a run on the terminal until the viewer has seen enough.

use std::path::Path;
use std::sync::atomic::Ordering;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use crate::cli::failure::Failure;
use crate::cli::watch::follow::Follow;
use crate::cli::watch::view::View;
use crate::cli::watch::{PAUSE, screen};
use crate::cli::{machine, signals};

/// Takes the screen, and gives it back as it was: at the end, after a failure, a panic or a signal.
pub(super) fn show(path: &Path) -> Result<(), Failure> {
    let mut follow = Follow::open(path)?;
    let terminal = ratatui::try_init().map_err(|error| refused(&error))?;
    let shown = show_on(terminal, &mut follow);
    ratatui::restore();
    shown
}

fn show_on(mut terminal: DefaultTerminal, follow: &mut Follow) -> Result<(), Failure> {
    let (is_stopped, mut view) = (signals::catch(), View::default());
    while !view.is_over && !is_stopped.load(Ordering::Relaxed) {
        follow.poll()?;
        let draw = |frame: &mut ratatui::Frame| {
            screen::draw(&follow.run, view, machine::now(), frame.area(), frame.buffer_mut());
        };
        terminal.draw(draw).map_err(|error| refused(&error))?;
        // All keys that wait, then the screen once.
        let mut pause = PAUSE;
        while event::poll(pause).map_err(|error| refused(&error))? {
            if let Event::Key(key) = event::read().map_err(|error| refused(&error))? {
                view = view.after(key, &follow.run);
            }
            pause = std::time::Duration::ZERO;
        }
    }
    Ok(())
}

fn refused(error: &std::io::Error) -> Failure {
    Failure::Input {
        message: format!("the terminal cannot be used: {error}"),
        hint: "add '--once' for a page of text, or '--json'".to_owned(),
    }
}
