//! `layerwise completions` and `layerwise man`: what clap knows of the commands, for shells and for `man`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Arguments;
use crate::cli::failure::Failure;
use crate::cli::page;

/// Arguments of `completions`.
#[derive(Args)]
pub(super) struct Completions {
    /// The shell whose completions to write to stdout
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "layerwise", &mut text);
        page::print(text)
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
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text).expect("memory can be written");
        page::print(text)
    }
}
