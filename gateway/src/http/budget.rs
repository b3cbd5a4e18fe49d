//! A byte budget shared by all clients, with a limit per sender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connections::Sender;

/// Bytes that may still be reserved.
pub struct ByteBudget {
    all: Arc<Semaphore>,
    per_sender: u32,
    by_sender: Mutex<HashMap<Sender, Arc<Semaphore>>>,
}

/// Reserved bytes. Dropping the last clone frees them.
#[derive(Debug, Clone)]
pub struct Reservation(#[allow(dead_code, reason = "freed by its drop")] Arc<[OwnedSemaphorePermit]>);

impl ByteBudget {
    /// A budget of `all` bytes, with at most `per_sender` for one sender. This machine may use all of it.
    pub fn new(all: u32, per_sender: u32) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all as usize)),
            per_sender,
            by_sender: Mutex::default(),
        }
    }

    /// Waits until `bytes` can be reserved, capped at the limit per sender.
    pub async fn reserve(&self, sender: Sender, bytes: u32) -> Reservation {
        let bytes = bytes.min(self.per_sender);
        let mut permits = Vec::with_capacity(2);
        let own = (sender != Sender::Loopback).then(|| self.of(sender));
        // The sender's own limit comes first: a request that waits for it holds none of the shared bytes.
        for semaphore in own.into_iter().chain([Arc::clone(&self.all)]) {
            // The semaphores are never closed.
            permits.extend(semaphore.acquire_many_owned(bytes).await);
        }
        Reservation(permits.into())
    }

    fn of(&self, sender: Sender) -> Arc<Semaphore> {
        // A panic in another thread leaves the map consistent.
        let mut by_sender = self.by_sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Removes senders without reservations, so the map has at most one entry per connection.
        by_sender.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let new = || Arc::new(Semaphore::new(self.per_sender as usize));
        Arc::clone(by_sender.entry(sender).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::connections::ClientAddress;
    use super::*;

    fn sender(last: u8) -> Sender {
        ClientAddress::new([192, 168, 1, last].into()).sender()
    }

    async fn waits(budget: &ByteBudget, of: Sender) -> bool {
        let short = Duration::from_millis(20);
        tokio::time::timeout(short, budget.reserve(of, 10)).await.is_err()
    }

    #[tokio::test]
    async fn one_sender_can_have_a_part_and_all_together_the_whole() {
        let budget = ByteBudget::new(50, 20);
        let mut held = vec![
            budget.reserve(sender(1), 10).await,
            budget.reserve(sender(1), 10).await,
        ];
        assert!(waits(&budget, sender(1)).await);
        assert!(!waits(&budget, sender(2)).await && !waits(&budget, Sender::Loopback).await);
        held.pop();
        assert!(!waits(&budget, sender(1)).await);
        for _ in 0..4 {
            held.push(budget.reserve(Sender::Loopback, 10).await);
        }
        assert!(waits(&budget, sender(2)).await);
        drop(held);
        assert!(!waits(&budget, sender(2)).await);
        assert_eq!(
            budget.by_sender.lock().unwrap().len(),
            1,
            "the other sender is forgotten"
        );
        let all = budget.reserve(sender(1), 1_000).await;
        assert!(waits(&budget, sender(1)).await, "more than a sender can have");
        drop(all);
    }
}
