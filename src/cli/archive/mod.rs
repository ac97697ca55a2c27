//! `layerwise archive`: results as one file.

mod create;
mod read;

use std::path::Path;

use clap::{Args, Subcommand};

use crate::archive::{self, Holdings, ImportError, MakeError, ReadError};
use crate::base::signature::Trusted;
use crate::cli::failure::Failure;
use crate::cli::progress::Bar;
use crate::cli::sign;

/// Arguments of `archive`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  layerwise archive create pipelines/fig1.yaml -o fig1.tar.zst
  layerwise archive create pipelines/fig4.yaml --split 2GB
  layerwise archive verify fig1.tar.zst
  layerwise archive import fig1.tar.zst && layerwise run pipelines/fig1.yaml
  layerwise archive diff fig1.tar.zst fig1-of-others.tar.zst")]
pub(super) struct Archive {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pack a pipeline's results, and all they were made from, into one file
    Create(create::Create),
    /// Check every byte and every reference of an archive, without a store
    Verify(read::Verify),
    /// Say what an archive holds
    List(read::List),
    /// Say in what two archives differ
    Diff(read::Diff),
    /// Check an archive, then take its results into the store
    Import(read::Import),
}

impl Archive {
    pub(super) fn execute(self) -> Result<(), Failure> {
        match self.command {
            Command::Create(command) => command.execute(),
            Command::Verify(command) => command.execute(),
            Command::List(command) => command.execute(),
            Command::Diff(command) => command.execute(),
            Command::Import(command) => command.execute(),
        }
    }
}

/// Reads and checks an archive, and lays nothing anywhere.
pub(super) fn open(file: &Path, trusted: Option<&Trusted>) -> Result<Holdings, Failure> {
    let bar = Bar::new("read");
    Ok(archive::read(file, trusted, &|_| None, &|done, total| bar.tell(done, total))?)
}

/// What a README says of an archive, in a line of Markdown.
fn badge(file: &Path, pipeline: &str, identity: &str) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("Results of {pipeline}: `layerwise archive verify {name} --identity {identity}`")
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        let hint = match error.problem {
            archive::Problem::Disk(error) => {
                let hint = "correct the path, or make some room, and try again".to_owned();
                return Self::Input { message: error.to_string(), hint };
            }
            archive::Problem::NotSigned | archive::Problem::Signature(_) => sign::HINT,
            archive::Problem::Newer { .. } => "use the version of layerwise that wrote it",
            archive::Problem::Volume { .. } => "put all volumes into one folder, each as its author has it",
            archive::Problem::NotOne => "name a file that 'layerwise archive create' wrote",
            _ => "get the file again, and compare its identity with what its author says",
        };
        Self::Wrong { message, hint: hint.to_owned() }
    }
}

impl From<MakeError> for Failure {
    fn from(error: MakeError) -> Self {
        let message = error.to_string();
        let hint = match error {
            MakeError::NotRun { .. } => "run the pipeline first, with 'layerwise run'",
            MakeError::Clash { .. } => "rename one of the two files of the project",
            MakeError::Damaged { .. } => "repair the store with 'layerwise verify --repair', then run again",
            MakeError::File(error) => return error.into(),
            MakeError::Store(error) => return error.into(),
        };
        Self::Input { message, hint: hint.to_owned() }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let message = error.to_string();
        let hint = match error {
            ImportError::Read(error) => return error.into(),
            ImportError::Store(error) => return error.into(),
            ImportError::NothingThere => "ask for an archive that was made without '--only tables'",
            ImportError::Contradiction { .. } => "import it into another store, with '--results DIR'",
        };
        Self::Wrong { message, hint: hint.to_owned() }
    }
}
