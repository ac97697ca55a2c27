//! What a program wrote: declared outputs are moved out of the working folder, the rest is mentioned.

use std::collections::BTreeSet;
use std::fs::{FileType, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::base::fsx;
use crate::kinds::command::error::{CommandError, hinted};
use crate::kinds::command::paths;
use crate::stage::StageError;

/// How many names a message shows.
const SHOWN: usize = 5;

/// Moves every declared output from the working folder to `out`, under the same name.
pub(super) fn take(outputs: &BTreeSet<String>, work: &Path, out: &Path) -> Result<(), StageError> {
    for name in outputs {
        let bare = paths::bare(name);
        let metadata = find(bare, work)?;
        match (name.ends_with('/'), metadata) {
            (_, None) => {
                return Err(hinted(CommandError::NoOutput { name: name.clone(), present: regular(work) }));
            }
            (true, Some(metadata)) if metadata.is_dir() => take_folder(bare, work, out)?,
            (false, Some(metadata)) if metadata.is_file() => take_file(bare, &metadata, work, out)?,
            (is_folder, Some(metadata)) => {
                return Err(wrong(bare, &metadata, if is_folder { "a folder" } else { "a file" }));
            }
        }
    }
    Ok(())
}

/// Says what else is in the working folder.
pub(super) fn left(work: &Path) -> Option<String> {
    if fsx::is_empty_dir(work).unwrap_or(false) {
        return None;
    }
    let names = regular(work);
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0 => None,
        1 => Some(format!("a file that is not among 'outputs' is not kept: {shown}")),
        count => Some(format!("{count} files that are not among 'outputs' are not kept: {shown}{more}")),
    }
}

/// What is at a path below the working folder. A link on the way there would lead out of it.
fn find(name: &str, work: &Path) -> Result<Option<Metadata>, StageError> {
    let mut found = None;
    for (end, _) in name.match_indices('/').chain([(name.len(), "")]) {
        let metadata = match fsx::link_metadata(&work.join(&name[..end])) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        if end < name.len() && !metadata.is_dir() {
            return Err(wrong(&name[..end], &metadata, "a folder"));
        }
        found = Some(metadata);
    }
    Ok(found)
}

fn take_folder(name: &str, work: &Path, out: &Path) -> Result<(), StageError> {
    let names = fsx::list(&work.join(name))?;
    if names.is_empty() {
        return Err(hinted(CommandError::EmptyFolder { name: name.to_owned() }));
    }
    for name in names.iter().map(|below| format!("{name}/{below}")) {
        let metadata = fsx::link_metadata(&work.join(&name))?;
        if metadata.is_dir() {
            take_folder(&name, work, out)?;
        } else if metadata.is_file() {
            take_file(&name, &metadata, work, out)?;
        } else {
            return Err(wrong(&name, &metadata, "a file"));
        }
    }
    Ok(())
}

fn take_file(name: &str, metadata: &Metadata, work: &Path, out: &Path) -> Result<(), StageError> {
    let (from, to) = (work.join(name), out.join(name));
    if name.contains('/') {
        fsx::create_dir_all(to.parent().expect("a name in a folder has one above"))?;
    }
    // Bytes that have another name too could be changed there later.
    let is_shared = metadata.nlink() > 1;
    (if is_shared { fsx::copy(&from, &to) } else { fsx::rename(&from, &to) })?;
    Ok(())
}

fn wrong(name: &str, metadata: &Metadata, expected: &'static str) -> StageError {
    hinted(CommandError::WrongOutput {
        name: name.to_owned(),
        found: describe(metadata.file_type()),
        expected,
    })
}

fn describe(found: FileType) -> &'static str {
    match found {
        found if found.is_file() => "a file",
        found if found.is_dir() => "a folder",
        found if found.is_symlink() => "a symbolic link",
        found if found.is_fifo() => "a pipe",
        found if found.is_socket() => "a socket",
        _ => "a device",
    }
}

/// The regular files below the working folder; what is declared is linked there, so it is not among them. For messages only,
/// so what cannot be read is skipped.
fn regular(work: &Path) -> Vec<String> {
    fn add(folder: &Path, prefix: &str, names: &mut Vec<String>) {
        for name in fsx::list(folder).unwrap_or_default() {
            let (path, name) = (folder.join(&name), format!("{prefix}{name}"));
            match fsx::link_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => add(&path, &format!("{name}/"), names),
                Ok(metadata) if metadata.is_file() => names.push(name),
                _ => {}
            }
        }
    }
    let mut names = Vec::new();
    add(work, "", &mut names);
    names
}
