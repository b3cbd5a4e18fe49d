//! A panic on a thread that is not ours ends the process.
//!
//! A panic in one of our own parts unwinds: `app/supervisor.rs` notices the end of the part, and the gateway stops in order.
//! But a library that runs threads of its own (the built-in MQTT broker, SQLite's connections, mDNS) would go on without
//! the part that panicked, and everything would look alive. Nobody can wait for such a thread. So the process exits, with
//! code 1 and one line that says why, and systemd starts it again. Nothing is lost by that: whatever was acknowledged is
//! fsynced.

use std::cell::Cell;
use std::panic::{self, PanicHookInfo};

use tracing::error;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Declares that this thread's panics are noticed by someone: it is one of the async runtime's or of the supervisor's.
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
