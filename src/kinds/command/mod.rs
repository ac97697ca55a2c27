//! `command`: any program, with declared inputs and outputs.
//!
//! The program runs in a folder of its own, with a declared environment, and (where the kernel offers Landlock) without access to
//! anything that was not declared. So what it reads is what the key names. One concept a file: `workplace` lays the folders out,
//! `access` says what may be read and written, `sandbox` starts the program under that, `program` finds it, waits for it and ends
//! it, `log` keeps what it prints, `stamps` sees whether what it read has changed, `outputs` takes what it wrote.
//!
//! Deliberately not here: a shield against malice (the network, shared memory and `/dev` stay open), containers, retries. PATH,
//! system folders, installations of programs and what `read` names are not in the key: a program that matters belongs in `files`.

mod access;
mod error;
mod log;
mod outputs;
mod paths;
mod program;
mod sandbox;
mod stamps;
#[cfg(test)]
mod tests;
mod workplace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{FILES, parameters};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};
use access::{Access, System};
use error::{CommandError, hinted};
use log::Log;
use program::{Run, Text};
use sandbox::Sandbox;
use stamps::Stamps;
use workplace::Workplace;

/// Parameters of `command`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// A text for `sh -c`; or a program and its arguments.
    run: Run,
    /// What it writes, relative to its working folder; a path that ends in `/` is a folder, taken whole.
    #[serde(deserialize_with = "parameters::one_or_more")]
    #[schemars(with = "OneOrMore<String>")]
    outputs: BTreeSet<String>,
    /// Files and folders of the project that it reads; they are in its working folder under the same paths.
    #[serde(
        default,
        deserialize_with = "parameters::any_number",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    #[schemars(with = "OneOrMore<String>")]
    files: BTreeSet<String>,
    /// Variables of its environment, beside those that every command has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, Text>,
    /// Whether the kernel denies access to what was not declared.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    sandbox: Sandbox,
    /// Further places, outside the project, that it may read. Their content is not in the key.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    read: BTreeSet<String>,
}

impl Stage for Command {
    const KIND: &'static str = "command";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "run any program, with declared inputs and outputs";
    const SLOTS: &'static [Slot] = &[];
    const OPEN: Option<Slot> = Some(Slot::one("*", ArtifactType::ANY));
    const OUTPUT: ArtifactType = FILES;

    fn check(&self) -> Result<(), ParameterError> {
        self.run.check()?;
        paths::check_outputs(&self.outputs)?;
        paths::check_files(&self.files, &self.outputs)?;
        if let Some(name) = self.env.keys().find(|name| !workplace::is_variable(name)) {
            let message = format!("'{name}' cannot be the name of a variable");
            return Err(ParameterError::new("env", message, "use letters, digits and '_', a letter first"));
        }
        if let Some(path) = self.read.iter().find(|path| !path.starts_with('/')) {
            let hint = "write it from '/' on; what belongs to the project is declared under 'files'";
            return Err(ParameterError::new("read", format!("'{path}' is not an absolute path"), hint));
        }
        Ok(())
    }

    fn sources(&self) -> Vec<String> {
        self.files.iter().map(|path| paths::bare(path).to_owned()).collect()
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        context.check_cancelled()?;
        let root = fsx::absolute(context.root)?;
        let files: Vec<PathBuf> = self.files.iter().map(|path| root.join(paths::bare(path))).collect();
        let objects = inputs.0.values().flatten().flat_map(|artifact| artifact.files.0.values());
        let objects: Vec<PathBuf> = objects.map(|path| fsx::absolute(path)).collect::<Result<_, _>>()?;

        let place = Workplace::lay_out(&root, &self.files, inputs, context.scratch)?;
        let environment = place.environment(&self.env, context.threads)?;
        let mut log = Log::new(context.log, &self.run);
        let mut prepared = program::prepare(&self.run, &environment, &place.work)?;
        let stamps = || Stamps::of(files.iter().chain(&objects));
        let before = stamps()?;

        let is_own = files.is_empty() && self.read.is_empty() && !place.points_elsewhere();
        let access = match self.sandbox {
            Sandbox::Off => None,
            Sandbox::Auto | Sandbox::Require => {
                let mut access = Access::default();
                access.write.extend(place.writable());
                access.read.extend(place.readable().cloned());
                access.read.extend(files.iter().chain(before.real()).cloned());
                access.read.extend(self.read.iter().map(PathBuf::from));
                Some(access)
            }
        };
        let system = System { root: &root, path: &environment["PATH"] };
        let (child, is_checked) =
            sandbox::spawn(&mut prepared.command, access, is_own, system, self.sandbox)?;
        if !is_checked && self.sandbox == Sandbox::Auto {
            sandbox::tell_unchecked(context);
        }
        let status = program::wait(child, &prepared, &mut log, context.cancel)?;
        if !status.success() {
            return Err(hinted(CommandError::ended(status, log.last_lines(), context.log, is_checked)));
        }
        if let Some(path) = before.first_difference(&stamps()?) {
            return Err(hinted(CommandError::Changed { path: path.to_owned() }));
        }
        outputs::take(&self.outputs, &place.work, context.out)?;
        if let Some(note) = outputs::left(&place.work) {
            context.note(note);
        }
        Ok(())
    }
}
