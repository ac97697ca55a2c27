//! What is submitted together, as files in the store: the only channel between who submits and what runs.
//!
//! ```text
//! slurm/batches/<pipeline>-<nonce>/batch.json   what its jobs must know: pipeline, scale, values, program
//!                                  tasks        a line per node: its name, its key
//!                                  job.sh       the script, as it was submitted
//!                                  job          the array's number, once Slurm has said it
//!                                  <j>.log      what Slurm caught of what the job printed, by its index in the array
//!                                  <i>.started  who began the node of line i, created with O_EXCL; a second start of the same job is <i>.started-1
//!                                  <i>.told     lines about how it goes
//!                                  <i>.end      what the job itself says it came to; the first to say so stands
//! slurm/open/<key>                              the attempt that is under way: <batch> <line>
//! ```
//!
//! A job does one line, or as many one after another as `batch.json` says.
//!
//! A job succeeded if and only if its record is in the store: an end that says so only tells where to look at once.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::fsx::{self, FileError};
use crate::base::nonce::nonce;
use crate::slurm::share::Share;
use crate::stage::StageKey;

/// Where all of it is.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// What the jobs of a batch must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// Its scale.
    pub scale: Option<String>,
    /// Other values, as after `--set`.
    pub overrides: Vec<String>,
    /// Where results and the store are.
    pub results: Option<PathBuf>,
    /// What the program is that submitted: see [`identity`](crate::slurm::identity).
    pub program: String,
    /// The threads of each job.
    pub threads: usize,
    /// The seconds after which each job should stop by itself and keep its state, if its time is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// How many nodes a job does, one after another.
    #[serde(default)]
    pub share: Share,
}

/// A line per node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The node, as in `fit[seed=0]`.
    pub node: String,
    /// Its key.
    pub key: StageKey,
    /// Whether to do it even if it is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// An attempt to make a node: a batch and an index in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// The name of the batch.
    pub batch: String,
    /// The index in its array.
    pub index: u32,
}

/// What a job says it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The record is there.
    Done,
    /// The stage failed.
    Failed {
        /// What went wrong.
        error: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It could not begin: the pipeline, the program or the machine are not those of the submission.
    Refused {
        /// What is not the same.
        error: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It was not begun: the time for all nodes of its job was over.
    Left,
    /// It was told to stop by this signal, and kept its state.
    Stopped {
        /// `USR1` before the time is over, `TERM` when it is cancelled or gives way.
        signal: String,
    },
}

/// What is seen of an attempt in its batch's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It began.
    Started,
    /// It ended.
    Ended(End),
}

impl Folder {
    /// Below the folder of a store, the one that holds `v1`.
    pub fn new(store: &Path) -> Self {
        Self { root: store.join("v1").join("slurm") }
    }

    /// Whether anything was ever submitted.
    pub fn is_there(&self) -> bool {
        fsx::is_dir(&self.root)
    }

    /// The folder of a batch.
    pub fn batch(&self, batch: &str) -> PathBuf {
        self.root.join("batches").join(batch)
    }

    /// A file of an attempt.
    pub fn file(&self, attempt: &Attempt, extension: &str) -> PathBuf {
        self.batch(&attempt.batch).join(format!("{}.{extension}", attempt.index))
    }

    /// Writes what is to be submitted.
    pub fn write(&self, batch: &str, header: &Header, lines: &[Line], script: &str) -> Result<(), FileError> {
        let folder = self.batch(batch);
        let mut tasks = lines.iter().map(to_text).collect::<Vec<_>>().join("\n");
        tasks.push('\n');
        fsx::place(&folder.join("tasks"), tasks.as_bytes())?;
        fsx::place(&folder.join("job.sh"), script.as_bytes())?;
        fsx::write_atomic(&folder.join("batch.json"), to_text(header).as_bytes())
    }

    /// What the jobs of a batch must know.
    pub fn header(&self, batch: &str) -> Result<Header, FileError> {
        let path = self.batch(batch).join("batch.json");
        parse(&path, &fsx::read_to_string(&path)?)
    }

    /// The index of the job in its array that does what an attempt is.
    pub fn job_index(&self, attempt: &Attempt) -> u32 {
        self.header(&attempt.batch).map_or(attempt.index, |header| header.share.job(attempt.index))
    }

    /// What all jobs of a batch are to do.
    pub fn lines(&self, batch: &str) -> Result<Vec<Line>, FileError> {
        let path = self.batch(batch).join("tasks");
        fsx::read_to_string(&path)?.lines().map(|line| parse(&path, line)).collect()
    }

    /// Writes down the number that Slurm gave.
    pub fn submitted(&self, batch: &str, job: u64) -> Result<(), FileError> {
        fsx::place(&self.batch(batch).join("job"), job.to_string().as_bytes())
    }

    /// The number that Slurm gave, if it is known.
    pub fn job(&self, batch: &str) -> Option<u64> {
        fsx::read_to_string(&self.batch(batch).join("job")).ok()?.trim().parse().ok()
    }

    /// The batches that there are.
    pub fn batches(&self) -> Vec<String> {
        fsx::list(&self.root.join("batches")).unwrap_or_default()
    }

    /// Opens an attempt to make a key: `None` if that is ours now, or the one that is under way.
    pub fn open(&self, key: StageKey, attempt: &Attempt) -> Result<Option<Attempt>, FileError> {
        let path = self.open_path(key);
        let text = format!("{} {}\n", attempt.batch, attempt.index);
        // Written elsewhere first: nobody reads half of it.
        let written = self.root.join(format!(".{}.tmp", nonce()));
        fsx::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        loop {
            fsx::place(&written, text.as_bytes())?;
            let linked = fsx::hard_link(&written, &path);
            fsx::remove_file(&written)?;
            match linked {
                Ok(()) => return Ok(None),
                Err(error) if !error.is_there_already() => return Err(error),
                Err(_) => {}
            }
            if let Some(theirs) = self.under_way(key) {
                return Ok(Some(theirs).filter(|theirs| theirs != attempt));
            }
        }
    }

