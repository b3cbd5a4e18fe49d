//! Ends the process when a thread that is not ours panics.
//!
//! A panic in one of our own parts unwinds: `app/supervisor.rs` notices that the part has ended, and the gateway stops
//! in order. But a library with its own threads (the built-in MQTT broker, SQLite's connections, mDNS) would continue
//! without the part that panicked, and would still look alive. Nobody can join such a thread. So the process exits with
//! code 1 and a one-line reason, and systemd restarts it. Nothing is lost: everything acknowledged is fsynced.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};

use tracing::error;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one of the async runtime's or the supervisor's, which detect panics themselves.
pub fn mark_own_thread() {
    IS_OWN.set(true);
}

/// Ends the process with exit code 1 after a panic on any thread that is not marked with [`mark_own_thread`].
pub fn install_hook() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        print(panic);
        if !IS_OWN.get() {
            report(panic);
            std::process::exit(1);
        }
    }));
}

fn report(panic: &PanicHookInfo<'_>) {
    let current = std::thread::current();
    let thread = current.name().unwrap_or("without a name");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let problem = panic.payload_as_str().unwrap_or_default();
    error!(
        thread,
        at, problem, "a thread of a library panicked; the gateway exits, to be restarted"
    );
}
