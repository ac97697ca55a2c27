//! Starts a program that the kernel keeps within its declared access (Landlock).
//!
//! A Landlock domain belongs to a thread and is inherited by the processes that it starts. So a thread made for it restricts
//! itself, starts the program, and ends; the rest of this process stays free.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command};
use std::sync::Once;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::command::access::{Access, System};
use crate::kinds::command::error::{CommandError, hinted};
use crate::stage::{Context, StageError};

/// Whether access to what was not declared is denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sandbox {
    /// Where the kernel can; elsewhere the user is told that nothing is checked.
    #[default]
    Auto,
    /// Denied, or the stage fails.
    Require,
    /// Never.
    Off,
}

/// Starts the program; the flag says whether the kernel checks its access. `access` is what its stage declares.
pub(super) fn spawn(
    command: &mut Command,
    access: Option<&Access>,
    system: System<'_>,
    sandbox: Sandbox,
) -> Result<(Child, bool), StageError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = |command: &mut Command| {
        command.spawn().map_err(|source| hinted(CommandError::Start { program: program.clone(), source }))
    };
    let Some(access) = access else { return Ok((start(command)?, false)) };
    let within = || {
        let is_checked = restrict(access, system, command.get_program())
            .map_err(|source| hinted(CommandError::Sandbox { source }))?;
        if !is_checked && sandbox == Sandbox::Require {
            let source = io::ErrorKind::Unsupported.into();
            return Err(hinted(CommandError::Sandbox { source }));
        }
        Ok((start(command)?, is_checked))
    };
    std::thread::scope(|scope| match scope.spawn(within).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Tells, once, that the kernel checks nothing.
pub(super) fn tell_unchecked(context: &Context) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        context.note("file access of commands is not checked: this kernel offers no Landlock");
    });
}

/// Restricts this thread; `false` where the kernel cannot.
#[cfg(target_os = "linux")]
fn restrict(access: &Access, system: System<'_>, program: &OsStr) -> io::Result<bool> {
    use landlock::{
        ABI, Access as _, AccessFs, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
        RulesetStatus,
    };
    // The latest that limits access to files (device ioctls); an older kernel checks what it knows.
    let abi = ABI::V5;
    let (read, all) = (AccessFs::from_read(abi), AccessFs::from_all(abi));
    let (system, own) = (opened::of_system(system, program)?, opened::open(access));
    let mut rules =
        Ruleset::default().handle_access(all).and_then(Ruleset::create).map_err(io::Error::other)?;
    for opened in [&*system, &own] {
        let devices = read | AccessFs::WriteFile | AccessFs::IoctlDev;
        for (folders, allowed) in [(&opened.read, read), (&opened.devices, devices), (&opened.write, all)] {
            // What a rule on a file cannot allow is left out of it.
            let rule = |folder| Ok::<_, RulesetError>(PathBeneath::new(folder, allowed));
            rules = rules.add_rules(folders.iter().map(rule)).map_err(io::Error::other)?;
        }
    }
    let status = rules.restrict_self().map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the other system")]
fn restrict(_: &Access, _: System<'_>, _: &OsStr) -> io::Result<bool> {
    Ok(false)
}

/// Folders as Landlock wants them: opened.
#[cfg(target_os = "linux")]
mod opened {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ffi::{OsStr, OsString};
    use std::io;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use landlock::PathFd;

    use crate::base::fsx;
    use crate::kinds::command::access::{Access, System, outermost};

    /// An [`Access`] with its folders opened.
    pub(super) struct Opened {
        pub(super) read: Vec<PathFd>,
        pub(super) devices: Vec<PathFd>,
        pub(super) write: Vec<PathFd>,
    }

    type Known = BTreeMap<(PathBuf, OsString, OsString), Arc<Opened>>;

    /// What the system offers does not change while this program runs, and opening it all takes longer than many a command.
    pub(super) fn of_system(system: System<'_>, program: &OsStr) -> io::Result<Arc<Opened>> {
        static KNOWN: Mutex<Known> = Mutex::new(Known::new());
        let mut known = KNOWN.lock().expect("no holder panics");
        let key = (system.root.to_owned(), system.path.to_owned(), program.to_owned());
        if let Some(opened) = known.get(&key) {
            return Ok(Arc::clone(opened));
        }
        let mut access = Access::of_system(system, program).map_err(io::Error::other)?;
        let real = |path: &PathBuf| fsx::canonicalize(path).ok();
        access.read = outermost(access.read.iter().filter_map(real));
        let opened = Arc::new(open(&access));
        known.insert(key, Arc::clone(&opened));
        Ok(opened)
    }

    /// Opens the paths that can be opened: access to others is worth nothing.
    pub(super) fn open(access: &Access) -> Opened {
        let open =
            |paths: &BTreeSet<PathBuf>| paths.iter().filter_map(|path| PathFd::new(path).ok()).collect();
        Opened { read: open(&access.read), devices: open(&access.devices), write: open(&access.write) }
    }
}
