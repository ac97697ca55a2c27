//! The right to write one key, between hosts that share nothing but files.
//!
//! File locks ([`lease`](super::lease)) are let go by the system when a process dies, and cost next to nothing; but between hosts many
//! network file systems do not have them, or have them in name only. So in a store that a cluster uses (its folder `claims` says so)
//! whoever executes takes both: first the lock, then the claim. The lock keeps the processes of one host apart at once, the claim those of
//! different hosts; a store that no cluster uses has no claims and pays nothing.
//!
//! A claim is a file that was created with `O_EXCL`: who holds it (a nonce) and a counter that the holder raises every few seconds. Who
//! finds the file unchanged for a minute *of his own clock* takes the holder for dead and moves the file out of the way. No time of one host
//! is compared with that of another. A holder that was cut off and lives on does no harm: it works in folders of its own, and of two that
//! commit the first wins ([`Staging::commit`](super::Staging::commit)).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::base::fsx::{self, FileError};
use crate::base::nonce::nonce;

pub(super) const FOLDER: &str = "claims";
/// How often a holder raises its counter.
const BEAT: Duration = Duration::from_secs(10);
/// For how long a file must not change until its holder is taken for dead.
const PATIENCE: Duration = Duration::from_mins(1);

/// The claims of this process, and what it saw of others.
#[derive(Debug)]
pub(super) struct Claims {
    folder: PathBuf,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    held: BTreeMap<PathBuf, Held>,
    /// What files of others said.
    seen: BTreeMap<PathBuf, Sight>,
    /// When the counters were raised last.
    beaten: Instant,
}

#[derive(Debug)]
struct Held {
    file: File,
    nonce: String,
    count: u64,
}

/// What a claim said, and since when it has said that.
#[derive(Debug)]
struct Sight {
    text: Vec<u8>,
    since: Instant,
}

impl Sight {
    fn new(text: Vec<u8>) -> Self {
        Self { text, since: Instant::now() }
    }

    /// For how long nothing has changed.
    fn age(&mut self, text: Vec<u8>) -> Duration {
        if self.text != text {
            *self = Self::new(text);
        }
        self.since.elapsed()
    }
}

/// Somebody else's claim, looked at from time to time.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    seen: Option<Sight>,
}

impl Watched {
    pub(super) fn new(root: &Path, name: &str) -> Self {
        Self { path: root.join(FOLDER).join(name), seen: None }
    }

    /// Whether the claim is held by somebody on another host who has not been still for too long.
    pub(super) fn is_held_elsewhere(&mut self) -> bool {
        let Ok(text) = fsx::read(&self.path) else { return false };
        let host = String::from_utf8_lossy(&text).split(' ').nth(2).map(str::to_owned);
        if host.is_none_or(|host| *host == *gethostname::gethostname().to_string_lossy()) {
            return false;
        }
        self.seen.get_or_insert_with(|| Sight::new(text.clone())).age(text) < PATIENCE
    }
}

/// The right to write one key; dropping it lets go.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Arc<Claims>,
    path: PathBuf,
}

impl Claims {
    pub(super) fn new(root: &Path) -> Self {
        Self::with_patience(root, PATIENCE)
    }

    fn with_patience(root: &Path, patience: Duration) -> Self {
        let state = State { held: BTreeMap::new(), seen: BTreeMap::new(), beaten: Instant::now() };
        Self { folder: root.join(FOLDER), patience, state: Mutex::new(state) }
    }

    /// Takes the claim on a name, or returns `None` if another holds it.
    pub(super) fn take(self: &Arc<Self>, name: &str) -> Result<Option<Claim>, FileError> {
        let path = self.folder.join(name);
        loop {
            match fsx::create_new(&path) {
                Ok(file) => {
                    let mut held = Held { file, nonce: nonce(), count: 0 };
                    held.beat(&path)?;
                    self.state().held.insert(path.clone(), held);
                    return Ok(Some(Claim { claims: Arc::clone(self), path }));
                }
                Err(error) if error.is_there_already() => {}
                Err(error) => return Err(error),
            }
            if !self.is_dead(&path)? {
                return Ok(None);
            }
        }
    }

    /// Raises the counters of all claims, if it is time.
    pub(super) fn beat(&self) {
        let mut state = self.state();
        if state.beaten.elapsed() < BEAT.min(self.patience / 6) {
            return;
        }
        state.beaten = Instant::now();
        for (path, held) in &mut state.held {
            // A beat that is missed is made up for by the next.
            let _ = held.beat(path);
        }
    }

