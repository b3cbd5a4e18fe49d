//! The size of a transaction: as much as the uplink carries before the timeout.
//!
//! One shop's uplink may be a thousand times slower than another's. A transaction that misses the timeout fails, and a
//! retry of the same size would fail again. So the size shrinks after a failure and grows while transactions are fast.
//! A slow but successful transaction does not shrink it: if every commit is slow regardless of size, smaller
//! transactions only mean more of them.

use std::time::Duration;

/// Most entries in one transaction. Larger transactions are no faster and take more memory.
pub const MAX_ENTRIES: usize = 3_000;
/// Most payload bytes in one transaction. A single larger entry is still sent.
pub const MAX_BYTES: usize = 3 << 20;
/// If a transaction is faster than this, the size may double: the next one takes at most twice as long, well within the
/// timeout (20 s).
const FAST: Duration = Duration::from_secs(3);

/// The size of the next transaction. Kept across sessions, because every failure ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionSize {
    entries: usize,
}

impl Default for TransactionSize {
    fn default() -> Self {
        Self { entries: MAX_ENTRIES }
    }
}

impl TransactionSize {
    /// Most entries.
    pub fn entries(self) -> usize {
        self.entries
    }

    /// Most payload bytes, in proportion to the entries.
    pub fn bytes(self) -> usize {
        MAX_BYTES / MAX_ENTRIES * self.entries
    }

    /// The next transaction has one entry, to identify the entry that Kafka rejects.
    pub fn shrink_to_one(&mut self) {
        self.entries = 1;
    }

    /// Grows after a committed transaction if it was full and fast.
    pub fn record_success(&mut self, entries: usize, bytes: usize, time: Duration) {
        // A small transaction that sent everything there was says nothing about the speed of a large one.
        let is_full = 2 * entries >= self.entries() || 2 * bytes >= self.bytes();
        if is_full && time < FAST {
            self.entries = (self.entries * 2).min(MAX_ENTRIES);
        }
    }

    /// Shrinks after a failed transaction, until its entries no longer fit into one.
    pub fn record_failure(&mut self, entries: usize, bytes: usize) {
        if entries < 2 {
            return;
        }
        self.entries /= 2;
        while self.entries >= entries && self.bytes() >= bytes {
            self.entries /= 2;
        }
        self.entries = self.entries.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends a backlog of equal entries until all are sent or there is no progress. Returns the number sent and the
    /// seconds.
    fn drain(backlog: usize, of_bytes: usize, seconds: impl Fn(usize) -> f64) -> (usize, f64) {
        let (mut size, mut sent, mut spent) = (TransactionSize::default(), 0, 0.0);
        for _ in 0..100_000 {
            let entries = size
                .entries()
                .min(size.bytes().div_ceil(of_bytes))
                .min(backlog - sent);
            if entries == 0 {
                break;
            }
            let time = seconds(entries * of_bytes);
            spent += time.min(20.0);
            if time > 20.0 {
                size.record_failure(entries, entries * of_bytes);
            } else {
                size.record_success(entries, entries * of_bytes, Duration::from_secs_f64(time));
                sent += entries;
            }
        }
        (sent, spent)
    }

    #[test]
    fn a_backlog_gets_through_however_slow_the_uplink_is() {
        for bytes_a_second in [1_000.0, 5_000.0, 40_000.0, 1e6, 1e9] {
            for of_bytes in [100, 500, 5_000] {
                let (sent, spent) = drain(20_000, of_bytes, |bytes| 0.05 + bytes as f64 / bytes_a_second);
                assert_eq!(sent, 20_000, "{of_bytes} bytes at {bytes_a_second} a second");
                let least = (20_000 * of_bytes) as f64 / bytes_a_second;
                assert!(spent < 2.0 * least + 400.0, "{spent} s instead of {least} s");
            }
        }
    }

    #[test]
    fn transactions_stay_large_where_every_commit_is_slow() {
        let mut size = TransactionSize::default();
        size.record_success(MAX_ENTRIES, 1 << 20, 15 * SECOND);
        size.record_success(1, 500, 15 * SECOND);
        assert_eq!(size, TransactionSize::default());
    }

    #[test]
    fn a_failed_transaction_is_split() {
        let mut size = TransactionSize::default();
        size.record_failure(MAX_ENTRIES, 1 << 20);
        assert_eq!(size.entries(), MAX_ENTRIES / 2);
        // Fewer entries than allowed.
        size.record_failure(700, 700 << 10);
        assert!(size.entries() < 700 && size.entries() > 300, "{size:?}");
        let mut size = TransactionSize::default();
        // Few, large entries.
        size.record_failure(3, MAX_BYTES);
        assert!(size.bytes() <= MAX_BYTES / 2 && size.entries() == MAX_ENTRIES / 2);
        for _ in 0..100 {
            size.record_failure(2, 2_000);
        }
        assert_eq!(size.entries(), 1);
        size.record_failure(1, 2 << 20);
        assert_eq!(size.entries(), 1, "a single entry cannot be split");
    }

    #[test]
    fn transactions_grow_again_once_full_ones_are_fast() {
        let mut size = TransactionSize::default();
        for _ in 0..20 {
            size.record_failure(2, 2_000);
        }
        let smallest = size;
        for _ in 0..100 {
            size.record_success(0, 0, SECOND);
        }
        assert_eq!(size, smallest, "there was no more to send");
        let mut transactions = 0;
        while size != TransactionSize::default() {
            size.record_success(size.entries(), 0, SECOND);
            transactions += 1;
        }
        assert!(transactions <= 12, "{transactions}");
    }
}
