//! The connections whose CONNECT was accepted.
//!
//! If all places are taken, a new connection displaces one of the address that has the most. So many connections from a
//! few addresses keep no till out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::limits::{ARRIVING_KIB_OF_ADDRESS, MAX_CONNECTIONS, MAX_OF_ADDRESS, Source};
use super::packet::Refusal;

#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Number of connections, without the gateway's.
    count: usize,
    of_source: HashMap<Source, SourcePlaces>,
    next: u64,
}

struct SourcePlaces {
    /// Oldest first.
    connections: Vec<(u64, CancellationToken)>,
    arriving: Arc<Semaphore>,
}

/// The place of a connection; dropping it frees the place.
pub struct Place {
    places: Places,
    number: u64,
    pub source: Source,
    /// Cancelled when another address needs the place.
    pub is_displaced: CancellationToken,
    /// Permits for the large publishes of the connection's address.
    pub arriving: Arc<Semaphore>,
}

impl Places {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the counts consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection a place. The gateway always gets one.
    ///
    /// # Errors
    /// The address has reached its limit, or all places are taken and no other address has more of them.
    pub fn take(&self, source: Source) -> Result<Place, Refusal> {
        let mut state = self.state();
        let state = &mut *state;
        if source != Source::Gateway {
            let own = state
                .of_source
                .get(&source)
                .map_or(0, |own| own.connections.len());
            if matches!(source, Source::Network(_)) && own >= MAX_OF_ADDRESS {
                return Err(Refusal::QuotaExceeded);
            }
            if state.count >= MAX_CONNECTIONS {
                state.displace(own + 1)?;
            }
            state.count += 1;
        }
        let number = state.next;
        state.next += 1;
        let is_displaced = CancellationToken::new();
        let own = state.of_source.entry(source).or_insert_with(|| SourcePlaces {
            connections: Vec::new(),
            arriving: Arc::new(Semaphore::new(ARRIVING_KIB_OF_ADDRESS as usize)),
        });
        own.connections.push((number, is_displaced.clone()));
        Ok(Place {
            places: self.clone(),
            number,
            source,
            is_displaced,
            arriving: Arc::clone(&own.arriving),
        })
    }
}

impl State {
    /// Frees the newest place of the source with the most places, if that is more than `wanted`.
    fn displace(&mut self, wanted: usize) -> Result<(), Refusal> {
        let others = self.of_source.iter();
        let (source, number) = others
            .filter(|(source, _)| **source != Source::Gateway)
            .max_by_key(|(_, places)| places.connections.len())
            .filter(|(_, places)| places.connections.len() > wanted)
            .and_then(|(source, places)| Some((*source, places.connections.last()?.0)))
            .ok_or(Refusal::QuotaExceeded)?;
        self.free(source, number);
        Ok(())
    }

    /// Ends the connection, if it still has its place.
    fn free(&mut self, source: Source, number: u64) {
        let Some(places) = self.of_source.get_mut(&source) else {
            return;
        };
        let Some(index) = places.connections.iter().position(|(each, _)| *each == number) else {
            return;
        };
        let (_, is_displaced) = places.connections.remove(index);
        is_displaced.cancel();
        if places.connections.is_empty() {
            self.of_source.remove(&source);
        }
        if source != Source::Gateway {
            self.count -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.state().free(self.source, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn network(host: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, host]))
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let places = Places::default();
        let taken: Vec<_> = (0..MAX_OF_ADDRESS)
            .map(|_| places.take(network(7)).unwrap())
            .collect();
        assert!(places.take(network(7)).is_err());
        assert!(places.take(network(8)).is_ok());
        drop(taken);
        assert!(places.take(network(7)).is_ok());
        let hosts = 0..=MAX_OF_ADDRESS as u16;
        let network: Vec<_> = hosts
            .map(|host| {
                let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
                places.take(Source::of(address.into()))
            })
            .collect();
        assert!(network[MAX_OF_ADDRESS].is_err(), "one IPv6 network is one sender");
    }

    #[test]
    fn a_few_addresses_that_took_all_places_keep_no_till_out() {
        let places = Places::default();
        let mut taken = Vec::new();
        for host in 1..=9 {
            for _ in 0..MAX_OF_ADDRESS {
                // The last address gets fewer than its limit.
                taken.extend(places.take(network(host)));
            }
        }
        let till = places.take(network(100)).unwrap();
        let displaced = || taken.iter().filter(|place| place.is_displaced.is_cancelled());
        let before = displaced().count();
        let second = places.take(network(101)).unwrap();
        assert_eq!(displaced().count(), before + 1);
        assert!(!till.is_displaced.is_cancelled() && !second.is_displaced.is_cancelled());
        assert!(!taken[0].is_displaced.is_cancelled(), "the newest gives way");
        assert_eq!(places.state().count, MAX_CONNECTIONS);
        drop((taken, till, second));
        assert_eq!(places.state().count, 0);
        assert!(places.state().of_source.is_empty());
    }

    #[test]
    fn the_own_machine_may_take_every_place_that_nobody_else_needs() {
        let places = Places::default();
        let taken: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| places.take(Source::OwnMachine).unwrap())
            .collect();
        assert!(places.take(Source::OwnMachine).is_err());
        assert!(places.take(Source::Gateway).is_ok());
        assert!(taken.iter().all(|place| !place.is_displaced.is_cancelled()));
        assert!(places.take(network(1)).is_ok());
        assert!(taken[MAX_CONNECTIONS - 1].is_displaced.is_cancelled());
    }
}
