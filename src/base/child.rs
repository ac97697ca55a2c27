//! Another program: waiting for its end and hearing what it prints, or ending it with all that it started.

use std::io::{PipeReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::base::cancel::Cancel;

/// How often to ask whether the user wants to stop.
const ASK: Duration = Duration::from_millis(50);
/// How long a program may take to tidy up after SIGTERM.
const GRACE: Duration = Duration::from_millis(500);
/// How many bytes to take from the pipe at a time: it holds four times as many.
const CHUNK: usize = 1 << 14;

/// Waits for a program's end, or brings it about when the work should end: SIGTERM to its process group, half a second, SIGKILL;
/// `None` then. It leads that group, and what it left running there ends with it. What it prints into the pipe is heard meanwhile; the
/// caller keeps the other end of the pipe open, so that silence is no end.
pub fn wait(
    mut child: Child,
    printed: &PipeReader,
    hear: &mut dyn FnMut(&[u8]),
    cancel: Cancel<'_>,
) -> std::io::Result<Option<ExitStatus>> {
    let mut watch = Watch::new(Pid::from_child(&child), printed, hear);
    let mut has_ended = false;
    while !has_ended && !cancel.is_set() {
        has_ended = watch.has_ended_within(ASK);
    }
    if !has_ended {
        watch.signal(Signal::TERM);
        let end = Instant::now() + GRACE;
        while !watch.has_ended_within(ASK) && Instant::now() < end {}
    }
    // The group's number cannot be another's yet: its first process, though ended, has not been waited for.
    watch.signal(Signal::KILL);
    let status = child.wait()?;
    watch.drain();
    Ok(has_ended.then_some(status))
}

/// Hears what a process prints, and sees its end without taking its status.
struct Watch<'a> {
    pid: Pid,
    /// Ready when the process has ended; where the kernel offers that.
    end: Option<OwnedFd>,
    printed: &'a PipeReader,
    hear: &'a mut dyn FnMut(&[u8]),
}

impl<'a> Watch<'a> {
    fn new(pid: Pid, printed: &'a PipeReader, hear: &'a mut dyn FnMut(&[u8])) -> Self {
        #[cfg(target_os = "linux")]
        let end = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
        #[cfg(not(target_os = "linux"))]
        let end = None;
        Self { pid, end, printed, hear }
    }

    fn has_ended_within(&mut self, patience: Duration) -> bool {
        let patience = if self.end.is_some() { patience } else { patience.min(Duration::from_millis(20)) };
        let [is_printed, has_ended] = self.look(patience);
        if is_printed {
            self.take_printed();
        }
        if self.end.is_some() {
            return has_ended;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Sleeps until the process prints or ends; returns whether there is something to take, and whether the end was seen.
    fn look(&self, patience: Duration) -> [bool; 2] {
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        let mut sources = vec![PollFd::new(self.printed, PollFlags::IN)];
        sources.extend(self.end.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)));
        // A signal may wake it early: the caller asks again.
        let is_woken = poll(&mut sources, Some(&patience)).is_ok();
        let is_ready = |place: usize| is_woken && sources.get(place).is_some_and(|s| !s.revents().is_empty());
        [is_ready(0), is_ready(1)]
    }

    fn take_printed(&mut self) {
        let mut bytes = [0; CHUNK];
        if let Ok(count) = self.printed.read(&mut bytes) {
            (self.hear)(&bytes[..count]);
        }
    }

    /// Takes what is still in the pipe; no more, for a process that left the group may print for ever.
    fn drain(&mut self) {
        let mut turns = 0..16;
        while turns.next().is_some() && self.look(Duration::ZERO)[0] {
            self.take_printed();
        }
    }

    fn signal(&self, signal: Signal) {
        // Nobody is left to hear it: good.
        let _ = kill_process_group(self.pid, signal);
    }
}