    /// Names that are claimed by somebody who is alive, judged by looking twice.
    pub(super) fn are_alive(&self) -> Result<bool, FileError> {
        let look = || -> Result<BTreeMap<String, Vec<u8>>, FileError> {
            let names = fsx::list(&self.folder)?.into_iter().filter(|name| !name.starts_with('.'));
            names.map(|name| Ok((name.clone(), Self::text(&self.folder.join(name))?))).collect()
        };
        let (first, start) = (look()?, Instant::now());
        if first.is_empty() {
            return Ok(false);
        }
        while start.elapsed() < self.patience {
            std::thread::sleep(BEAT.min(self.patience / 6));
            if look()? != first {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a claim did not change for too long; it is out of the way then.
    fn is_dead(&self, path: &Path) -> Result<bool, FileError> {
        let text = Self::text(path)?;
        let mut state = self.state();
        let sight = state.seen.entry(path.to_owned()).or_insert_with(|| Sight::new(text.clone()));
        if sight.age(text.clone()) < self.patience {
            return Ok(false);
        }
        state.seen.remove(path);
        drop(state);
        let aside = self.folder.join(format!(".{}.tmp", nonce()));
        match fsx::rename(path, &aside) {
            Err(error) if error.is_not_found() => return Ok(true), // another was faster
            moved => moved?,
        }
        let is_the_dead = Self::text(&aside)? == text;
        if !is_the_dead {
            // Another moved the dead one and claimed between our look and our move: that claim goes back.
            let _ = fsx::hard_link(&aside, path);
        }
        fsx::remove_file(&aside)?;
        Ok(is_the_dead)
    }

    /// What a claim says; nothing, if it is gone.
    fn text(path: &Path) -> Result<Vec<u8>, FileError> {
        match fsx::read(path) {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            text => text,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl Held {
    /// Written in place, as wide each time: a file that was moved out of the way is not brought back by it.
    fn beat(&mut self, path: &Path) -> Result<(), FileError> {
        self.count += 1;
        let (host, pid) = (gethostname::gethostname(), std::process::id());
        let text = format!("{} {:020} {} {pid}\n", self.nonce, self.count, host.to_string_lossy());
        fsx::overwrite(&self.file, path, text.as_bytes())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let held = self.claims.state().held.remove(&self.path);
        let text = Claims::text(&self.path).unwrap_or_default();
        // Whoever took us for dead has a claim of that name now.
        if held.is_some_and(|held| text.starts_with(held.nonce.as_bytes())) {
            let _ = fsx::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(patience: Duration) -> (tempfile::TempDir, [Arc<Claims>; 2]) {
        let folder = tempfile::tempdir().unwrap();
        fsx::create_dir_all(&folder.path().join(FOLDER)).unwrap();
        let claims = [(); 2].map(|()| Arc::new(Claims::with_patience(folder.path(), patience)));
        (folder, claims)
    }

    #[test]
    fn who_watches_believes_the_lock_on_his_own_host_and_the_claim_of_another() {
        let (folder, [ours, _]) = two(Duration::from_hours(1));
        let mut watched = Watched::new(folder.path(), "a");
        assert!(!watched.is_held_elsewhere(), "there is none");
        let _claim = ours.take("a").unwrap().unwrap();
        assert!(!watched.is_held_elsewhere(), "it is held here");
        let path = folder.path().join(FOLDER).join("a");
        fsx::write_atomic(&path, b"nonce 00000000000000000001 another.host 17\n").unwrap();
        assert!(watched.is_held_elsewhere());
        let sight = watched.seen.as_mut().unwrap();
        sight.since = Instant::now().checked_sub(PATIENCE).unwrap();
        assert!(!watched.is_held_elsewhere(), "it has been still for a minute");
        fsx::write_atomic(&path, b"nonce 00000000000000000002 another.host 17\n").unwrap();
        assert!(watched.is_held_elsewhere());
    }

    #[test]
    fn one_holds_a_claim_until_it_lets_go() {
        let (_folder, [ours, theirs]) = two(Duration::from_hours(1));
        let claim = ours.take("a").unwrap().unwrap();
        assert!(theirs.take("a").unwrap().is_none() && ours.take("a").unwrap().is_none());
        assert!(theirs.take("b").unwrap().is_some());
        drop(claim);
        assert!(theirs.take("a").unwrap().is_some());
    }

    #[test]
    fn a_holder_that_shows_no_life_is_dead_and_one_that_does_is_not() {
        let (_folder, [ours, theirs]) = two(Duration::from_millis(60));
        let claim = ours.take("a").unwrap().unwrap();
        for _ in 0..20 {
            ours.beat();
            assert!(theirs.take("a").unwrap().is_none());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(theirs.are_alive().is_ok_and(|alive| !alive), "nobody beats now");
        let taken = theirs.take("a").unwrap().unwrap();
        assert!(ours.take("a").unwrap().is_none());
        drop(claim);
        assert!(ours.take("a").unwrap().is_none(), "who was taken for dead does not let go of another's");
        drop(taken);
        assert!(ours.take("a").unwrap().is_some());
    }
}
