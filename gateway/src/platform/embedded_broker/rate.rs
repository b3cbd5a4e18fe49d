//! Rate limits for clients. The door does not read from a client that sends too fast, so TCP slows the client down.
//!
//! A till sells a few events per second, and drains some hundred per second from its flash after a weekend without the
//! gateway. The gateway stores a few thousand per second. A higher rate would delay all tills, because rumqttd keeps
//! their events in one queue for the gateway.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::limits::Source;

/// The refill rate of a token bucket, and its burst in seconds of that rate.
struct Rate {
    packets: f64,
    bytes: f64,
    burst: Duration,
}

/// For one connection.
const CONNECTION: Rate = Rate {
    packets: 500.0,
    bytes: 1_048_576.0,
    burst: Duration::from_secs(4),
};
/// For all connections of one address. The gateway's own machine is exempt: it may simulate many tills.
const ADDRESS: Rate = Rate {
    packets: 1_000.0,
    bytes: 2_097_152.0,
    burst: Duration::from_secs(4),
};
/// For all addresses.
const TOTAL: Rate = Rate {
    packets: 2_000.0,
    bytes: 4_194_304.0,
    burst: Duration::from_secs(2),
};
/// Guaranteed to each address, whatever the others send. Does not count towards [`TOTAL`].
const GUARANTEED: Rate = Rate {
    packets: 50.0,
    bytes: 131_072.0,
    burst: Duration::from_secs(10),
};
/// Longest wait for one packet, however many connections wait.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Most addresses whose buckets are kept. Beyond that, full buckets are dropped.
const MAX_ADDRESSES: usize = 4_096;

impl Rate {
    /// How long the bucket takes to regain these packets and bytes.
    fn time(&self, packets: u32, bytes: usize) -> Duration {
        Duration::from_secs_f64((f64::from(packets) / self.packets).max(bytes as f64 / self.bytes))
    }
}

/// A token bucket, stored as the time at which it is full again. `governor` does not fit: a packet takes from whichever
/// of two buckets lets it pass earlier, and `governor` cannot tell without taking from both.
#[derive(Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn full() -> Self {
        Self {
            full_at: Instant::now(),
        }
    }

    /// The bucket after taking from it, and when the packets may pass. An instant before `now` means at once.
    fn after(self, rate: &Rate, packets: u32, bytes: usize, now: Instant) -> (Self, Instant) {
        let full_at = self.full_at.max(now) + rate.time(packets, bytes);
        let full_at = full_at.min(now + rate.burst + MAX_WAIT);
        (Self { full_at }, full_at.checked_sub(rate.burst).unwrap_or(now))
    }

    /// Takes from the bucket. Returns when the packets may pass.
    fn take(&mut self, rate: &Rate, packets: u32, bytes: usize, now: Instant) -> Instant {
        let passes_at;
        (*self, passes_at) = self.after(rate, packets, bytes, now);
        passes_at
    }
}

/// The buckets of one address.
struct AddressBuckets {
    all: Bucket,
    guaranteed: Bucket,
}

/// The buckets that connections share. They outlive the connections, so a reconnect brings no new burst.
#[derive(Clone)]
pub struct Rates(Arc<Mutex<SharedBuckets>>);

struct SharedBuckets {
    total: Bucket,
    of_address: HashMap<IpAddr, AddressBuckets>,
}

impl Default for Rates {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(SharedBuckets {
            total: Bucket::full(),
            of_address: HashMap::new(),
        })))
    }
}

impl Rates {
    /// The pace of a new connection.
    pub fn pace(&self, source: Source) -> Pace {
        Pace {
            rates: self.clone(),
            source,
            connection: Bucket::full(),
        }
    }

    /// Takes from the address's bucket. Returns when the packets may pass.
    fn take_of_address(&self, address: IpAddr, packets: u32, bytes: usize, now: Instant) -> Instant {
        self.with(address, now, |_, buckets| {
            buckets.all.take(&ADDRESS, packets, bytes, now)
        })
    }

    /// Takes from the address's guaranteed bucket or from the total bucket, whichever lets the packets pass earlier.
    fn take_of_all(&self, address: IpAddr, packets: u32, bytes: usize, now: Instant) -> Instant {
        self.with(address, now, |total, buckets| {
            let guaranteed = buckets.guaranteed.after(&GUARANTEED, packets, bytes, now);
            let shared = total.after(&TOTAL, packets, bytes, now);
            if guaranteed.1 <= shared.1.max(now) {
                buckets.guaranteed = guaranteed.0;
                guaranteed.1
            } else {
                *total = shared.0;
                shared.1
            }
        })
    }

    /// Calls `take` with the total bucket and the address's buckets.
    fn with(
        &self,
        address: IpAddr,
        now: Instant,
        take: impl FnOnce(&mut Bucket, &mut AddressBuckets) -> Instant,
    ) -> Instant {
        // A panic elsewhere leaves the buckets consistent.
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let SharedBuckets { total, of_address } = &mut *shared;
        if of_address.len() >= MAX_ADDRESSES && !of_address.contains_key(&address) {
            of_address.retain(|_, buckets| buckets.all.full_at.max(buckets.guaranteed.full_at) > now);
        }
        let full = Bucket { full_at: now };
        let buckets = of_address.entry(address).or_insert(AddressBuckets {
            all: full,
            guaranteed: full,
        });
        take(total, buckets)
    }
}

/// The pace of one connection.
pub struct Pace {
    rates: Rates,
    source: Source,
    connection: Bucket,
}

impl Pace {
    pub fn source(&self) -> Source {
        self.source
    }

