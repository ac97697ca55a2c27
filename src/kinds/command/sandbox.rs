//! Starts a program that the kernel keeps within its declared access (Landlock).
//!
//! A Landlock domain belongs to a thread and is inherited by the processes that it starts. So a thread made for it restricts
//! itself, starts the program, and ends; the rest of this process stays free.

use std::io;
use std::process::{Child, Command};
use std::sync::Once;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::command::access::Access;
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

/// Starts the program; the flag says whether the kernel checks its access.
pub(super) fn spawn(
    command: &mut Command,
    access: Option<&Access>,
    sandbox: Sandbox,
) -> Result<(Child, bool), StageError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = |command: &mut Command| {
        command.spawn().map_err(|source| hinted(CommandError::Start { program: program.clone(), source }))
    };
    let Some(access) = access else { return Ok((start(command)?, false)) };
    let within = || {
        let is_checked = restrict(access).map_err(|source| hinted(CommandError::Sandbox { source }))?;
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
fn restrict(access: &Access) -> io::Result<bool> {
    use landlock::{
        ABI, Access as _, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
        path_beneath_rules,
    };
    // The latest that limits access to files (device ioctls); an older kernel checks what it knows.
    let abi = ABI::V5;
    let read = AccessFs::from_read(abi);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(&access.read, read)))
        .and_then(|rules| {
            let access_of_devices = read | AccessFs::WriteFile | AccessFs::IoctlDev;
            rules.add_rules(path_beneath_rules(&access.devices, access_of_devices))
        })
        .and_then(|rules| rules.add_rules(path_beneath_rules(&access.write, AccessFs::from_all(abi))))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the other system")]
fn restrict(_: &Access) -> io::Result<bool> {
    Ok(false)
}
