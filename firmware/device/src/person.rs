//! What a person does at the till.

use comptoir_link::Millis;
use comptoir_terminal::{Autopilot, Catalogue, Till};

use crate::PRODUCTS;

/// Somebody at the till.
pub trait Person {
    /// Does what is due: at most one act, which may give events. Gives whether the till's next event may be taken
    /// now.
    fn act(&mut self, till: &mut Till, catalogue: &Catalogue<PRODUCTS>, newest: u32, now: Millis) -> bool;

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
    fn act(&mut self, till: &mut Till, catalogue: &Catalogue<PRODUCTS>, newest: u32, now: Millis) -> bool {
        let due = !self.is_over(newest) && now >= self.next;
        if due {
            self.autopilot.act(till, catalogue);
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

/// A button: each press is one invented sale, from the cart to its payment.
#[derive(Clone, Debug)]
pub struct Button<P> {
    autopilot: Autopilot,
    is_pressed: P,
    level: bool,
    since: Millis,
    held: bool,
    selling: bool,
}

impl<P: FnMut() -> bool> Button<P> {
    /// `is_pressed` reads the pin.
    pub const fn new(autopilot: Autopilot, is_pressed: P) -> Self {
        Self {
            autopilot,
            is_pressed,
            level: false,
            since: 0,
            held: false,
            selling: false,
        }
    }

    /// Whether it was pressed since the last call, contacts' bouncing aside.
    fn pressed(&mut self, now: Millis) -> bool {
        let level = (self.is_pressed)();
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

impl<P: FnMut() -> bool> Person for Button<P> {
    fn act(&mut self, till: &mut Till, catalogue: &Catalogue<PRODUCTS>, _: u32, now: Millis) -> bool {
        if till.has_events() {
            return true;
        }
        // A press while a sale goes on belongs to that sale.
        let pressed = self.pressed(now);
        if till.current().is_some() || pressed {
            self.selling = true;
        }
        if self.selling {
            self.autopilot.act(till, catalogue);
            self.selling = till.current().is_some();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn a_bouncing_button_is_pressed_once() {
        let level = Cell::new(false);
        let mut button = Button::new(Autopilot::new(1, 0, 0), || level.get());
        let mut presses = 0;
        for now in 0..1000 {
            level.set(match now {
                100..110 | 400..410 => now % 2 == 0,
                110..400 => true,
                _ => false,
            });
            presses += u32::from(button.pressed(now));
        }
        assert_eq!(presses, 1);
    }
}
