//! The operator of a till: an autopilot or a button.

use comptoir_link::Millis;
use comptoir_terminal::{Autopilot, Catalogue, Till};

use crate::PRODUCTS;

/// A person at the till, or a program in their place.
pub trait Operator {
    /// Performs at most one act, which may produce events. Begins no order unless `has_room` is true. `newest` is the
    /// queue's newest number. Returns whether the till's next event may be stored now.
    fn act(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
        newest: u32,
        has_room: bool,
        now: Millis,
    ) -> bool;

    /// An event was stored.
    fn on_stored(&mut self, _now: Millis) {}

    /// Whether no more sales will come; the main loop then ends once everything is acked.
    fn is_over(&self, _newest: u32) -> bool {
        false
    }
}

/// The autopilot, one event every `pace` milliseconds.
#[derive(Clone, Debug)]
pub struct PacedOperator {
    autopilot: Autopilot,
    events: u32,
    pace: Millis,
    next: Millis,
}

impl PacedOperator {
    /// Sells until the queue's newest number is `events`; 0: for ever. `pace` is in milliseconds.
    pub const fn new(autopilot: Autopilot, events: u32, pace: Millis) -> Self {
        Self {
            autopilot,
            events,
            pace,
            next: 0,
        }
    }
}

impl Operator for PacedOperator {
    fn act(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
        newest: u32,
        has_room: bool,
        now: Millis,
    ) -> bool {
        let is_due = !self.is_over(newest) && now >= self.next;
        if is_due {
            self.autopilot.act(till, catalogue, has_room);
        }
        is_due
    }

    fn on_stored(&mut self, now: Millis) {
        self.next = now.saturating_add(self.pace);
    }

    fn is_over(&self, newest: u32) -> bool {
        self.events > 0 && newest >= self.events
    }
}

/// Milliseconds for which a button must be steady before its level counts.
const BOUNCE: Millis = 30;

/// Debounces a button.
#[derive(Clone, Debug, Default)]
pub struct Debounce {
    level: bool,
    since: Millis,
    is_pressed: bool,
}

impl Debounce {
    /// Samples the button; returns true once for each press. Call it every few milliseconds.
    pub const fn sample(&mut self, level: bool, now: Millis) -> bool {
        if level != self.level {
            self.level = level;
            self.since = now;
        }
        if self.is_pressed == level || now.saturating_sub(self.since) < BOUNCE {
            return false;
        }
        self.is_pressed = level;
        level
    }
}

/// A button: each press is one simulated sale, from the cart to its payment.
#[derive(Clone, Debug)]
pub struct ButtonOperator<P> {
    autopilot: Autopilot,
    was_pressed: P,
    is_selling: bool,
}

impl<P: FnMut() -> bool> ButtonOperator<P> {
    /// `was_pressed` returns whether the button was pressed since the previous call. The main loop may be busy with the
    /// network for seconds, so the board samples the pin in [`Board::poll`](crate::Board::poll).
    pub const fn new(autopilot: Autopilot, was_pressed: P) -> Self {
        Self {
            autopilot,
            was_pressed,
            is_selling: false,
        }
    }
}

impl<P: FnMut() -> bool> Operator for ButtonOperator<P> {
    fn act(
        &mut self,
        till: &mut Till,
        catalogue: &Catalogue<PRODUCTS>,
        _: u32,
        has_room: bool,
        _: Millis,
    ) -> bool {
        // A press during a sale belongs to that sale.
        let was_pressed = (self.was_pressed)();
        if till.has_events() {
            return true;
        }
        if till.current().is_some() || was_pressed {
            self.is_selling = true;
        }
        if self.is_selling {
            self.autopilot.act(till, catalogue, has_room);
            self.is_selling = till.current().is_some();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bouncing_button_counts_as_one_press() {
        let mut debounce = Debounce::default();
        let presses = (0..1000).filter(|&now| {
            let level = match now {
                100..110 | 400..410 => now % 2 == 0,
                110..400 => true,
                _ => false,
            };
            debounce.sample(level, now)
        });
        assert_eq!(presses.count(), 1);
    }
}
