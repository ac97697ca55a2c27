//! Keeps what jobs commit a moment behind the disk, many commits at once: waiting for the disk costs as much for one as for fifty.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::store::{Store, StoreError};

/// How much of the latest work a power cut may cost.
const INTERVAL: Duration = Duration::from_millis(100);

/// Flushes the store at intervals until the sender is gone, and once more then.
pub(super) fn run(store: &Store, end: &Receiver<()>) -> Result<(), StoreError> {
    while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(INTERVAL) {
        store.flush()?;
        store.beat();
    }
    store.flush()
}
