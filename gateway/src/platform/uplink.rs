//! How many bytes the connection to Kafka has carried today: on a metered uplink they cost money.

use std::sync::{Arc, Mutex, PoisonError};

use comptoir_kafka::{Traffic, TrafficBytes, Uplink};
use jiff::{Timestamp, Zoned, civil};

use super::metrics::Metrics;

/// Counts the traffic of each day, in the time zone of the machine.
pub struct UplinkMeter {
    pub mode: Uplink,
    traffic: Traffic,
    metrics: Arc<Metrics>,
    today: Mutex<DayStart>,
}

/// The counters at the beginning of a day, or at the start of the gateway if that was later.
#[derive(Clone, Copy)]
struct DayStart {
    date: civil::Date,
    at: Timestamp,
    bytes: TrafficBytes,
    events: u64,
}

/// The traffic of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayTraffic {
    /// Midnight, or the start of the gateway if that was later.
    pub since: Timestamp,
    pub bytes: TrafficBytes,
    /// Events committed to Kafka.
    pub events: u64,
}

impl UplinkMeter {
    pub fn new(mode: Uplink, traffic: Traffic, metrics: Arc<Metrics>) -> Self {
        let now = Zoned::now();
        let start = DayStart {
            date: now.date(),
            at: now.timestamp(),
            bytes: traffic.total(),
            events: metrics.relayed.get(),
        };
        Self {
            mode,
            traffic,
            metrics,
            today: Mutex::new(start),
        }
    }

    /// The bytes since the start of the gateway.
    pub fn total(&self) -> TrafficBytes {
        self.traffic.total()
    }

    /// The traffic of this day. Call it regularly, because a new day begins with the first call on it.
    pub fn today(&self) -> DayTraffic {
        self.day_of(&Zoned::now())
    }

    fn day_of(&self, now: &Zoned) -> DayTraffic {
        let (bytes, events) = (self.traffic.total(), self.metrics.relayed.get());
        // A panic elsewhere leaves the value consistent.
        let mut start = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if start.date != now.date() {
            *start = DayStart {
                date: now.date(),
                at: now.timestamp(),
                bytes,
                events,
            };
        }
        DayTraffic {
            since: start.at,
            bytes: TrafficBytes {
                sent: bytes.sent.saturating_sub(start.bytes.sent),
                received: bytes.received.saturating_sub(start.bytes.received),
            },
            events: events.saturating_sub(start.events),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_day_starts_at_midnight_of_the_time_zone() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let meter = UplinkMeter::new(Uplink::Normal, Traffic::default(), Arc::clone(&metrics));
        let at = |text: &str| text.parse::<Zoned>().unwrap();
        let evening = at("2026-12-01T23:59:50+01:00[Europe/Paris]");
        let night = at("2026-12-02T00:00:00+01:00[Europe/Paris]");
        meter.day_of(&evening);
        metrics.relayed.inc_by(7);
        assert_eq!(meter.day_of(&evening).events, 7);
        let begun = meter.day_of(&night);
        assert_eq!((begun.events, begun.since), (0, night.timestamp()));
        metrics.relayed.inc_by(2);
        assert_eq!(meter.day_of(&at("2026-12-02T23:59:59+01:00[Europe/Paris]")).events, 2);
    }
}
