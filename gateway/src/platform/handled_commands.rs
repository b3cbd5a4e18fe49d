//! The numbered commands that this gateway has handled. `commands` adds them, the journal stores the range with the
//! positions, and `fleet` publishes it. `docs/adr/0020-office-commands.md` has the reasons.

use std::sync::{Mutex, MutexGuard, PoisonError};

use comptoir_core::command::{CommandNumber, HandledCommands};

/// The range, shared by the forwarder and the publisher of the state.
#[derive(Debug, Default)]
pub struct HandledRange(Mutex<Option<HandledCommands>>);

impl HandledRange {
    fn lock(&self) -> MutexGuard<'_, Option<HandledCommands>> {
        // A panic elsewhere leaves the value consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` before the first numbered command.
    pub fn range(&self) -> Option<HandledCommands> {
        *self.lock()
    }

    /// Sets the range that the journal has.
    pub fn restore(&self, handled: Option<HandledCommands>) {
        *self.lock() = handled;
    }

    /// Whether a command with this number must not be forwarded, because it or a later one was.
    pub fn includes(&self, number: CommandNumber) -> bool {
        HandledCommands::includes(self.range(), number)
    }

    pub fn add(&self, number: CommandNumber) {
        let mut handled = self.lock();
        *handled = Some(HandledCommands::after(*handled, number));
    }
}
