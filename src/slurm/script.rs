//! The script of a batch, and what the program is that it runs.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::base::fsx::{self, FileError};
use crate::slurm::profile::Profile;

/// What all batches of a run share.
#[derive(Debug, Clone)]
pub struct Submitter {
    /// The site.
    pub profile: Profile,
    /// This program.
    pub program: PathBuf,
    /// Where it was started: paths are relative to that.
    pub current: PathBuf,
    /// What the environment must say there, as it does here.
    pub environment: Vec<(String, String)>,
    /// The name of its jobs.
    pub name: String,
}

impl Submitter {
    /// A script that runs this program with these arguments in the place of the shell, so that signals reach it.
    pub fn script(&self, arguments: &[String]) -> String {
        let program = self.profile.program.clone().unwrap_or_else(|| quoted(&self.program.to_string_lossy()));
        let mut lines = vec!["#!/bin/sh".to_owned()];
        lines.extend(self.environment.iter().map(|(name, value)| format!("export {name}={}", quoted(value))));
        lines.extend(self.profile.setup.iter().cloned());
        let words: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
        lines.push(format!("exec {program} {}", words.join(" ")));
        lines.join("\n") + "\n"
    }

    /// Options of `sbatch` that do not depend on what is asked for. The log's path is a pattern of Slurm's.
    pub fn options(&self, comment: &str, log: &Path) -> Vec<String> {
        let log = log.to_string_lossy().replace("/%a.log", "/\0a.log").replace('%', "%%").replace('\0', "%");
        vec![
            format!("--job-name={}", self.name),
            format!("--comment={comment}"),
            format!("--chdir={}", self.current.display()),
            format!("--output={log}"),
            "--open-mode=append".to_owned(),
            // A second start under the same number would write where the first still may.
            "--no-requeue".to_owned(),
            "--export=ALL".to_owned(),
            "--input=/dev/null".to_owned(),
        ]
    }
}

/// In quotes for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a program is, short of reading all of it: its length, and pieces from everywhere in it. Another build has other addresses in all
/// of them.
pub fn identity(program: &Path) -> Result<String, FileError> {
    const PIECES: u64 = 64;
    const PIECE: usize = 4096;
    let file: File = fsx::open(program)?;
    let size = fsx::size(program).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE.min(size as usize)];
    let last = size - piece.len() as u64;
    for number in 0..PIECES {
        let read = fsx::read_exact_at(&file, &mut piece, last * number / (PIECES - 1));
        read.map_err(|error| FileError::new("read", program, error))?;
        hasher.update(&piece);
    }
    Ok(format!("{size}-{}", &hasher.finalize().to_hex()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_says_all_that_a_job_needs() {
        let submitter = Submitter {
            profile: Profile { setup: vec!["module load cuda".to_owned()], ..Profile::default() },
            program: "/opt/my tools/layerwise".into(),
            current: "/home/it's me".into(),
            environment: vec![("LAYERWISE_KERNELS".to_owned(), "avx2".to_owned())],
            name: "layerwise-fig1".to_owned(),
        };
        assert_eq!(
            submitter.script(&["exec".to_owned(), "a b".to_owned()]),
            "#!/bin/sh\nexport LAYERWISE_KERNELS=avx2\nmodule load cuda\nexec '/opt/my tools/layerwise' exec 'a b'\n"
        );
        let options = submitter.options("fig1-1", Path::new("/store/100%/fig1-1/%a.log"));
        assert!(options.contains(&"--output=/store/100%%/fig1-1/%a.log".to_owned()), "{options:?}");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn another_program_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let mut bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        fsx::write_atomic(&a, &bytes).unwrap();
        bytes[99_999] ^= 1;
        fsx::write_atomic(&b, &bytes).unwrap();
        assert_eq!(identity(&a).unwrap(), identity(&a).unwrap());
        assert_ne!(identity(&a).unwrap(), identity(&b).unwrap());
    }
}
