//! Faults for tests: makes the n-th file-system call below a folder fail, as if the process had died there, or the disk were full
//! for a moment; and a power cut, after which nothing needs to be there that was not synced.
//!
//! Compiled for tests only. A fault belongs to a folder, not to a thread: the work that it is to hit may run on several threads,
//! and other tests work in other folders.
#![expect(clippy::disallowed_methods, reason = "what is undone must not be counted as a call")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::rng::Stream;

/// What happens at the chosen call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The process dies: this call fails, and all later ones.
    Death,
    /// The disk is full for the length of one call.
    FullDisk,
}

/// A fault that is armed as long as this lives.
pub(crate) struct Armed {
    folder: PathBuf,
}

struct Plan {
    fault: Fault,
    at: usize,
    calls: usize,
    /// Where what is removed or replaced is kept, and what was done; only for power cuts.
    stash: Option<PathBuf>,
    done: Vec<Done>,
    /// Inodes of files that were written to and not synced.
    dirty: BTreeSet<u64>,
}

/// A change of names, which is on the disk when the folder is synced.
enum Done {
    Made(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    Removed { path: PathBuf, kept: PathBuf },
    Synced(PathBuf),
}

static PLANS: Mutex<BTreeMap<PathBuf, Plan>> = Mutex::new(BTreeMap::new());

fn plans() -> MutexGuard<'static, BTreeMap<PathBuf, Plan>> {
    PLANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Arms a fault at the `at`-th call below a folder, counted from 0.
pub(crate) fn arm(folder: &Path, fault: Fault, at: usize) -> Armed {
    let plan = Plan { fault, at, calls: 0, stash: None, done: Vec::new(), dirty: BTreeSet::new() };
    plans().insert(folder.to_owned(), plan);
    Armed { folder: folder.to_owned() }
}

/// The same, and keeps account of what a power cut could undo, with a folder for what is removed.
pub(crate) fn arm_power_cut(folder: &Path, stash: &Path, at: usize) -> Armed {
    let armed = arm(folder, Fault::Death, at);
    plans().get_mut(folder).expect("it was just armed").stash = Some(stash.to_owned());
    armed
}

impl Armed {
    /// Whether the fault happened.
    pub(crate) fn has_struck(&self) -> bool {
        plans().get(&self.folder).is_some_and(|plan| plan.calls > plan.at)
    }

    /// Undoes, by the throw of a coin each, what was not synced.
    pub(crate) fn cut_power(self, coins: &mut Stream) {
        let plan = plans().remove(&self.folder).expect("it is armed");
        let mut synced = BTreeSet::new();
        for done in plan.done.into_iter().rev() {
            let is_lost = |path: &Path, coins: &mut Stream| {
                !synced.contains(path.parent().expect("below a folder")) && coins.below(2) == 0
            };
            match done {
                Done::Synced(folder) => drop(synced.insert(folder)),
                Done::Made(path) if is_lost(&path, coins) => {
                    let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                }
                Done::Renamed { from, to, replaced } if is_lost(&to, coins) && !from.exists() => {
                    let _ = fs::rename(&to, &from);
                    if let Some(replaced) = replaced {
                        let _ = fs::hard_link(replaced, &to);
                    }
                }
                Done::Removed { path, kept } if is_lost(&path, coins) && !path.exists() => {
                    keep(&kept, &path);
                }
                _ => {}
            }
        }
        tear(&self.folder, &plan.dirty, coins);
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        plans().remove(&self.folder);
    }
}

/// Shortens files that were not synced.
fn tear(folder: &Path, dirty: &BTreeSet<u64>, coins: &mut Stream) {
    for name in crate::base::fsx::files_below(folder).expect("the folder is there") {
        let path = folder.join(name);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if dirty.contains(&metadata.ino()) && coins.below(2) == 0 {
            let mut permissions = metadata.permissions();
            #[expect(clippy::permissions_set_readonly_false, reason = "of a temporary file")]
            permissions.set_readonly(false);
            fs::set_permissions(&path, permissions).expect("own file");
            let length = coins.below(metadata.len() + 1);
            fs::File::options().write(true).open(&path).expect("own file").set_len(length).expect("shorter");
        }
    }
}

/// Called before each call that changes something.
pub(super) fn before(action: &'static str, path: &Path) -> io::Result<()> {
    let mut plans = plans();
    let Some(plan) = plans.iter_mut().find(|(folder, _)| path.starts_with(folder)).map(|(_, plan)| plan)
    else {
        return Ok(());
    };
    let call = plan.calls;
    plan.calls += 1;
    match plan.fault {
        Fault::Death if call >= plan.at => return Err(io::Error::other("the process is dead")),
        Fault::FullDisk if call == plan.at => return Err(io::ErrorKind::StorageFull.into()),
        _ => {}
    }
    if plan.stash.is_some() {
        plan.note(action, path);
    }
    Ok(())
}

/// Called before a rename that will be tried.
pub(super) fn before_rename(from: &Path, to: &Path) {
    let mut plans = plans();
    let plan = plans.iter_mut().find(|(folder, _)| to.starts_with(folder)).map(|(_, plan)| plan);
    if let Some(plan) = plan.filter(|plan| plan.stash.is_some()) {
        let replaced = plan.stashed(to);
        plan.done.push(Done::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
    }
}

impl Plan {
    fn note(&mut self, action: &'static str, path: &Path) {
        let inode = fs::metadata(path).ok().map(|metadata| metadata.ino());
        match action {
            "create" | "open" if inode.is_none() => self.done.push(Done::Made(path.to_owned())),
            "create the folder" => {
                let new: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
                self.done.extend(new.into_iter().rev().map(|folder| Done::Made(folder.to_owned())));
            }
            "write" | "copy to" => self.dirty.extend(inode),
            "sync" if path.is_dir() => self.done.push(Done::Synced(path.to_owned())),
            "sync" => drop(inode.map(|inode| self.dirty.remove(&inode))),
            "remove" | "remove the folder" => {
                if let Some(kept) = self.stashed(path) {
                    self.done.push(Done::Removed { path: path.to_owned(), kept });
                }
            }
            _ => {}
        }
    }

    /// Keeps what is at a path; `None` if there is nothing.
    fn stashed(&self, path: &Path) -> Option<PathBuf> {
        let kept = self.stash.as_ref()?.join(self.done.len().to_string());
        path.exists().then(|| keep(path, &kept))?;
        Some(kept)
    }
}

/// Gives a file, or all files below a folder, second names.
fn keep(from: &Path, to: &Path) {
    if !from.is_dir() {
        let _ = fs::create_dir_all(to.parent().expect("below a folder"));
        let _ = fs::hard_link(from, to);
        return;
    }
    let _ = fs::create_dir_all(to);
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        keep(&entry.path(), &to.join(entry.file_name()));
    }
}
