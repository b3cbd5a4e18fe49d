//! What the loop asks of a board.

use core::fmt;

use comptoir_link::Millis;

/// How the till is, for its status light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no connection to the MQTT broker.
    Offline,
    /// Connected, and events wait for the gateway's ack.
    Waiting,
    /// Connected, and all is acked.
    Idle,
    /// The queue is full: nothing can be sold.
    Full,
}

/// A board. Its methods take `&self`: the network and the till both hold it.
pub trait Board {
    /// Microseconds of a clock that does not go back, since the reset.
    fn micros(&self) -> u64;

    /// A line for people and for tests.
    fn say(&self, line: fmt::Arguments<'_>);

    /// Work that the board does aside, a bit at a time; called at each turn of the network.
    fn work(&self) {}

    /// The till gets its work done: feeds the hardware watchdog. A stuck link brings no more calls.
    fn alive(&self) {}

    /// The state has changed, or not.
    fn show(&self, _: State) {}

    /// Milliseconds since the reset.
    fn millis(&self) -> Millis {
        self.micros() / 1000
    }
}

/// Whether the status light is lit at that moment: the states differ by rhythm, which everybody can tell apart.
///
/// Offline: half a second on, half a second off. Waiting: five short flashes a second. Idle: one short flash
/// every two seconds. Full: on.
pub const fn lit(state: State, now: Millis) -> bool {
    match state {
        State::Offline => now % 1000 < 500,
        State::Waiting => now % 200 < 60,
        State::Idle => now % 2000 < 60,
        State::Full => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_rhythm_of_its_own() {
        let rhythm = |state| {
            let edges = (0..2000).filter(|&now| lit(state, now) && (now == 0 || !lit(state, now - 1)));
            let on = (0..2000).filter(|&now| lit(state, now));
            (edges.count(), on.count())
        };
        assert_eq!(rhythm(State::Offline), (2, 1000));
        assert_eq!(rhythm(State::Waiting), (10, 600));
        assert_eq!(rhythm(State::Idle), (1, 60));
        assert_eq!(rhythm(State::Full), (1, 2000));
    }
}
