//! What has changed, on its way to whoever shows it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::{Change, Delta};

/// Deltas that wait, and about how large they may be; who is slower starts again from [`super::Recent`].
const MOST: usize = 512;
const MOST_BYTES: usize = 8 << 20;

pub(super) struct Deltas {
    sender: broadcast::Sender<Arc<Delta>>,
    /// Of the last ones.
    weights: VecDeque<usize>,
}

impl Deltas {
    pub fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(MOST),
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
        let kept: usize = self.weights.iter().sum();
        // One that is too large by itself goes when it is alone.
        let change = match waiting == 0 || kept + weight(&change) <= MOST_BYTES {
            true => change,
            false => Change::Lost,
        };
        let weight = weight(&change);
        // Nobody listens: nobody needs it.
        if self.sender.send(Arc::new(Delta { version, change })).is_ok() {
            self.weights.push_back(weight);
        }
    }
}

/// About how many bytes it keeps alive.
fn weight(change: &Change) -> usize {
    /// Beside the payload.
    const EACH: usize = 256;
    match change {
        Change::Sales(sales) => sales.iter().map(|(_, item)| item.payload().len() + EACH).sum(),
        Change::Confirmed(seen) => seen.len() * EACH,
        Change::Lost => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Listed;
    use super::*;
    use crate::event::Kind;

    fn megabytes(count: usize) -> Change {
        let item = Listed::foreign("s/d/1/1".into(), "x".repeat(count << 20).into(), 0, 0);
        Change::Sales(vec![(Kind::Order, item)])
    }

    #[test]
    fn what_waits_is_bounded_by_its_size_and_the_loss_is_told() {
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
        // Room again.
        deltas.send(6, megabytes(3));
        deltas.send(7, megabytes(3));
        deltas.send(8, megabytes(3));
        let lost: Vec<_> = std::iter::from_fn(|| received.try_recv().ok())
            .map(|delta| matches!(delta.change, Change::Lost))
            .collect();
        assert_eq!(lost, [false, false, true]);
    }
}
