//! Connections with the same client id take turns.
//!
//! By the standard, a new connection replaces an earlier one with the same client id. rumqttd does that itself, but it
//! sends the end of the replaced connection to whichever connection has since got its number, and then panics at the
//! next one. So the door does the replacing: rumqttd sees the new connection only after the earlier one has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

/// For each client id, the connection that has the turn and those that wait for it.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<String, Queue>>>);

struct Queue {
    turn: Arc<AsyncMutex<()>>,
    /// Cancelled when a later connection arrives.
    newest: CancellationToken,
    members: usize,
}

/// A connection's turn, until dropped.
pub struct Turn {
    /// Cancelled when a later connection requests the turn.
    pub is_replaced: CancellationToken,
    // Must be dropped before `_member`, which may remove the queue.
    _guard: OwnedMutexGuard<()>,
    _member: Member,
}

struct Member {
    turns: Turns,
    client_id: String,
}

impl Turns {
    /// Replaces the connection that has the turn, and waits until it ends. `None` if an even later connection arrives
    /// meanwhile.
    pub async fn take(&self, client_id: &str) -> Option<Turn> {
        let is_replaced = CancellationToken::new();
        let turn = self.with(|queues| {
            let queue = queues.entry(client_id.to_owned()).or_insert_with(|| Queue {
                turn: Arc::default(),
                newest: CancellationToken::new(),
                members: 0,
            });
            std::mem::replace(&mut queue.newest, is_replaced.clone()).cancel();
            queue.members += 1;
            Arc::clone(&queue.turn)
        });
        let member = Member {
            turns: self.clone(),
            client_id: client_id.to_owned(),
        };
        tokio::select! {
            biased;
            () = is_replaced.cancelled() => None,
            guard = turn.lock_owned() => Some(Turn { is_replaced, _guard: guard, _member: member }),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Queue>) -> T) -> T {
        // A panic elsewhere leaves the queues consistent.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.turns.with(|queues| {
            if let Some(queue) = queues.get_mut(&self.client_id) {
                queue.members -= 1;
                if queue.members == 0 {
                    queues.remove(&self.client_id);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_later_connection_replaces_those_before_it_and_waits_for_the_end_of_the_first() {
        let turns = Turns::default();
        let first = turns.take("till-1").await.unwrap();
        let other = turns.take("till-2").await.unwrap();
        let mut second = Box::pin(turns.take("till-1"));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(first.is_replaced.is_cancelled() && !other.is_replaced.is_cancelled());
        let mut third = Box::pin(turns.take("till-1"));
        assert!(futures::poll!(&mut third).is_pending());
        assert!(second.await.is_none());
        drop(first);
        let third = third.await.unwrap();
        assert!(!third.is_replaced.is_cancelled());
        drop((third, other));
        assert!(turns.with(|queues| queues.is_empty()));
    }
}
