//! The keys of the latest runs: what they made is kept even where no lock names it, so that going back to an earlier
//! configuration, or on from an interrupted run, finds everything still there.

use std::collections::BTreeSet;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::stage::StageKey;
use crate::store::Store;

/// How many runs of each pipeline are remembered.
const REMEMBERED: usize = 5;

impl Store {
    /// Notes the keys of a run. One like the latest is not noted again, so that a run that finds all done writes nothing.
    pub fn note_run(&self, pipeline: &str, keys: &BTreeSet<StageKey>) -> Result<(), FileError> {
        let bytes: Vec<u8> = keys.iter().flat_map(|key| *key.digest().bytes()).collect();
        let folder = self.root.join("runs");
        let notes = self.notes(pipeline)?;
        let says_the_same =
            |(_, name): &(u64, String)| fsx::read(&folder.join(name)).is_ok_and(|b| b == bytes);
        if notes.last().is_some_and(says_the_same) {
            return Ok(());
        }
        let next = notes.last().map_or(0, |(number, _)| number + 1);
        fsx::write_atomic(&folder.join(format!("{pipeline}-{next}")), &bytes)?;
        let (same, others): (Vec<_>, Vec<_>) = notes.into_iter().partition(says_the_same);
        let surplus = (others.len() + 1).saturating_sub(REMEMBERED);
        let mut forgotten = same.iter().chain(others.iter().take(surplus));
        forgotten.try_for_each(|(_, name)| fsx::remove_file(&folder.join(name)))
    }

    /// The keys of all remembered runs.
    pub fn noted_keys(&self) -> Result<BTreeSet<StageKey>, FileError> {
        let folder = self.root.join("runs");
        let mut keys = BTreeSet::new();
        for name in fsx::files_below(&folder)?.iter().filter(|name| !fsx::is_temporary(name)) {
            let bytes = fsx::read(&folder.join(name))?;
            let (digests, _) = bytes.as_chunks::<32>();
            keys.extend(digests.iter().map(|bytes| StageKey::from(Digest::from(*bytes))));
        }
        Ok(keys)
    }

    /// The notes of a pipeline, oldest first.
    fn notes(&self, pipeline: &str) -> Result<Vec<(u64, String)>, FileError> {
        let number = |name: String| {
            let number = name.strip_prefix(pipeline)?.strip_prefix('-')?.parse().ok()?;
            Some((number, name))
        };
        let mut notes: Vec<_> =
            fsx::files_below(&self.root.join("runs"))?.into_iter().filter_map(number).collect();
        notes.sort();
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_runs_are_remembered_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = |n: u8| StageKey::from(Digest::of(&[n]));
        let note = |pipeline: &str, n: u8| store.note_run(pipeline, &[key(n)].into()).unwrap();
        let remembered =
            || (0..20).filter(|n| store.noted_keys().unwrap().contains(&key(*n))).collect::<Vec<_>>();
        note("fig-1", 19);
        for n in [0, 0, 1, 0, 1, 0] {
            note("fig", n);
        }
        assert_eq!((remembered(), store.notes("fig").unwrap().len()), (vec![0, 1, 19], 2));
        for n in 2..8 {
            note("fig", n);
        }
        assert_eq!(remembered(), [3, 4, 5, 6, 7, 19]);
    }
}
