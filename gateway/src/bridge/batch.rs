//! How much goes into one transaction: as much as the way to Kafka carries in time.
//!
//! A shop's uplink may be a thousand times slower than another's. A transaction that does not come through in time is
//! lost, and the same again would be lost again; so after a failure the next ones are smaller, and they grow while they
//! are quick. Only what failed makes them smaller, and not what took long: where each commit takes long, however
//! little is in it, small ones would only be more of them.

use std::time::Duration;

/// Most entries, and about as many bytes, of one transaction. Larger ones are no faster and take more memory.
pub const MAX_ENTRIES: usize = 3_000;
pub const MAX_BYTES: usize = 3 << 20;
/// Twice as much then takes at most twice as long, which is well within what a transaction is given (20 s).
const QUICK: Duration = Duration::from_secs(3);

/// Of the next transaction. Outlives the producers: each failure makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    entries: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { entries: MAX_ENTRIES }
    }
}

impl Size {
    pub fn entries(self) -> usize {
        self.entries
    }

    pub fn bytes(self) -> usize {
        MAX_BYTES / MAX_ENTRIES * self.entries
    }

    /// The next transaction has one entry: one of the last is refused, and it is to be found.
    pub fn single(&mut self) {
        self.entries = 1;
    }

    /// That many were committed within this time.
    pub fn took(&mut self, entries: usize, bytes: usize, time: Duration) {
        // A few events that were all there was say nothing of what a backlog would take.
        let full = 2 * entries >= self.entries() || 2 * bytes >= self.bytes();
        if full && time < QUICK {
            self.entries = (self.entries * 2).min(MAX_ENTRIES);
        }
    }

    /// That many did not come through. The same again will come in smaller parts, if it has any.
    pub fn failed(&mut self, entries: usize, bytes: usize) {
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

    /// Sends a backlog of equal entries, until this many are through or nothing more seems to come of it.
    fn drain(backlog: usize, of_bytes: usize, seconds: impl Fn(usize) -> f64) -> (usize, f64) {
        let (mut size, mut sent, mut spent) = (Size::default(), 0, 0.0);
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
                size.failed(entries, entries * of_bytes);
            } else {
                size.took(entries, entries * of_bytes, Duration::from_secs_f64(time));
                sent += entries;
            }
        }
        (sent, spent)
    }

    #[test]
    fn a_backlog_goes_through_however_narrow_the_way_is() {
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
    fn where_every_commit_takes_long_they_stay_large() {
        let mut size = Size::default();
        size.took(MAX_ENTRIES, 1 << 20, 15 * SECOND);
        size.took(1, 500, 15 * SECOND);
        assert_eq!(size, Size::default());
    }

    #[test]
    fn what_failed_comes_in_smaller_parts() {
        let mut size = Size::default();
        size.failed(MAX_ENTRIES, 1 << 20);
        assert_eq!(size.entries(), MAX_ENTRIES / 2);
        // Fewer than could have been.
        size.failed(700, 700 << 10);
        assert!(size.entries() < 700 && size.entries() > 300, "{size:?}");
        let mut size = Size::default();
        // Few, and large.
        size.failed(3, MAX_BYTES);
        assert!(size.bytes() <= MAX_BYTES / 2 && size.entries() == MAX_ENTRIES / 2);
        for _ in 0..100 {
            size.failed(2, 2_000);
        }
        assert_eq!(size.entries(), 1);
        size.failed(1, 2 << 20);
        assert_eq!(size.entries(), 1, "there is nothing smaller");
    }

    #[test]
    fn they_grow_again_once_full_ones_are_quick() {
        let mut size = Size::default();
        for _ in 0..20 {
            size.failed(2, 2_000);
        }
        let smallest = size;
        for _ in 0..100 {
            size.took(0, 0, SECOND);
        }
        assert_eq!(size, smallest, "there was no more to send");
        let mut transactions = 0;
        while size != Size::default() {
            size.took(size.entries(), 0, SECOND);
            transactions += 1;
        }
        assert!(transactions <= 12, "{transactions}");
    }
}
