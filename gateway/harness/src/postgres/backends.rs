//! The processes of a server that is killed.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};

use crate::process::{Process, Signal};

/// Timeout for processes that got SIGKILL or SIGQUIT.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Kills the child processes of the postmaster and waits for their end. It leaves the postmaster suspended.
pub(super) fn kill_backends(postmaster: &mut Process) {
    // A suspended postmaster starts no backend. It does not reap one either, so the kernel does not reuse their ids.
    let Some(pid) = Pid::from_raw(postmaster.pid().cast_signed()) else {
        return;
    };
    if postmaster.signal(Signal::STOP).is_err() {
        return; // It has ended.
    }
    let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    if waitid(WaitId::Pid(pid), stopped).is_err() {
        return;
    }
    for backend in running_children(pid) {
        // This fails if the backend has ended in the meantime.
        let _ = kill_process(backend, Signal::KILL);
    }
    wait_until(|| running_children(pid).is_empty());
}

/// The children of a process that are not zombies.
fn running_children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            // `pid (name) state ppid …`; the name may contain spaces and parentheses.
            let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
            let (state, ppid): (_, i32) = (fields.next()?, fields.next()?.parse().ok()?);
            (parent.as_raw_pid() == ppid && !matches!(state, "Z" | "X"))
                .then(|| Pid::from_raw(pid))
                .flatten()
        })
        .collect()
}

/// Blocks until processes that got a deadly signal have ended, for at most [`KILL_DEADLINE`].
pub(super) fn wait_until(mut has_ended: impl FnMut() -> bool) {
    let end = Instant::now() + KILL_DEADLINE;
    while !has_ended() && Instant::now() < end {
        thread::sleep(POLL_INTERVAL);
    }
}
