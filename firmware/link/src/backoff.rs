//! Exponential backoff with jitter.

use crate::Millis;

/// Delays that double up to a maximum, each with ±25 % of jitter.
///
/// The jitter keeps the tills of a chain from reconnecting all at once after a power cut.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Millis,
    max: Millis,
    /// Delays since the last success: the exponent of the next one.
    failures: u32,
}

impl Backoff {
    /// The first delay is about `first` milliseconds; it then doubles and never exceeds `max`.
    pub const fn new(first: Millis, max: Millis) -> Self {
        Self {
            first,
            max,
            failures: 0,
        }
    }

    /// The next delay in milliseconds. `random` is uniform over all of `u32`.
    pub fn next_delay(&mut self, random: u32) -> Millis {
        let factor = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        let middle = self.first.saturating_mul(factor).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let spread = middle / 2;
        let offset = u64::try_from((u128::from(spread) * u128::from(random)) >> 32).unwrap_or(spread);
        (middle - spread / 2).saturating_add(offset).min(self.max)
    }

    /// Starts again from the first delay, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Delays since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(1000, 30_000);
        let middle = 1 << 31;
        let delays: [Millis; 7] = core::array::from_fn(|_| backoff.next_delay(middle));
        assert_eq!(delays, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff.failures(), 7);
        backoff.reset();
        assert_eq!(backoff.next_delay(0), 750);
        backoff.reset();
        assert!((1249..=1250).contains(&backoff.next_delay(u32::MAX)));
    }

    #[test]
    fn the_delay_never_overflows() {
        let mut backoff = Backoff::new(u64::MAX, u64::MAX);
        for _ in 0..200 {
            backoff.next_delay(u32::MAX);
        }
        let mut small = Backoff::new(1, 2);
        for _ in 0..200 {
            assert!(small.next_delay(u32::MAX) <= 2);
        }
    }
}
