//! Packet ids, and the publishes that wait for their PUBACK.

use std::collections::VecDeque;

/// Highest packet id of a publish. The ids above it are reserved for a SUBSCRIBE and an UNSUBSCRIBE that the caller
/// numbers itself.
pub const MAX_PUBLISH_ID: u16 = u16::MAX - 2;

/// The publishes without a PUBACK, each with a value to return to the caller when the PUBACK arrives.
#[derive(Debug)]
pub struct InFlight<T> {
    /// In order of publishing. Brokers mostly acknowledge in the same order, so a PUBACK usually matches the front.
    publishes: VecDeque<(u16, T)>,
    /// Most publishes in flight.
    window: u16,
    last_id: u16,
}

impl<T> Default for InFlight<T> {
    /// A window of 0, because nothing may be published before there is a connection.
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> InFlight<T> {
    pub fn new(window: u16) -> Self {
        Self {
            publishes: VecDeque::new(),
            window,
            last_id: 0,
        }
    }

    pub fn set_window(&mut self, window: u16) {
        self.window = window;
    }

    pub fn has_room(&self) -> bool {
        self.publishes.len() < usize::from(self.window)
    }

    pub fn is_empty(&self) -> bool {
        self.publishes.is_empty()
    }

    /// A packet id that no publish in flight has. One always exists, because the window is smaller than the number of
    /// ids.
    pub fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id % MAX_PUBLISH_ID + 1;
            if self.publishes.iter().all(|(id, _)| *id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Adds a publish and returns its packet id.
    pub fn push(&mut self, publish: T) -> u16 {
        let id = self.next_id();
        self.publishes.push_back((id, publish));
        id
    }

    /// Removes the publish with this packet id; `None` if no publish in flight has it.
    pub fn remove(&mut self, id: u16) -> Option<T> {
        let at = self.publishes.iter().position(|(other, _)| *other == id)?;
        self.publishes.remove(at).map(|(_, publish)| publish)
    }

    /// The packet id of the oldest publish.
    pub fn oldest_id(&self) -> Option<u16> {
        self.publishes.front().map(|&(id, _)| id)
    }

    /// All publishes, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.publishes.iter().map(|(_, publish)| publish)
    }

    /// Removes all publishes, because their connection is lost. Packet ids continue from where they were, so that a
    /// late PUBACK in a kept session does not match a new publish.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.publishes)
            .into_iter()
            .map(|(_, publish)| publish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_ids_in_flight_stay_distinct_after_they_wrap_around() {
        let mut in_flight = InFlight::new(2);
        let slow = in_flight.push("slow");
        for _ in 0..=u16::MAX {
            let id = in_flight.push("quick");
            assert!(id != slow && (1..=MAX_PUBLISH_ID).contains(&id));
            assert_eq!(in_flight.remove(id), Some("quick"));
        }
        assert_eq!(in_flight.oldest_id(), Some(slow));
    }

    #[test]
    fn the_window_bounds_the_publishes_in_flight() {
        let mut in_flight = InFlight::new(2);
        let first = in_flight.push(1);
        in_flight.push(2);
        assert!(!in_flight.has_room());
        assert_eq!(in_flight.remove(first), Some(1));
        assert_eq!(in_flight.remove(first), None, "already removed");
        assert!(in_flight.has_room());
        assert_eq!(in_flight.take_all().collect::<Vec<_>>(), [2]);
        assert!(in_flight.is_empty());
    }
}
