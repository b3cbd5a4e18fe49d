//! The queue of the projection's changes for the live connections.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::{Change, Delta};

/// Most deltas, and their approximate bytes, that wait for the slowest receiver. A receiver that falls further behind
/// restarts from [`super::RecentSales`].
const MAX_DELTAS: usize = 512;
const MAX_BYTES: usize = 8 << 20;

pub(super) struct Deltas {
    sender: broadcast::Sender<Arc<Delta>>,
    /// The weights of the deltas that may still be waiting.
    weights: VecDeque<usize>,
}

impl Deltas {
    pub fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(MAX_DELTAS),
            weights: VecDeque::new(),
        }
    }

    pub fn receivers(&self) -> broadcast::WeakSender<Arc<Delta>> {
        self.sender.downgrade()
    }

    pub fn send(&mut self, version: u64, change: Change) {
        let waiting = self.sender.len();
        let read = self.weights.len().saturating_sub(waiting);
        self.weights.drain(..read);
        let waiting_bytes: usize = self.weights.iter().sum();
        // A change that exceeds the limit by itself is sent only when no other waits.
        let change = match waiting == 0 || waiting_bytes + weight(&change) <= MAX_BYTES {
            true => change,
            false => Change::Lost,
        };
        let weight = weight(&change);
        // Without receivers nothing waits.
        if self.sender.send(Arc::new(Delta { version, change })).is_ok() {
            self.weights.push_back(weight);
        }
    }
}

/// The approximate number of bytes that a change keeps in memory.
fn weight(change: &Change) -> usize {
    /// Bytes of one item in addition to its payload.
    const EACH: usize = 256;
    match change {
        Change::Sales(sales) => sales.iter().map(|(_, item)| item.payload().len() + EACH).sum(),
        Change::Confirmed(confirmations) => confirmations.len() * EACH,
        Change::Lost => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::SaleState;
    use super::*;
    use comptoir_core::event::Kind;

    fn megabytes(count: usize) -> Change {
        let item = SaleState::foreign("s/d/1/1".into(), "x".repeat(count << 20).into(), 0, 0);
        Change::Sales(vec![(Kind::Order, item)])
    }

    #[test]
    fn waiting_deltas_are_bounded_by_size_and_a_dropped_change_is_reported() {
        let mut deltas = Deltas::new();
        deltas.send(1, megabytes(9));
        let mut received = deltas.sender.subscribe();
        deltas.send(2, megabytes(9));
        for version in 3..=5 {
            deltas.send(version, megabytes(3));
        }
        let mut lost = Vec::new();
        while let Ok(delta) = received.try_recv() {
            lost.push((delta.version, matches!(delta.change, Change::Lost)));
        }
        assert_eq!(lost, [(2, false), (3, true), (4, true), (5, true)]);
        // The receiver has made room.
        deltas.send(6, megabytes(3));
        deltas.send(7, megabytes(3));
        deltas.send(8, megabytes(3));
        let lost: Vec<_> = std::iter::from_fn(|| received.try_recv().ok())
            .map(|delta| matches!(delta.change, Change::Lost))
            .collect();
        assert_eq!(lost, [false, false, true]);
    }
}