    /// Takes from the connection's and its address's buckets. Returns when the packets may pass.
    fn take_own(&mut self, packets: u32, bytes: usize, now: Instant) -> Instant {
        let passes_at = self.connection.take(&CONNECTION, packets, bytes, now);
        match self.source {
            Source::Gateway => now,
            Source::OwnMachine => passes_at.max(now),
            Source::Network(address) => {
                let of_address = self.rates.take_of_address(address, packets, bytes, now);
                passes_at.max(of_address).max(now)
            }
        }
    }

    /// Takes from the guaranteed or the total bucket. Returns when the packets may pass.
    fn take_of_all(&self, packets: u32, bytes: usize, now: Instant) -> Instant {
        match self.source {
            Source::Gateway | Source::OwnMachine => now,
            Source::Network(address) => self.rates.take_of_all(address, packets, bytes, now).max(now),
        }
    }

    /// Waits until the connection may send the packets.
    pub async fn wait(&mut self, packets: u32, bytes: usize) {
        let now = Instant::now();
        let passes_at = self.take_own(packets, bytes, now);
        if passes_at > now {
            sleep_until(passes_at).await;
        }
        // Taken only now, so that an address takes no more from the total than its own limit lets pass.
        let passes_at = self.take_of_all(packets, bytes, passes_at);
        if passes_at > now {
            sleep_until(passes_at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(host: u8) -> Source {
        Source::Network(IpAddr::from([192, 0, 2, host]))
    }

    /// When the packets may pass, as in [`Pace::wait`].
    fn take(pace: &mut Pace, packets: u32, bytes: usize, now: Instant) -> Instant {
        let passes_at = pace.take_own(packets, bytes, now);
        pace.take_of_all(packets, bytes, passes_at)
    }

    /// Sends packets of 200 bytes. Returns how long the last one waits.
    fn send(pace: &mut Pace, count: u32, now: Instant) -> Duration {
        let mut passes_at = now;
        for _ in 0..count {
            passes_at = take(pace, 1, 200, now);
        }
        passes_at.saturating_duration_since(now)
    }

    #[test]
    fn a_connection_is_slowed_down_after_its_burst() {
        let now = Instant::now();
        for source in [network(1), Source::OwnMachine] {
            let mut pace = Rates::default().pace(source);
            assert_eq!(send(&mut pace, 1_900, now), Duration::ZERO);
            let wait = send(&mut pace, 600, now);
            assert!(wait > Duration::from_millis(900), "{wait:?}");
            let later = now + Duration::from_secs(10);
            assert_eq!(send(&mut pace, 1_900, later), Duration::ZERO);
            let wait = take(&mut pace, 1, 6 << 20, later).saturating_duration_since(later);
            assert!(wait > Duration::from_secs(1), "bytes count too: {wait:?}");
        }
        let mut gateway = Rates::default().pace(Source::Gateway);
        assert_eq!(send(&mut gateway, 10_000, now), Duration::ZERO);
    }

    #[test]
    fn more_connections_or_new_ones_give_an_address_no_more() {
        let rates = Rates::default();
        let now = Instant::now();
        for _ in 0..10 {
            send(&mut rates.pace(network(1)), 500, now);
        }
        let wait = send(&mut rates.pace(network(1)), 1, now);
        assert!(wait > Duration::from_millis(900), "{wait:?}");
        for _ in 0..10 {
            let wait = send(&mut rates.pace(Source::OwnMachine), 500, now);
            assert_eq!(wait, Duration::ZERO, "many simulated tills");
        }
    }

    #[test]
    fn whatever_others_send_a_till_sends_its_share_at_once() {
        let rates = Rates::default();
        let now = Instant::now();
        for host in 1..=100 {
            send(&mut rates.pace(network(host)), 2_000, now);
        }
        let mut till = rates.pace(network(200));
        assert_eq!(send(&mut till, 490, now), Duration::ZERO);
        let wait = send(&mut till, 1_000, now);
        assert!((Duration::from_secs(1)..=MAX_WAIT).contains(&wait), "{wait:?}");
        assert!(wait <= Duration::from_secs(21), "50 a second: {wait:?}");
        let mut seller = rates.pace(network(201));
        let mut at = now;
        for _ in 0..600 {
            assert_eq!(send(&mut seller, 1, at), Duration::ZERO);
            at += Duration::from_millis(25);
        }
        assert!(take(&mut seller, 1, 40_000, at) <= at, "a long order");
    }

    #[test]
    fn large_packets_of_one_address_leave_the_limit_in_all_to_others() {
        let rates = Rates::default();
        let now = Instant::now();
        let mut passes_at = now;
        for _ in 0..100 {
            passes_at = rates.pace(network(1)).take_own(1, 2 << 20, now);
        }
        assert_eq!(passes_at, now + MAX_WAIT, "they wait for their own bucket");
        let mut till = rates.pace(network(2));
        assert_eq!(send(&mut till, 1_500, now), Duration::ZERO);
    }

    #[test]
    fn a_till_drains_the_sales_of_a_weekend_at_500_a_second() {
        let mut till = Rates::default().pace(network(1));
        let began = Instant::now();
        let mut now = began;
        for _ in 0..5_000 {
            now = take(&mut till, 1, 1_000, now);
        }
        assert!(now - began <= Duration::from_secs(7), "{:?}", now - began);
    }

    #[test]
    fn the_buckets_of_addresses_that_are_quiet_are_dropped() {
        let rates = Rates::default();
        let now = Instant::now();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..MAX_ADDRESSES as u32 {
            rates.take_of_address(address(number), 1, 1, now);
        }
        rates.take_of_address(address(u32::MAX), 1, 1, now + Duration::from_secs(60));
        assert_eq!(rates.0.lock().unwrap().of_address.len(), 1);
    }
}
