//! Rate limiting: the rate of a whole run, exact over time, distributed to the tills in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The number of events that one till may sell.
#[derive(Debug, Default)]
pub struct Permits {
    pending: AtomicU32,
    is_over: AtomicBool,
    changed: Notify,
}

impl Permits {
    /// Takes up to `max` permits; returns how many.
    pub fn take(&self, max: u32) -> u32 {
        let take = |pending: u32| Some(pending - pending.min(max));
        match self
            .pending
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
        {
            Ok(before) => before.min(max),
            Err(_) => 0,
        }
    }

    /// Whether no permit is left and none will come.
    pub fn are_over(&self) -> bool {
        // In this order, because the pacer sets `is_over` after its last grant.
        self.is_over.load(Ordering::Acquire) && self.pending.load(Ordering::Acquire) == 0
    }

    /// Whether there are permits to take.
    pub fn any(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }

    /// Waits for more permits, or for their end.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn grant(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

/// Distributes the permits of a run.
pub struct Pacer {
    /// Events per second, above 0.
    pub rate: f64,
    /// Total number of permits; `None`: no limit.
    pub total: Option<u64>,
    /// The permits of each till.
    pub tills: Vec<Arc<Permits>>,
}

/// The shortest interval between two distributions.
const TICK: Duration = Duration::from_millis(4);

impl Pacer {
    /// Distributes all permits and then marks them as over; runs for ever if there is no total.
    ///
    /// After a stall (of this machine, or because all tills are full) at most one second's worth of events is made up.
    pub async fn run(self) {
        let mut schedule = Schedule::new(self.rate);
        let start = Instant::now();
        // A till that does not use its permits is passed over, and its share goes to the others.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let max_pending = (self.rate / self.tills.len() as f64).ceil() as u32 + 1;
        let left = AtomicU64::new(self.total.unwrap_or(u64::MAX));
        let mut at = 0;
        while left.load(Ordering::Relaxed) > 0 {
            let due = schedule.due(start.elapsed()).min(left.load(Ordering::Relaxed));
            let mut granted = 0;
            let mut passed_over = 0;
            let mut visited = 0;
            let from = at;
            while granted < due && passed_over < self.tills.len() {
                let permits = &self.tills[at];
                if permits.pending.load(Ordering::Acquire) < max_pending {
                    permits.grant();
                    granted += 1;
                    passed_over = 0;
                } else {
                    passed_over += 1;
                }
                at = (at + 1) % self.tills.len();
                visited += 1;
            }
            for permits in self
                .tills
                .iter()
                .cycle()
                .skip(from)
                .take(visited.min(self.tills.len()))
            {
                permits.changed.notify_one();
            }
            schedule.given(granted);
            if self.total.is_some() {
                left.fetch_sub(granted, Ordering::Relaxed);
            }
            let next = schedule.next().max(start.elapsed() + TICK);
            sleep_until(start + next).await;
        }
        self.tills.iter().for_each(|permits| permits.end());
    }
}

/// Computes how many events are due.
struct Schedule {
    rate: f64,
    /// The time from which the rate counts; moved forward by the part of a stall that is not made up.
    from: Duration,
    given: u64,
}

impl Schedule {
    fn new(rate: f64) -> Self {
        Self {
            rate,
            from: Duration::ZERO,
            given: 0,
        }
    }

    /// Number of events due now, at most one second's worth (but one if one is due).
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn due(&mut self, now: Duration) -> u64 {
        let by_now = now.saturating_sub(self.from).as_secs_f64() * self.rate;
        let behind = by_now - self.given as f64;
        let max = self.rate.max(1.0);
        if behind > max {
            self.from += Duration::from_secs_f64((behind - max) / self.rate);
        }
        behind.min(max).max(0.0) as u64
    }

    fn given(&mut self, count: u64) {
        self.given += count;
    }

    /// When the next event is due.
    #[expect(clippy::cast_precision_loss)]
    fn next(&self) -> Duration {
        let wait = (self.given + 1) as f64 / self.rate;
        // Limited, so that a rate of one event in a million years does not overflow the sum.
        self.from + Duration::from_secs_f64(wait.min(1e9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_exact_over_an_hour_of_irregular_ticks() {
        let mut schedule = Schedule::new(123.4);
        let (mut now, mut given) = (Duration::ZERO, 0);
        for tick in 0.. {
            now += Duration::from_micros(1_000 + tick * 7_919 % 90_000);
            if now > Duration::from_secs(3_600) {
                break;
            }
            let due = schedule.due(now);
            schedule.given(due);
            given += due;
        }
        let due = schedule.due(Duration::from_secs(3_600));
        assert_eq!(given + due, 444_240);
    }

    #[test]
    fn at_most_one_second_of_a_stall_is_made_up() {
        let mut schedule = Schedule::new(100.0);
        let due = schedule.due(Duration::from_secs(60));
        assert_eq!(due, 100);
        schedule.given(due);
        assert_eq!(schedule.due(Duration::from_secs(60)), 0);
        assert_eq!(schedule.due(Duration::from_secs(61)), 100);
    }

    #[test]
    fn an_event_of_a_slow_rate_is_not_due_early() {
        let mut schedule = Schedule::new(0.1);
        assert_eq!(schedule.due(Duration::from_secs(9)), 0);
        assert_eq!(schedule.next(), Duration::from_secs(10));
        assert_eq!(schedule.due(Duration::from_secs(10)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pacer_distributes_exactly_the_total_in_turn() {
        let tills: Vec<Arc<Permits>> = (0..3).map(|_| Arc::default()).collect();
        let pacer = Pacer {
            rate: 50.0,
            total: Some(100),
            tills: tills.clone(),
        };
        let run = tokio::spawn(pacer.run());
        let mut taken = [0; 3];
        // The clock is paused: the sleep is simulated time, in which the pacer runs.
        while !run.is_finished() || tills.iter().any(|permits| permits.any()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for (taken, permits) in taken.iter_mut().zip(&tills) {
                *taken += permits.take(u32::MAX);
            }
        }
        assert_eq!(taken, [34, 33, 33]);
        assert!(tills.iter().all(|permits| permits.are_over()));
    }
}
