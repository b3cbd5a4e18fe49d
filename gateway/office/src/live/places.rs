//! Limits on the number of live connections: in all, and for one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comptoir_identity::network_of;

/// Of the port's connections, one in this many remains for requests.
const FOR_REQUESTS: usize = 4;
/// Of the live connections, one address may have one in this many.
const PER_ADDRESS: usize = 4;

/// The places of live connections.
#[derive(Debug)]
pub struct Places {
    total: usize,
    per_address: usize,
    /// By address; for IPv6 by network, because anyone can have many addresses of one.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// The limit that has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlacesLimit {
    #[error("The office has {0} live connections, which is the limit")]
    Total(usize),
    #[error("This address has {0} live connections, which is the limit")]
    PerAddress(usize),
}

impl Places {
    /// The places of a port with this many connections.
    pub fn of_port(max_connections: usize) -> Arc<Self> {
        let total = (max_connections - max_connections / FOR_REQUESTS).max(1);
        Arc::new(Self {
            total,
            per_address: total.div_ceil(PER_ADDRESS),
            taken: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A panic in another thread leaves the map consistent.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place until the returned value is dropped. This machine may take all: it has a proxy that names no
    /// clients, or an SSH tunnel.
    ///
    /// # Errors
    /// The limit that has been reached.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, PlacesLimit> {
        let network = network_of(address);
        let mut taken = self.lock();
        let own = taken.get(&network).copied().unwrap_or(0);
        if !address.is_loopback() && own >= self.per_address {
            return Err(PlacesLimit::PerAddress(self.per_address));
        }
        if taken.values().sum::<usize>() >= self.total {
            return Err(PlacesLimit::Total(self.total));
        }
        taken.insert(network, own + 1);
        Ok(Place {
            places: Arc::clone(self),
            network,
        })
    }
}

/// The place of one live connection.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_for_each_address_but_this_machine() {
        // 6 live connections, 2 of one address.
        let places = Places::of_port(8);
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let first = places.take(address(1)).unwrap();
        let _second = places.take(address(1)).unwrap();
        assert_eq!(places.take(address(1)).unwrap_err(), PlacesLimit::PerAddress(2));
        drop(first);
        let _third = places.take(address(1)).unwrap();
        let local: Vec<Place> = (0..4)
            .map(|_| places.take(IpAddr::from([127, 0, 0, 1])).unwrap())
            .collect();
        assert_eq!(places.take(address(2)).unwrap_err(), PlacesLimit::Total(6));
        drop(local);
        assert!(places.take(address(2)).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_their_places() {
        let places = Places::of_port(8);
        let network = |last: &str| places.take(format!("2001:db8::{last}").parse().unwrap());
        let (first, _second) = (network("1").unwrap(), network("2").unwrap());
        assert_eq!(network("3").unwrap_err(), PlacesLimit::PerAddress(2));
        drop(first);
        assert!(network("3").is_ok());
    }
}
