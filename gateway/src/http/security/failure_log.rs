//! Logs failed sign-ins, at most once per address and minute, so that guessing cannot flood the log.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::http::connections::{ClientAddress, Sender};

/// Each address is logged at most once in this time.
const PERIOD: Duration = Duration::from_secs(60);
/// Most addresses that are logged separately within the period. All others share one line.
const MAX_ADDRESSES: usize = 20;

#[derive(Default)]
pub struct FailureLog(Mutex<Vec<Entry>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// An address of this machine. Behind a reverse proxy, every request comes from it.
    This(IpAddr),
    Other(Sender),
    /// All addresses without an entry of their own, and callers without an address (in tests).
    Rest,
}

struct Entry {
    of: Of,
    logged: Instant,
    /// Failures since the last line.
    unlogged: u64,
}

impl FailureLog {
    /// Logs a failed sign-in. If the address was logged less than a minute ago, counts it for the next line instead.
    pub fn note(&self, address: Option<IpAddr>, error: &dyn std::error::Error) {
        if let Some((failures, is_of_many)) = self.due(address) {
            match is_of_many {
                true => warn!(failures, %error, "sign-ins from many addresses failed"),
                false => warn!(?address, failures, %error, "a sign-in failed"),
            }
        }
    }

    /// If a line is due: the number of failures since the last one, and whether they come from many addresses.
    fn due(&self, address: Option<IpAddr>) -> Option<(u64, bool)> {
        // The list stays valid even if a thread panics while it holds the lock.
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = address.map_or(Of::Rest, |address| match ClientAddress::new(address).sender() {
            Sender::Loopback => Of::This(address.to_canonical()),
            sender => Of::Other(sender),
        });
        let has = |entries: &[Entry]| entries.iter().any(|entry| entry.of == of);
        if entries.len() >= MAX_ADDRESSES && !has(&entries) {
            entries.retain(|entry| entry.of == Of::Rest || entry.logged.elapsed() < PERIOD);
        }
        let of = match entries.len() < MAX_ADDRESSES || has(&entries) {
            true => of,
            false => Of::Rest,
        };
        let is_of_many = of == Of::Rest && address.is_some();
        let Some(entry) = entries.iter_mut().find(|entry| entry.of == of) else {
            entries.push(Entry {
                of,
                logged: Instant::now(),
                unlogged: 0,
            });
            return Some((1, is_of_many));
        };
        if entry.logged.elapsed() < PERIOD {
            entry.unlogged += 1;
            return None;
        }
        entry.logged = Instant::now();
        let unlogged = std::mem::take(&mut entry.unlogged);
        Some((unlogged + 1, is_of_many))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &FailureLog, address: &str) -> usize {
        let address = Some(address.parse().unwrap());
        (0..1_000).filter(|_| log.due(address).is_some()).count()
    }

    #[test]
    fn an_address_has_one_line_a_minute_with_the_number_of_failures() {
        let log = FailureLog::default();
        assert_eq!(lines(&log, "192.0.2.1"), 1);
        assert_eq!(lines(&log, "192.0.2.2"), 1);
        assert_eq!((lines(&log, "127.0.0.1"), lines(&log, "127.0.0.2")), (1, 1));
        for entry in log.0.lock().unwrap().iter_mut() {
            entry.logged -= PERIOD;
        }
        let again = log.due(Some("192.0.2.1".parse().unwrap()));
        assert_eq!(again, Some((1_000, false)));
    }

    #[test]
    fn many_addresses_have_one_line_together() {
        let log = FailureLog::default();
        let all = (0..10_000_u32).map(|number| IpAddr::from(number.to_be_bytes()));
        let lines: Vec<bool> = all
            .filter_map(|address| log.due(Some(address)))
            .map(|(_, is_of_many)| is_of_many)
            .collect();
        let together = lines.iter().filter(|is_of_many| **is_of_many).count();
        assert_eq!((lines.len(), together), (MAX_ADDRESSES + 1, 1));
    }
}
