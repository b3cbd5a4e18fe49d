//! The bytes that the clients exchange with Kafka.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::Statistics;

/// The bytes that all clients have sent to Kafka and received from it since the start. Clones share them.
///
/// They are the bytes of Kafka's protocol, compressed as they travel, without TLS, TCP and IP. A client is counted every few
/// seconds, so the bytes of its last seconds are missing. Clients that live for one request only are not counted: those that
/// read a watermark, inspect the topics, or publish the gateway's state.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
}

/// A number of bytes in each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficBytes {
    pub sent: u64,
    pub received: u64,
}

impl Traffic {
    pub fn total(&self) -> TrafficBytes {
        TrafficBytes {
            sent: self.0.sent.load(Ordering::Relaxed),
            received: self.0.received.load(Ordering::Relaxed),
        }
    }

    /// The part of one client.
    pub(super) fn of_client(&self) -> ClientTraffic {
        ClientTraffic {
            all: self.clone(),
            counted: Mutex::default(),
            counts: AtomicU64::new(0),
        }
    }
}

/// Adds what one client exchanges to the total of all.
pub(super) struct ClientTraffic {
    all: Traffic,
    /// The client's bytes that the total contains.
    counted: Mutex<TrafficBytes>,
    /// How often the client was counted.
    counts: AtomicU64,
}

impl ClientTraffic {
    pub fn note(&self, statistics: &Statistics) {
        let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
        self.note_bytes(TrafficBytes {
            sent: bytes(statistics.tx_bytes),
            received: bytes(statistics.rx_bytes),
        });
    }

    fn note_bytes(&self, now: TrafficBytes) {
        // A panic elsewhere leaves the value consistent.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = &self.all.0;
        counters
            .sent
            .fetch_add(now.sent.saturating_sub(counted.sent), Ordering::Relaxed);
        counters
            .received
            .fetch_add(now.received.saturating_sub(counted.received), Ordering::Relaxed);
        *counted = now;
        self.counts.fetch_add(1, Ordering::Release);
    }

    /// How often the client was counted.
    pub fn counts(&self) -> u64 {
        self.counts.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_all_clients_past_and_present() {
        let bytes = |sent, received| TrafficBytes { sent, received };
        let traffic = Traffic::default();
        let first = traffic.of_client();
        first.note_bytes(bytes(10, 100));
        first.note_bytes(bytes(15, 100));
        drop(first);
        let second = traffic.of_client();
        second.note_bytes(bytes(1, 2));
        assert_eq!(traffic.total(), bytes(16, 102));
    }
}