    /// The attempt that is under way.
    pub fn under_way(&self, key: StageKey) -> Option<Attempt> {
        let text = fsx::read_to_string(&self.open_path(key)).ok()?;
        let (batch, index) = text.trim().rsplit_once(' ')?;
        Some(Attempt { batch: batch.to_owned(), index: index.parse().ok()? })
    }

    /// An attempt is over, whatever it came to.
    pub fn close(&self, key: StageKey, attempt: &Attempt) -> Result<(), FileError> {
        if self.under_way(key).as_ref() == Some(attempt) {
            fsx::remove_file(&self.open_path(key))
        } else {
            Ok(())
        }
    }

    /// Which jobs of a batch began and which ended, by reading the folder: so no host's memory of names that were not there is asked.
    pub fn look(&self, batch: &str, is_news: &dyn Fn(u32, bool) -> bool) -> Vec<(u32, Seen)> {
        let names = fsx::list(&self.batch(batch)).unwrap_or_default();
        let seen = |name: String| {
            let (index, what) = name.split_once('.')?;
            let index: u32 = index.parse().ok()?;
            match what {
                "started" if is_news(index, false) => Some((index, Seen::Started)),
                "end" if is_news(index, true) => {
                    let attempt = Attempt { batch: batch.to_owned(), index };
                    Some((index, Seen::Ended(self.end(&attempt)?)))
                }
                _ => None,
            }
        };
        names.into_iter().filter_map(seen).collect()
    }

    /// What an attempt says it came to.
    pub fn end(&self, attempt: &Attempt) -> Option<End> {
        let path = self.file(attempt, "end");
        parse(&path, &fsx::read_to_string(&path).ok()?).ok()
    }

    /// Says that an attempt begins; how often it did before.
    pub fn start(&self, attempt: &Attempt, who: &str) -> Result<u32, FileError> {
        for before in 0.. {
            let extension = if before == 0 { "started".to_owned() } else { format!("started-{before}") };
            let path = self.file(attempt, &extension);
            match fsx::create_new(&path) {
                Ok(mut file) => {
                    fsx::write_all(&mut file, &path, who.as_bytes())?;
                    return Ok(before);
                }
                Err(error) if error.is_there_already() => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("there are fewer starts than numbers")
    }

    /// Says what an attempt came to, unless that was said before.
    pub fn finish(&self, attempt: &Attempt, end: &End) -> Result<(), FileError> {
        let (path, written) = (self.file(attempt, "end"), self.file(attempt, &format!("{}.tmp", nonce())));
        fsx::place(&written, to_text(end).as_bytes())?;
        let linked = fsx::hard_link(&written, &path);
        fsx::remove_file(&written)?;
        match linked {
            Err(error) if !error.is_there_already() => fsx::place(&path, to_text(end).as_bytes()),
            _ => Ok(()),
        }
    }

    fn open_path(&self, key: StageKey) -> PathBuf {
        self.root.join("open").join(key.to_string())
    }
}

fn to_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("it is plain data")
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    serde_json::from_str(text).map_err(|error| FileError::new("read", path, error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;

    #[test]
    fn an_attempt_goes_its_way() {
        let store = tempfile::tempdir().unwrap();
        let folder = Folder::new(store.path());
        let key = StageKey::from(Digest::of(b"key"));
        let attempts = ["a-1", "a-2"].map(|batch| Attempt { batch: batch.into(), index: 1 });
        assert_eq!(folder.open(key, &attempts[0]).unwrap(), None);
        assert_eq!(folder.open(key, &attempts[1]).unwrap(), Some(attempts[0].clone()));
        folder.close(key, &attempts[1]).unwrap();
        assert_eq!(folder.under_way(key), Some(attempts[0].clone()), "only its own attempt closes it");

        let header = Header {
            pipeline: "p.yaml".into(),
            scale: None,
            overrides: Vec::new(),
            results: None,
            program: "x".into(),
            threads: 2,
            seconds: None,
            share: Share::default(),
        };
        let lines = ["b", "c"].map(|node| Line { node: node.into(), key, again: node == "c" });
        folder.write("a-1", &header, &lines, "#!/bin/sh\n").unwrap();
        assert_eq!(
            (folder.header("a-1").unwrap(), folder.lines("a-1").unwrap()[1].clone()),
            (header, lines[1].clone())
        );
        assert_eq!(folder.job("a-1"), None);
        folder.submitted("a-1", 17).unwrap();
        assert_eq!((folder.job("a-1"), folder.batches()), (Some(17), vec!["a-1".to_owned()]));

        assert_eq!(
            (folder.start(&attempts[0], "n1").unwrap(), folder.start(&attempts[0], "n2").unwrap()),
            (0, 1)
        );
        folder.finish(&attempts[0], &End::Stopped { signal: "USR1".into() }).unwrap();
        folder.finish(&attempts[0], &End::Done).unwrap();
        let seen = folder.look("a-1", &|_, _| true);
        let end = End::Stopped { signal: "USR1".into() };
        assert_eq!(seen, [(1, Seen::Ended(end)), (1, Seen::Started)], "the first end stands");
        assert_eq!(folder.look("a-1", &|_, is_end| !is_end), [(1, Seen::Started)]);
        folder.close(key, &attempts[0]).unwrap();
        assert_eq!(folder.open(key, &attempts[1]).unwrap(), None);
    }
}
