//! The command line: the only place that prints, reads the environment, and knows all the rest.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a stage failed, 2 bad input or usage, 70 a bug, 130 stopped
//! by the user.
#![expect(clippy::print_stderr, reason = "this is the module that prints")]

mod archive;
mod check;
mod claims;
mod cluster;
mod completions;
mod content;
mod diff;
mod du;
mod events;
mod exec;
mod explain;
mod failure;
mod gc;
mod graph;
mod init;
mod live;
mod log;
mod machine;
mod metrics;
mod nearness;
mod page;
mod plan;
mod progress;
mod project;
mod reading;
mod remote;
mod report;
mod reproduce;
mod run;
mod schema;
mod show;
mod sides;
mod sign;
mod signals;
mod status;
mod summary;
mod tag;
mod tensorboard;
mod verdicts;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::cli::failure::Failure;
use crate::pipeline::{Override, Variation};

/// Which layers of a network are critical, which robust.
///
/// A pipeline file describes a graph of stages: download, train, checkpoint, reset, evaluate, aggregate, or any program (command). Every output is named by its
/// content and cached; an edit reruns only what it touches.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a pipeline: what is done already is taken from the store
    Run(run::Run),
    /// Cancel the jobs of a run on a cluster
    Cancel(cluster::Cancel),
    /// Watch a run from another shell: stages, learning curves
    Watch(watch::Watch),
    /// Say for each stage whether its result is there, and if not, why
    Status(status::Status),
    /// Say what `run` would do
    Plan(plan::Plan),
    /// Say what makes the key of a stage, and how it differs from the nearest execution
    Explain(explain::Explain),
    /// Open a result as text: a stage's files, one of them, or whatever has a digest
    Show(show::Show),
    /// Write all that a run came to as one page: results/<pipeline>/report.html
    Report(report::Report),
    /// Draw the pipeline: Mermaid, DOT or SVG
    Graph(graph::Graph),
    /// Print what the last attempt of a stage wrote
    Log(log::Log),
    /// Put two states of results side by side: locks, revisions, a pipeline file
    Diff(diff::Diff),
    /// Say which sentences of the study hold, by the results that are there
    Claims(claims::Claims),
    /// Say all that is wrong with pipeline files, without running anything
    Check(check::Check),
    /// Write a commented pipeline to start from
    Init(init::Init),
    /// Write the JSON Schema of pipeline files, for editors
    Schema(schema::Schema),
    /// Write completions for a shell
    Completions(completions::Completions),
    /// Write the manual page
    Man(completions::Man),
    /// Check every byte: objects, records, locks, published files; or do stages again and compare
    Verify(verify::Verify),
    /// Remove from the store what no lock, tag or recent run refers to
    Gc(gc::Gc),
    /// Keep the results of a pipeline as they are now, whatever is run and collected later
    Tag(tag::Tag),
    /// Say what takes how much space
    Du(du::Du),
    /// Pack results into one file that others can check, import and run again
    Archive(archive::Archive),
    /// Bring results to a cache that others share: a bucket, or a folder
    Push(remote::Push),
    /// Take results from a shared cache into the store, every byte checked
    Pull(remote::Pull),
    /// Sign what the results are, so that others can check whose they are
    Sign(sign::Sign),
    /// Run one stage, as a job of a cluster does
    #[command(hide = true)]
    Exec(exec::Exec),
    /// Do all of an archive again, from nothing, and say stage by stage whether the results are the same
    Reproduce(reproduce::Reproduce),
}

/// What every command on a pipeline takes.
#[derive(Args)]
struct Target {
    /// The pipeline file, as in pipelines/fig1.yaml
    pipeline: std::path::PathBuf,
    /// Only these stages and what they need, as in fit, 'fit[seed=0]' or 'fig*'
    stages: Vec<String>,
    #[command(flatten)]
    vary: Vary,
    /// Where results and the store are [default: results/ beside the folder of the pipeline]
    #[arg(long, value_name = "DIR")]
    results: Option<std::path::PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

/// Other values than those that stand in the file.
#[derive(Args, Clone)]
struct Vary {
    /// One of the pipeline's scales, as in minute; its results have a folder of their own
    #[arg(long, value_name = "NAME")]
    scale: Option<String>,
    /// Another value for a parameter or an axis of the pipeline, as in seed=1 or seed=[0,1]
    #[arg(long = "set", value_name = "NAME=VALUE")]
    overrides: Vec<Override>,
}

impl From<Vary> for Variation {
    fn from(Vary { scale, overrides }: Vary) -> Self {
        Self { scale, overrides }
    }
}

/// Parses the arguments, does what they say, renders what went wrong.
pub fn main() -> ExitCode {
    let result = std::panic::catch_unwind(|| {
        let arguments = Arguments::parse();
        machine::choose_kernels()?;
        execute(arguments.command)
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            eprint!("{}", failure.render(failure::Style::of_stderr()));
            ExitCode::from(failure.exit_code())
        }
        Err(_) => {
            eprintln!("this is a bug of layerwise: please report it with the lines above");
            ExitCode::from(70)
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(command) => command.execute(),
        Command::Cancel(command) => command.execute(),
        Command::Exec(command) => command.execute(),
        Command::Watch(command) => command.execute(),
        Command::Status(command) => command.execute(),
        Command::Plan(command) => command.execute(),
        Command::Explain(command) => command.execute(),
        Command::Show(command) => command.execute(),
        Command::Report(command) => command.execute(),
        Command::Graph(command) => command.execute(),
        Command::Log(command) => command.execute(),
        Command::Diff(command) => command.execute(),
        Command::Claims(command) => command.execute(),
        Command::Check(command) => command.execute(),
        Command::Init(command) => command.execute(),
        Command::Schema(command) => command.execute(),
        Command::Completions(command) => command.execute(),
        Command::Man(command) => command.execute(),
        Command::Verify(command) => command.execute(),
        Command::Gc(command) => command.execute(),
        Command::Tag(command) => command.execute(),
        Command::Du(command) => command.execute(),
        Command::Archive(command) => command.execute(),
        Command::Push(command) => command.execute(),
        Command::Pull(command) => command.execute(),
        Command::Sign(command) => command.execute(),
        Command::Reproduce(command) => command.execute(),
    }
}
