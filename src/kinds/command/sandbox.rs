//! Starts a program that the kernel keeps within its declared access (Landlock).
//!
//! A Landlock domain belongs to a thread and is inherited by the processes that it starts. So a thread made for it restricts itself
//! and starts the program; the rest of this process stays free. It starts the next one too, if that may use the very same: short
//! commands that read only what other stages made follow each other by the thousand. A rule holds for the file that it was made
//! for, not for one that takes its place later; so what is not this program's own (a declared file) is looked up for every command.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Once;
use std::sync::mpsc::{Receiver, Sender, channel};

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

/// Starts the program; the flag says whether the kernel checks its access. `access` is what its stage declares, `is_own` that all of
/// it was made by this program and stays.
pub(super) fn spawn(
    command: &mut Command,
    access: Option<Access>,
    is_own: bool,
    system: System<'_>,
    sandbox: Sandbox,
) -> Result<(Child, bool), StageError> {
    let failure = |command: &Command, source| {
        let program = command.get_program().to_string_lossy().into_owned();
        hinted(CommandError::Start { program, source })
    };
    let Some(access) = access else {
        return command.spawn().map(|child| (child, false)).map_err(|e| failure(command, e));
    };
    let domain = Domain {
        access,
        root: system.root.to_owned(),
        path: system.path.to_owned(),
        program: command.get_program().to_owned(),
    };
    let refused = |source| hinted(CommandError::Sandbox { source });
    let launcher = match LAUNCHER.take() {
        Some(kept) if kept.domain == domain => kept,
        _ => Launcher::start(domain).map_err(refused)?,
    };
    let is_checked = launcher.is_checked;
    if !is_checked && sandbox == Sandbox::Require {
        return Err(refused(io::ErrorKind::Unsupported.into()));
    }
    let child = launcher.launch(command);
    if is_own {
        LAUNCHER.set(Some(launcher));
    }
    child.map(|child| (child, is_checked)).map_err(|e| failure(command, e))
}

thread_local! {
    /// The launcher of the programs that this thread runs, one after the other.
    static LAUNCHER: RefCell<Option<Launcher>> = const { RefCell::new(None) };
}

/// What a program may use: what its stage declares, and what of the system goes with it.
#[derive(Clone, PartialEq)]
struct Domain {
    access: Access,
    root: PathBuf,
    path: OsString,
    program: OsString,
}

/// A thread that starts programs within one domain. It ends when this is dropped.
struct Launcher {
    domain: Domain,
    is_checked: bool,
    commands: Sender<Command>,
    started: Receiver<(Command, io::Result<Child>)>,
}

impl Launcher {
    fn start(domain: Domain) -> io::Result<Self> {
        let (commands, to_start) = channel::<Command>();
        let (answer, started) = channel();
        let (told, is_checked) = channel();
        let within = domain.clone();
        std::thread::Builder::new().spawn(move || {
            let restricted = restrict(&within);
            let is_restricted = restricted.is_ok();
            if told.send(restricted).is_err() || !is_restricted {
                return;
            }
            for mut command in to_start {
                let child = command.spawn();
                if answer.send((command, child)).is_err() {
                    return;
                }
            }
        })?;
        let is_checked = is_checked.recv().unwrap_or_else(|e| Err(io::Error::other(e)))?;
        Ok(Self { domain, is_checked, commands, started })
    }

    fn launch(&self, command: &mut Command) -> io::Result<Child> {
        let order = std::mem::replace(command, Command::new(""));
        self.commands.send(order).map_err(io::Error::other)?;
        let (order, child) = self.started.recv().map_err(io::Error::other)?;
        *command = order;
        child
    }
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
fn restrict(domain: &Domain) -> io::Result<bool> {
    use landlock::{
        ABI, Access as _, AccessFs, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
        RulesetStatus,
    };
    // The latest that limits access to files (device ioctls); an older kernel checks what it knows.
    let abi = ABI::V5;
    let (read, all) = (AccessFs::from_read(abi), AccessFs::from_all(abi));
    let (system, own) = (opened::of_system(domain)?, opened::open(&domain.access));
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
fn restrict(_: &Domain) -> io::Result<bool> {
    Ok(false)
}

/// Folders as Landlock wants them: opened.
#[cfg(target_os = "linux")]
mod opened {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ffi::OsString;
    use std::io;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use landlock::PathFd;

    use crate::base::fsx;
    use crate::kinds::command::access::{Access, System, outermost};
    use crate::kinds::command::sandbox::Domain;

    /// An [`Access`] with its folders opened.
    pub(super) struct Opened {
        pub(super) read: Vec<PathFd>,
        pub(super) devices: Vec<PathFd>,
        pub(super) write: Vec<PathFd>,
    }

    type Known = BTreeMap<(PathBuf, OsString, OsString), Arc<Opened>>;

    /// What the system offers does not change while this program runs, and opening it all takes longer than many a command.
    pub(super) fn of_system(domain: &Domain) -> io::Result<Arc<Opened>> {
        static KNOWN: Mutex<Known> = Mutex::new(Known::new());
        let mut known = KNOWN.lock().expect("no holder panics");
        let Domain { root, path, program, .. } = domain;
        let key = (root.clone(), path.clone(), program.clone());
        if let Some(opened) = known.get(&key) {
            return Ok(Arc::clone(opened));
        }
        let mut access = Access::of_system(System { root, path }, program).map_err(io::Error::other)?;
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
