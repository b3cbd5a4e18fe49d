//! What a person does at the till.

use comptoir_link::Millis;
use comptoir_terminal::{Autopilot, Catalogue, Till};

use crate::PRODUCTS;

/// Somebody at the till.
pub trait Person {
    /// Does what is due: at most one act, which may give events; none that begins an order unless there is room for all
    /// that may come of it. Gives whether the till's next event may be taken now.
    fn act(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
        newest: u32,
        has_room: bool,
        now: Millis,
    ) -> bool;

    /// An event is in the queue for good.
    fn kept(&mut self, _now: Millis) {}

    /// Whether nothing more will be sold; the loop then ends once all is acked.
    fn is_over(&self, _newest: u32) -> bool {
        false
    }
}

/// The autopilot, one event every `pace` milliseconds.
#[derive(Clone, Debug)]
pub struct Shift {
    autopilot: Autopilot,
    events: u32,
    pace: Millis,
    next: Millis,
}

impl Shift {
    /// Sells until the queue has given the number `events`; 0: without end.
    pub const fn new(autopilot: Autopilot, events: u32, pace: Millis) -> Self {
        Self {
            autopilot,
            events,
            pace,
            next: 0,
        }
    }
}

impl Person for Shift {
    fn act(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
        newest: u32,
        has_room: bool,
        now: Millis,
    ) -> bool {
        let due = !self.is_over(newest) && now >= self.next;
        if due {
            self.autopilot.act(till, catalogue, has_room);
        }
        due
    }

    fn kept(&mut self, now: Millis) {
        self.next = now.saturating_add(self.pace);
    }

    fn is_over(&self, newest: u32) -> bool {
        self.events > 0 && newest >= self.events
    }
}

/// Milliseconds that a button has to keep a level before it counts.
const BOUNCE: Millis = 30;

/// Tells presses of a button from its contacts' bouncing.
#[derive(Clone, Debug, Default)]
pub struct Debounce {
    level: bool,
    since: Millis,
    held: bool,
}

impl Debounce {
    /// Takes a look at the button; true once for each press. To be called every few milliseconds.
    pub const fn look(&mut self, level: bool, now: Millis) -> bool {
        if level != self.level {
            self.level = level;
            self.since = now;
        }
        if self.held == level || now.saturating_sub(self.since) < BOUNCE {
            return false;
        }
        self.held = level;
        level
    }
}

/// A button: each press is one invented sale, from the cart to its payment.
#[derive(Clone, Debug)]
pub struct Button<P> {
    autopilot: Autopilot,
    was_pressed: P,
    selling: bool,
}

impl<P: FnMut() -> bool> Button<P> {
    /// `was_pressed` says whether there was a press since it was last asked. The loop may be busy with the network
    /// for seconds, so it is the board that looks at the pin meanwhile, in [`Board::work`](crate::Board::work).
    pub const fn new(autopilot: Autopilot, was_pressed: P) -> Self {
        Self {
            autopilot,
            was_pressed,
            selling: false,
        }
    }
}

impl<P: FnMut() -> bool> Person for Button<P> {
    fn act(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
        _: u32,
        has_room: bool,
        _: Millis,
    ) -> bool {
        // A press while a sale goes on belongs to that sale.
        let was_pressed = (self.was_pressed)();
        if till.has_events() {
            return true;
        }
        if till.current().is_some() || was_pressed {
            self.selling = true;
        }
        if self.selling {
            self.autopilot.act(till, catalogue, has_room);
            self.selling = till.current().is_some();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bouncing_button_is_pressed_once() {
        let mut debounce = Debounce::default();
        let presses = (0..1000).filter(|&now| {
            let level = match now {
                100..110 | 400..410 => now % 2 == 0,
                110..400 => true,
                _ => false,
            };
            debounce.look(level, now)
        });
        assert_eq!(presses.count(), 1);
    }
}
