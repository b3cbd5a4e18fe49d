//! Longer and longer waits, never in step with those of others.

use crate::Millis;

/// Waits that double up to a bound, each drawn from ±25 % of its middle.
///
/// The jitter is what keeps the terminals of a chain from coming back all at once after a power cut.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Millis,
    max: Millis,
    /// Waits given since the last success; the exponent of the next.
    failures: u32,
}

impl Backoff {
    /// A first wait of `first` milliseconds, then doubling, never above `max`.
    pub const fn new(first: Millis, max: Millis) -> Self {
        Self {
            first,
            max,
            failures: 0,
        }
    }

    /// The next wait. `random` is uniform over all of `u32`.
    pub fn wait(&mut self, random: u32) -> Millis {
        let factor = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        let middle = self.first.saturating_mul(factor).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let spread = middle / 2;
        let offset = u64::try_from((u128::from(spread) * u128::from(random)) >> 32).unwrap_or(spread);
        (middle - spread / 2).saturating_add(offset).min(self.max)
    }

    /// It worked: the next wait is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since it last worked.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound_and_starts_again() {
        let mut backoff = Backoff::new(1000, 30_000);
        let middle = 1 << 31;
        let waits: [Millis; 7] = core::array::from_fn(|_| backoff.wait(middle));
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff.failures(), 7);
        backoff.reset();
        assert_eq!(backoff.wait(0), 750);
        backoff.reset();
        assert!((1249..=1250).contains(&backoff.wait(u32::MAX)));
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff::new(u64::MAX, u64::MAX);
        for _ in 0..200 {
            backoff.wait(u32::MAX);
        }
        let mut small = Backoff::new(1, 2);
        for _ in 0..200 {
            assert!(small.wait(u32::MAX) <= 2);
        }
    }
}
