//! The interface between the main loop and a board.

use core::fmt;

use comptoir_link::Millis;

/// The till's state, for a status light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not connected to the MQTT broker.
    Offline,
    /// Connected; events wait for the gateway's ack.
    Waiting,
    /// Connected; everything is acked.
    Idle,
    /// The queue is full: no sale can begin.
    Full,
}

/// A board. Its methods take `&self`, because the network and the till share it.
pub trait Board {
    /// Microseconds since the reset, from a monotonic clock.
    fn micros(&self) -> u64;

    /// Writes a line for people and tests.
    fn log(&self, line: fmt::Arguments<'_>);

    /// Does some of the board's own background work. Called at each turn of the network.
    fn poll(&self) {}

    /// Feeds the hardware watchdog, because the till makes progress. The calls stop when the link is stuck.
    fn feed_watchdog(&self) {}

    /// Shows the state, which may be the same as before.
    fn show_state(&self, _: State) {}

    /// Milliseconds since the reset.
    fn millis(&self) -> Millis {
        self.micros() / 1000
    }
}

/// Whether the status light is on at that moment. Each state has its own rhythm, so that no colours are needed.
///
/// Offline: half a second on, half a second off. Waiting: five short flashes a second. Idle: one short flash every two
/// seconds. Full: on.
pub const fn is_lit(state: State, now: Millis) -> bool {
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
    fn every_state_has_its_own_rhythm() {
        let rhythm = |state| {
            let edges = (0..2000).filter(|&now| is_lit(state, now) && (now == 0 || !is_lit(state, now - 1)));
            let on = (0..2000).filter(|&now| is_lit(state, now));
            (edges.count(), on.count())
        };
        assert_eq!(rhythm(State::Offline), (2, 1000));
        assert_eq!(rhythm(State::Waiting), (10, 600));
        assert_eq!(rhythm(State::Idle), (1, 60));
        assert_eq!(rhythm(State::Full), (1, 2000));
    }
}
