//! `layerwise completions` and `layerwise man`: what clap knows of the commands, for shells and for `man`.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Arguments;
use crate::cli::failure::Failure;

/// Arguments of `completions`.
#[derive(Args)]
pub(super) struct Completions {
    /// The shell whose completions to write to stdout
    shell: Shell,
}

impl Completions {
    #[expect(clippy::unnecessary_wraps, reason = "the form of every command")]
    pub(super) fn execute(self) -> Result<(), Failure> {
        clap_complete::generate(self.shell, &mut Arguments::command(), "layerwise", &mut io::stdout());
        Ok(())
    }
}

/// Arguments of `man`.
#[derive(Args)]
pub(super) struct Man {
    /// Only the page of this command
    command: Option<String>,
}

impl Man {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let mut command = Arguments::command();
        command.build();
        if let Some(name) = self.command {
            let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
            let found = command.find_subcommand(&name).cloned();
            command = found.ok_or_else(|| Failure::Input {
                message: format!("there is no command '{name}'"),
                hint: crate::base::suggest::hint(&name, names.iter().map(String::as_str)),
            })?;
        }
        clap_mangen::Man::new(command).render(&mut io::stdout()).map_err(|error| Failure::Input {
            message: format!("cannot write the page: {error}"),
            hint: "write it to a file: layerwise man > layerwise.1".to_owned(),
        })
    }
}
