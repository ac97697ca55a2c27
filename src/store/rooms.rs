//! Folders to work in that are used again and again, one execution after the other: making and removing folders for each takes
//! longer than many a command (ext4 does not give out the inode of a removed file for seconds, and searches past it).
//!
//! A room belongs to the process that holds its lease. One that a dead process left is cleared and used by the next.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use crate::base::fsx::{self, FileError};
use crate::base::nonce::nonce;
use crate::store::Store;
use crate::store::lease::Lease;

/// Rooms of this process that nobody works in.
pub(super) type Free = Arc<Mutex<Vec<Room>>>;

/// A folder with `out` and `scratch`, both empty unless somebody works in it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) folder: PathBuf,
    /// Whether all that was in `out` is known to be gone.
    pub(super) is_out_empty: bool,
    /// Who worked here last, and gets it again: a command that may use the same folders as the one before starts sooner.
    last: ThreadId,
    _lease: Lease,
}

impl Store {
    /// A free room, or a new one.
    pub(super) fn take_room(&self) -> Result<Room, FileError> {
        let last = thread::current().id();
        let mut free = self.rooms.lock().expect("no holder panics");
        if let Some(place) = free.iter().position(|room| room.last == last) {
            return Ok(free.swap_remove(place));
        }
        if let Some(mut room) = free.pop() {
            room.last = last;
            return Ok(room);
        }
        drop(free);
        for number in 0.. {
            // Between hosts a lock may be none, so the name says whose it is.
            let name = match &self.claims {
                None => format!("room-{number}"),
                Some(_) => format!("room-{}", nonce()),
            };
            if let Some(lease) = Lease::take(&self.root.join("leases").join(&name))? {
                let mut room = Room {
                    folder: self.root.join("staging").join(name),
                    is_out_empty: false,
                    last,
                    _lease: lease,
                };
                room.clear()?;
                return Ok(room);
            }
        }
        unreachable!("there are fewer processes than numbers")
    }

    /// Takes a room back. One that cannot be cleared is left to a collection.
    pub(super) fn give_back(&self, mut room: Room) {
        if room.clear().is_ok() {
            self.rooms.lock().expect("no holder panics").push(room);
        }
    }
}

impl Drop for Room {
    /// What cannot be removed is left to a collection, or to the next process.
    fn drop(&mut self) {
        let _ = fsx::remove_dir_all(&self.folder);
    }
}

impl Room {
    fn clear(&mut self) -> Result<(), FileError> {
        let is_out_empty = std::mem::take(&mut self.is_out_empty);
        if !is_out_empty {
            fsx::clear_dir(&self.folder.join("out"))?;
        }
        fsx::clear_dir(&self.folder.join("scratch"))
    }
}
