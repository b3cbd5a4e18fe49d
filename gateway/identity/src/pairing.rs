//! Pairing of wall screens: the screen shows a short code, and somebody who is signed in types it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use comptoir_core::Secret;

use crate::rate::Network;
use crate::secret::{digest, new_code, new_id, new_secret, normalise_code};

/// How long a code is valid.
pub const LIFE: Duration = Duration::from_secs(10 * 60);
/// Most waiting screens. A further one replaces the oldest of the address that has the most.
const MAX_WAITING: usize = 100;
/// Most waiting screens of one address. A further one replaces the oldest of them.
const MAX_PER_NETWORK: usize = 5;
const CODE_CHARACTERS: usize = 6;

/// A screen that waits to be paired.
#[derive(Debug, Clone)]
pub struct Pairing {
    pub id: String,
    /// The code that the screen shows: `4F7-K2M`.
    pub code: String,
    /// The secret with which the screen asks for its state.
    pub secret: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingState {
    Waiting,
    /// Somebody has typed the code. Reported only once, because the screen then gets its session.
    Approved,
    Expired,
}

struct Entry {
    network: Network,
    code: String,
    secret: [u8; 32],
    begun: Instant,
    is_approved: bool,
}

impl Entry {
    fn is_alive(&self) -> bool {
        self.begun.elapsed() < LIFE
    }
}

/// The waiting screens, in memory: after a restart a screen shows a new code.
#[derive(Default)]
pub struct Pairings(Mutex<HashMap<String, Entry>>);

impl Pairings {
    pub fn begin(&self, network: Network) -> Pairing {
        let (id, secret) = (new_id(), new_secret());
        let code = new_code::<CODE_CHARACTERS>();
        let entry = Entry {
            network,
            code: code.clone(),
            secret: digest(secret.reveal()),
            begun: Instant::now(),
            is_approved: false,
        };
        self.with(|waiting| {
            waiting.retain(|_, entry| entry.is_alive());
            if count(waiting, network) >= MAX_PER_NETWORK {
                remove_oldest(waiting, network);
            }
            if waiting.len() >= MAX_WAITING {
                let networks = waiting.values().map(|entry| entry.network);
                if let Some(heaviest) = networks.max_by_key(|&network| count(waiting, network)) {
                    remove_oldest(waiting, heaviest);
                }
            }
            waiting.insert(id.clone(), entry);
        });
        let code = format!(
            "{}-{}",
            &code[..CODE_CHARACTERS / 2],
            &code[CODE_CHARACTERS / 2..]
        );
        Pairing { id, code, secret }
    }

    /// The state of the screen with this `secret`. Returning `Approved` removes the screen.
    pub fn state(&self, id: &str, secret: &str) -> PairingState {
        self.with(|waiting| match waiting.get(id) {
            Some(entry) if entry.is_alive() && entry.secret == digest(secret) => match entry.is_approved {
                true => {
                    waiting.remove(id);
                    PairingState::Approved
                }
                false => PairingState::Waiting,
            },
            _ => PairingState::Expired,
        })
    }

    /// Approves the screen that shows `code`. Returns false if no screen does.
    pub fn approve(&self, code: &str) -> bool {
        let code = normalise_code(code);
        self.with(|waiting| {
            let mut alive = waiting.values_mut().filter(|entry| entry.is_alive());
            match alive.find(|entry| entry.code == code) {
                Some(entry) => {
                    entry.is_approved = true;
                    true
                }
                None => false,
            }
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
        // The map stays valid even if a thread panics while it holds the lock.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn count(waiting: &HashMap<String, Entry>, network: Network) -> usize {
    waiting.values().filter(|entry| entry.network == network).count()
}

fn remove_oldest(waiting: &mut HashMap<String, Entry>, network: Network) {
    let own = waiting.iter().filter(|(_, entry)| entry.network == network);
    let oldest = own.min_by_key(|(_, entry)| entry.begun);
    if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
        waiting.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::rate::Networks;
    use crate::rate::tests::distinct;

    fn state(pairings: &Pairings, of: &Pairing) -> PairingState {
        pairings.state(&of.id, of.secret.reveal())
    }

    #[test]
    fn a_screen_is_approved_once_by_its_code() {
        let (pairings, network) = (Pairings::default(), Networks::default().of(None));
        let begin = || pairings.begin(network);
        let (screen, other) = (begin(), begin());
        let state = |of: &Pairing| state(&pairings, of);
        assert!(!pairings.approve("not-a-code"));
        assert_eq!(state(&screen), PairingState::Waiting);
        assert!(pairings.approve(&screen.code.to_lowercase()));
        assert_eq!(pairings.state(&screen.id, "guessed"), PairingState::Expired);
        assert_eq!(state(&screen), PairingState::Approved);
        assert_eq!(state(&screen), PairingState::Expired);
        assert_eq!(state(&other), PairingState::Waiting);
    }

    #[test]
    fn an_address_displaces_its_own_oldest_screen_and_no_other() {
        let (pairings, networks) = (Pairings::default(), Networks::default());
        let [flood, other] = distinct(&networks).map(|address| networks.of(Some(address)));
        let screen = pairings.begin(other);
        let flood: Vec<Pairing> = (0..2 * MAX_WAITING).map(|_| pairings.begin(flood)).collect();
        assert_eq!(state(&pairings, &screen), PairingState::Waiting);
        let waiting = flood
            .iter()
            .map(|one| state(&pairings, one) == PairingState::Waiting);
        let waiting: Vec<bool> = waiting.collect();
        assert_eq!(
            waiting.iter().filter(|is_waiting| **is_waiting).count(),
            MAX_PER_NETWORK
        );
        assert!(
            waiting.ends_with(&[true; MAX_PER_NETWORK]),
            "the newest ones wait"
        );
    }

    #[test]
    fn screens_that_wait_are_bounded_and_the_address_with_the_most_gives_one_up() {
        let (pairings, networks) = (Pairings::default(), Networks::default());
        let all: [IpAddr; 3 * MAX_WAITING] = distinct(&networks);
        let [own, flood @ ..] = all.map(|address| networks.of(Some(address)));
        let screen = pairings.begin(own);
        for (number, &network) in flood.iter().flat_map(|network| [network; 2]).enumerate() {
            pairings.begin(network);
            let count = pairings.with(|waiting| waiting.len());
            assert!(count <= MAX_WAITING, "{count}");
            if number < 150 {
                assert_eq!(state(&pairings, &screen), PairingState::Waiting, "{number}");
            }
        }
    }
}
