//! The log lines about failed sign-ins: one for each address and minute, so that somebody who guesses cannot fill the log.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::http::connections::{ClientAddress, Sender};

/// Time within which an address has one line.
const PERIOD: Duration = Duration::from_secs(60);
/// Addresses with a line of their own within the period. The others have one together.
const MAX_ADDRESSES: usize = 20;

#[derive(Default)]
pub struct FailureLog(Mutex<Vec<Entry>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// An address of this machine. Behind a reverse proxy, all others are it.
    This(IpAddr),
    Other(Sender),
    /// All addresses that have no entry of their own; and callers without an address, in tests.
    Rest,
}

struct Entry {
    of: Of,
    logged: Instant,
    /// Failures since the line.
    unlogged: u64,
}

impl FailureLog {
    /// Logs a failed sign-in, unless the address had a line less than a minute ago. Then it is counted in the next line.
    pub fn note(&self, address: Option<IpAddr>, error: &dyn std::error::Error) {
        if let Some((failures, is_of_many)) = self.due(address) {
            match is_of_many {
                true => warn!(failures, %error, "sign-ins from many addresses failed"),
                false => warn!(?address, failures, %error, "a sign-in failed"),
            }
        }
    }

    /// How many sign-ins have failed since the last line, if another one is due, and whether it is about many addresses.
    fn due(&self, address: Option<IpAddr>) -> Option<(u64, bool)> {
        // The list is valid even if a thread has panicked while it held the lock.
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
