//! `layerwise watch`: what a run is doing, seen from any shell.
//!
//! A run writes what happens to a file ([`crate::store::live`]); here it is followed, and the run never notices. What is known is a
//! function of the lines (`state`), what is drawn a function of what is known and of what the viewer chose (`screen`, `page`).

mod chart;
mod follow;
mod page;
mod screen;
mod state;
mod terminal;
mod view;
mod words;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::base::suggest;
use crate::cli::failure::Failure;
use crate::cli::watch::follow::Follow;
use crate::cli::{machine, project};
use crate::store::live::{self, LiveReader};

/// Between two looks at the file.
const PAUSE: Duration = Duration::from_millis(100);

/// Arguments of `watch`.
#[derive(Args)]
pub(super) struct Watch {
    /// The pipeline: its file, its name or its folder of results [default: the one that told something last]
    pipeline: Option<PathBuf>,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Print the state as it is now, and end: what is done without this where stdout is no terminal
    #[arg(long)]
    once: bool,
    /// Write the events as JSON lines to stdout until the run ends
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let path = self.log()?;
        if self.json {
            return print_lines(&path, self.once);
        }
        if self.once || !std::io::stdout().is_terminal() {
            let mut follow = Follow::open(&path)?;
            follow.poll()?;
            return super::page::print(page::text(&follow.run, machine::now()));
        }
        terminal::show(&path)
    }

    /// The file of the run to watch.
    fn log(&self) -> Result<PathBuf, Failure> {
        let results = project::results(self.results.as_deref());
        let mut logs = live::logs(&results.join("store"))?;
        let Some(pipeline) = &self.pipeline else {
            return logs.into_iter().next().map(|(_, path)| path).ok_or_else(|| Failure::Input {
                message: format!("no run has left anything to watch in '{}'", results.display()),
                hint: "start one in another shell, as in 'layerwise run pipelines/quick.yaml'".to_owned(),
            });
        };
        let name = project::pipeline_name(pipeline);
        if let Some(found) = logs.iter().position(|(pipeline, _)| *pipeline == name) {
            return Ok(logs.swap_remove(found).1);
        }
        let others = logs.iter().map(|(pipeline, _)| pipeline.as_str());
        let hint = match suggest::nearest(&name, others) {
            Some(other) => format!("did you mean '{other}'?"),
            None if pipeline.is_file() => {
                format!("start one in another shell: 'layerwise run {}'", pipeline.display())
            }
            None => "start one in another shell: 'layerwise run' and the pipeline's file".to_owned(),
        };
        let message = format!("no run of '{name}' has left anything to watch in '{}'", results.display());
        Err(Failure::Input { message, hint })
    }
}

/// Prints the lines as they are; those that come until the run ends, too, unless once is enough.
fn print_lines(path: &Path, once: bool) -> Result<(), Failure> {
    let mut reader = LiveReader::open(path)?;
    loop {
        let goes_on = reader.is_written();
        let lines: String = reader.lines()?.into_iter().map(|line| line + "\n").collect();
        let is_read = super::page::print_to_reader(lines)?;
        if once || !goes_on || !is_read {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}
