//! Which paths the parameters may name: plain ones below the working folder, none of them inside another.

use std::collections::BTreeSet;
use std::path::Path;

use crate::stage::ParameterError;

/// A path without the `/` that marks a folder.
pub(super) fn bare(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Refuses outputs that are not plain, or of which one would be taken twice.
pub(super) fn check_outputs(outputs: &BTreeSet<String>) -> Result<(), ParameterError> {
    check_plain("outputs", outputs)?;
    // The store takes such names for the leftovers of a write that was cut off.
    if let Some(path) = outputs.iter().find(|path| path.split('/').any(|part| part.starts_with('.'))) {
        let message = format!("'{path}' has a name that begins with a dot");
        return Err(ParameterError::new("outputs", message, "write it under another name"));
    }
    check_apart("outputs", outputs)
}

/// Refuses declared files that are not plain, that are declared twice, or in whose place an output is written.
pub(super) fn check_files(
    files: &BTreeSet<String>,
    outputs: &BTreeSet<String>,
) -> Result<(), ParameterError> {
    check_plain("files", files)?;
    check_apart("files", files)?;
    let clash =
        enclosed(outputs, files).or_else(|| enclosed(files, outputs).map(|(file, output)| (output, file)));
    match clash {
        None => Ok(()),
        Some((output, file)) => {
            let message =
                format!("the output '{output}' and the declared file '{file}' are in each other's place");
            Err(ParameterError::new("outputs", message, "write the output to another folder"))
        }
    }
}

fn check_plain(field: &str, paths: &BTreeSet<String>) -> Result<(), ParameterError> {
    match paths.iter().find_map(|path| Some((path, problem(path)?))) {
        None => Ok(()),
        Some((path, problem)) => {
            let hint = "write a path below the folder, as in 'plots/a.png', or 'plots/' for a folder";
            Err(ParameterError::new(field, format!("'{path}' cannot be a path here: {problem}"), hint))
        }
    }
}

fn problem(path: &str) -> Option<&'static str> {
    let mut parts = bare(path).split('/');
    match path {
        "" => Some("it is empty"),
        _ if path.starts_with('/') => Some("it is absolute"),
        _ if path.contains(['\0', '\n']) => Some("it has a character that does not belong in a name"),
        _ if parts.any(|part| matches!(part, "" | "." | "..")) => {
            Some("it has a part '.', '..' or an empty one")
        }
        _ => None,
    }
}

fn check_apart(field: &str, paths: &BTreeSet<String>) -> Result<(), ParameterError> {
    let twice = paths.iter().find(|path| path.ends_with('/') && paths.contains(bare(path)));
    let inside = paths.iter().find_map(|path| Some((path.as_str(), above(path, paths)?)));
    match inside.or_else(|| twice.map(|path| (bare(path), path.as_str()))) {
        None => Ok(()),
        Some((path, folder)) => {
            let message = format!("'{path}' is already in '{folder}'");
            Err(ParameterError::new(field, message, "leave one of the two out"))
        }
    }
}

/// The first of `paths` that equals one of `others` or lies in it, and that one.
fn enclosed<'a>(paths: &'a BTreeSet<String>, others: &'a BTreeSet<String>) -> Option<(&'a str, &'a str)> {
    paths.iter().find_map(|path| Some((path.as_str(), same(path, others).or_else(|| above(path, others))?)))
}

fn same<'a>(path: &str, paths: &'a BTreeSet<String>) -> Option<&'a str> {
    let name = bare(path);
    paths.get(name).or_else(|| paths.get(&format!("{name}/"))).map(String::as_str)
}

fn above<'a>(path: &str, paths: &'a BTreeSet<String>) -> Option<&'a str> {
    Path::new(bare(path)).ancestors().skip(1).find_map(|folder| same(folder.to_str()?, paths))
}
