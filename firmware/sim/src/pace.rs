//! The rate of a whole run, exact over time, dealt out to the terminals in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What one terminal may sell.
#[derive(Debug, Default)]
pub struct Permits {
    pending: AtomicU32,
    over: AtomicBool,
    changed: Notify,
}

impl Permits {
    /// Takes up to `most` permits.
    pub fn take(&self, most: u32) -> u32 {
        let take = |pending: u32| Some(pending - pending.min(most));
        match self
            .pending
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
        {
            Ok(before) => before.min(most),
            Err(_) => 0,
        }
    }

    /// No permit is left, and none will come.
    pub fn are_over(&self) -> bool {
        // In this order: whoever ends them has granted all before.
        self.over.load(Ordering::Acquire) && self.pending.load(Ordering::Acquire) == 0
    }

    /// Some are there to be taken.
    pub fn any(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }

    /// More permits, or the end of them.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn grant(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
    }

    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

/// Deals out the permits of a run.
pub struct Pacer {
    /// Events a second, above 0.
    pub rate: f64,
    /// Permits in all.
    pub total: Option<u64>,
    /// One for each terminal.
    pub terminals: Vec<Arc<Permits>>,
}

/// Permits are dealt out no more often than this.
const TICK: Duration = Duration::from_millis(4);

impl Pacer {
    /// Deals out until all are, and ends them; for ever where there is no total.
    ///
    /// After a stall (of this machine, or because all terminals are full) at most a second's worth is made up
    /// for.
    pub async fn run(self) {
        let mut schedule = Schedule::new(self.rate);
        let start = Instant::now();
        // A terminal that does not take what it is given is passed over, its share goes to others.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let most_pending = (self.rate / self.terminals.len() as f64).ceil() as u32 + 1;
        let left = AtomicU64::new(self.total.unwrap_or(u64::MAX));
        let mut at = 0;
        while left.load(Ordering::Relaxed) > 0 {
            let due = schedule.due(start.elapsed()).min(left.load(Ordering::Relaxed));
            let mut granted = 0;
            let mut passed_over = 0;
            let mut visited = 0;
            let from = at;
            while granted < due && passed_over < self.terminals.len() {
                let permits = &self.terminals[at];
                if permits.pending.load(Ordering::Acquire) < most_pending {
                    permits.grant();
                    granted += 1;
                    passed_over = 0;
                } else {
                    passed_over += 1;
                }
                at = (at + 1) % self.terminals.len();
                visited += 1;
            }
            for permits in self
                .terminals
                .iter()
                .cycle()
                .skip(from)
                .take(visited.min(self.terminals.len()))
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
        self.terminals.iter().for_each(|permits| permits.end());
    }
}

/// When how many events are due.
struct Schedule {
    rate: f64,
    /// Since when the rate counts; moved by what a stall made impossible to catch up with.
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

    /// Events to give now, at most a second's worth (and at least one, where one is due).
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn due(&mut self, now: Duration) -> u64 {
        let by_now = now.saturating_sub(self.from).as_secs_f64() * self.rate;
        let behind = by_now - self.given as f64;
        let most = self.rate.max(1.0);
        if behind > most {
            self.from += Duration::from_secs_f64((behind - most) / self.rate);
        }
        behind.min(most).max(0.0) as u64
    }

    fn given(&mut self, count: u64) {
        self.given += count;
    }

    /// When the next event is due.
    #[expect(clippy::cast_precision_loss)]
    fn next(&self) -> Duration {
        let wait = (self.given + 1) as f64 / self.rate;
        // A rate of one event in a million years must not overflow the sum.
        self.from + Duration::from_secs_f64(wait.min(1e9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_over_an_hour_whatever_the_ticks() {
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
    fn a_stall_is_made_up_for_by_a_second_at_most() {
        let mut schedule = Schedule::new(100.0);
        let due = schedule.due(Duration::from_secs(60));
        assert_eq!(due, 100);
        schedule.given(due);
        assert_eq!(schedule.due(Duration::from_secs(60)), 0);
        assert_eq!(schedule.due(Duration::from_secs(61)), 100);
    }

    #[test]
    fn slow_rates_wait_for_their_moment() {
        let mut schedule = Schedule::new(0.1);
        assert_eq!(schedule.due(Duration::from_secs(9)), 0);
        assert_eq!(schedule.next(), Duration::from_secs(10));
        assert_eq!(schedule.due(Duration::from_secs(10)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn deals_out_exactly_the_total_in_turn() {
        let terminals: Vec<Arc<Permits>> = (0..3).map(|_| Arc::default()).collect();
        let pacer = Pacer {
            rate: 50.0,
            total: Some(100),
            terminals: terminals.clone(),
        };
        let run = tokio::spawn(pacer.run());
        let mut taken = [0; 3];
        while !run.is_finished() || terminals.iter().any(|permits| permits.any()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for (taken, permits) in taken.iter_mut().zip(&terminals) {
                *taken += permits.take(u32::MAX);
            }
        }
        assert_eq!(taken, [34, 33, 33]);
        assert!(terminals.iter().all(|permits| permits.are_over()));
    }
}
