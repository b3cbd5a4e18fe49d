//! A fair queue for expensive requests: one runs at a time, and each address gets its share.
//!
//! Somebody who sends without pause waits behind those who have not had a turn recently. If the queue is full, a
//! request of the address with the most waiting requests is dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::rate::Network;

/// Most requests that wait while another has its turn.
pub const MAX_WAITING: usize = 8;
/// Most addresses whose last turn is remembered.
const MAX_SERVED: usize = 256;

#[derive(Default)]
pub struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    is_running: bool,
    /// In order of arrival.
    waiting: Vec<Waiter>,
    /// The addresses that had the last turns, most recent last.
    served: VecDeque<Network>,
}

struct Waiter {
    network: Network,
    turn: oneshot::Sender<Turn>,
}

/// A turn; dropping it gives the turn to the next request.
pub struct Turn(Arc<Queue>);

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.lock().next();
        if let Some(next) = next {
            // If that request has gone away, its turn is dropped here and passes to the next one.
            let _ = next.send(Self(Arc::clone(&self.0)));
        }
    }
}

impl Queue {
    /// Waits for this address's turn. `None` if there is no room to wait, or another address took the place.
    pub async fn turn(self: &Arc<Self>, network: Network) -> Option<Turn> {
        let turn = {
            let mut state = self.lock();
            if !state.is_running {
                state.is_running = true;
                state.note(network);
                return Some(Turn(Arc::clone(self)));
            }
            state.waiting.retain(|waiter| !waiter.turn.is_closed());
            if state.waiting.len() >= MAX_WAITING && !state.make_room(network) {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push(Waiter {
                network,
                turn: sender,
            });
            receiver
        };
        turn.await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in another thread leaves the state consistent: no change below can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How recently the address has had a turn: higher is more recent, 0 if it is not remembered.
    fn recency(&self, network: Network) -> usize {
        self.served
            .iter()
            .position(|served| *served == network)
            .map_or(0, |position| position + 1)
    }

    fn note(&mut self, network: Network) {
        self.served.retain(|served| *served != network);
        self.served.push_back(network);
        if self.served.len() > MAX_SERVED {
            self.served.pop_front();
        }
    }

    fn waiting_of(&self, network: Network) -> usize {
        self.waiting
            .iter()
            .filter(|waiter| waiter.network == network)
            .count()
    }

    /// Takes the next request: one of the address whose last turn is the longest ago.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let waiting = self.waiting.iter().enumerate();
        let next = waiting.min_by_key(|(_, waiter)| self.recency(waiter.network));
        let Some(next) = next.map(|(index, _)| index) else {
            self.is_running = false;
            return None;
        };
        let waiter = self.waiting.remove(next);
        self.note(waiter.network);
        Some(waiter.turn)
    }

    /// Takes a place from an address that has more of them than `network` would have, or as many but a more recent
    /// turn.
    fn make_room(&mut self, network: Network) -> bool {
        let claim = |of: Network| (self.waiting_of(of), self.recency(of));
        let (own, own_recency) = claim(network);
        let waiting = self.waiting.iter().enumerate();
        let heaviest = waiting
            .map(|(index, waiter)| (claim(waiter.network), index))
            .max();
        match heaviest {
            Some((heaviest, index)) if heaviest > (own + 1, own_recency) => {
                self.waiting.remove(index);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Networks;
    use crate::rate::tests::distinct;

    fn networks<const N: usize>() -> [Network; N] {
        let networks = Networks::default();
        distinct(&networks).map(|address| networks.of(Some(address)))
    }

    /// Starts waiting. The request has its place when this returns.
    async fn wait(queue: &Arc<Queue>, network: Network) -> tokio::task::JoinHandle<Option<Turn>> {
        let queue = Arc::clone(queue);
        let task = tokio::spawn(async move { queue.turn(network).await });
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn an_address_that_sends_without_pause_waits_behind_the_others_and_gives_up_its_places() {
        let queue = Arc::new(Queue::default());
        let [flood, one, other] = networks();
        let running = queue.turn(flood).await.unwrap();
        let mut floods = Vec::new();
        for _ in 0..MAX_WAITING {
            floods.push(wait(&queue, flood).await);
        }
        assert!(queue.turn(flood).await.is_none(), "all places are taken");
        let (one, other) = (wait(&queue, one).await, wait(&queue, other).await);
        // The flood's newest requests have lost their places.
        for _ in 0..2 {
            assert!(floods.pop().unwrap().await.unwrap().is_none());
        }
        drop(running);
        let turn = one.await.unwrap().unwrap();
        assert!(floods.iter().all(|task| !task.is_finished()));
        drop(turn);
        drop(other.await.unwrap().unwrap());
        for task in floods {
            drop(task.await.unwrap().unwrap());
        }
        assert!(queue.turn(flood).await.is_some(), "nothing is left over");
    }

    #[tokio::test]
    async fn an_address_that_has_had_no_turn_displaces_one_of_many_that_have() {
        let queue = Arc::new(Queue::default());
        let all: [Network; MAX_WAITING + 1] = networks();
        let [owner, flood @ ..] = all;
        for network in flood {
            drop(queue.turn(network).await.unwrap());
        }
        let running = queue.turn(flood[0]).await.unwrap();
        let mut floods = Vec::new();
        for network in flood {
            floods.push(wait(&queue, network).await);
        }
        let owner = wait(&queue, owner).await;
        drop(running);
        assert!(owner.await.unwrap().is_some());
        let mut served = 0;
        for task in floods {
            served += usize::from(task.await.unwrap().is_some());
        }
        assert_eq!(served, MAX_WAITING - 1);
    }

    #[tokio::test]
    async fn the_turn_of_a_request_that_has_gone_away_goes_to_the_next_one() {
        let queue = Arc::new(Queue::default());
        let [one, other] = networks();
        let running = queue.turn(one).await.unwrap();
        let gone = wait(&queue, other).await;
        let next = wait(&queue, one).await;
        gone.abort();
        drop(running);
        drop(next.await.unwrap().unwrap());
        assert!(queue.turn(one).await.is_some());
    }
}
