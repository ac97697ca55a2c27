//! How a user ends a command.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

/// The first signal asks for a stop that keeps all state; the second ends the program at once.
pub(super) fn catch() -> Arc<AtomicBool> {
    let cancelled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered first, so run first: it does nothing until the flag is set by the one below.
        let second = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&cancelled));
        let first = signal_hook::flag::register(signal, Arc::clone(&cancelled));
        debug_assert!(second.is_ok() && first.is_ok(), "these signals can be caught");
    }
    cancelled
}
