//! The last ticks, kept once for all who read them at their own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::tick::Tick;

/// Bytes kept: half a minute at a hundred events a second.
const KEPT_BYTES: usize = 4 << 20;

#[derive(Default)]
struct Kept {
    ticks: VecDeque<(Arc<Tick>, usize)>,
    bytes: usize,
    /// Ticks since the start.
    end: u64,
}

#[derive(Default)]
pub struct History {
    kept: Mutex<Kept>,
    end: watch::Sender<u64>,
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves the ticks whole: what they are is told before they change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, tick: Tick) {
        let weight = tick.weight();
        let mut kept = self.lock();
        kept.ticks.push_back((Arc::new(tick), weight));
        kept.bytes += weight;
        kept.end += 1;
        // The newest stays, however large it is.
        while kept.bytes > KEPT_BYTES
            && kept.ticks.len() > 1
            && let Some((_, weight)) = kept.ticks.pop_front()
        {
            kept.bytes -= weight;
        }
        self.end.send_replace(kept.end);
    }

    /// Reads what comes from now on.
    pub fn follow(&self) -> Follower<'_> {
        let end = self.end.subscribe();
        let mut follower = Follower {
            history: self,
            end,
            next: 0,
        };
        follower.skip();
        follower
    }
}

/// What a [`Follower`] finds.
pub enum Next {
    Tick(Arc<Tick>),
    /// It is not kept any more.
    Gone,
    /// There will be no more.
    End,
}

pub struct Follower<'a> {
    history: &'a History,
    end: watch::Receiver<u64>,
    next: u64,
}

impl Follower<'_> {
    /// Waits for the next tick. Cancelled, it has taken none.
    pub async fn next(&mut self) -> Next {
        let next = self.next;
        if self.end.wait_for(|end| *end > next).await.is_err() {
            return Next::End;
        }
        let kept = self.history.lock();
        let first = kept.end - kept.ticks.len() as u64;
        let at = self
            .next
            .checked_sub(first)
            .and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| kept.ticks.get(at)) {
            Some((tick, _)) => {
                self.next += 1;
                Next::Tick(Arc::clone(tick))
            }
            None => Next::Gone,
        }
    }

    /// Goes on behind what there is now.
    pub fn skip(&mut self) {
        self.next = self.history.lock().end;
    }

    /// How many wait.
    pub fn waiting(&self) -> u64 {
        self.end.borrow().saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tick::write;
    use super::*;

    fn tick(bytes: usize) -> Tick {
        Tick {
            batch: Some(write(&"x".repeat(bytes))),
            ..Tick::default()
        }
    }

    async fn events(follower: &mut Follower<'_>) -> Option<usize> {
        match follower.next().await {
            Next::Tick(tick) => Some(tick.weight()),
            Next::Gone | Next::End => None,
        }
    }

    #[tokio::test]
    async fn each_reads_at_its_own_pace_until_it_is_too_far_behind() {
        let history = History::default();
        history.push(tick(1));
        let (mut quick, mut slow) = (history.follow(), history.follow());
        for size in 10..14 {
            history.push(tick(size));
        }
        assert_eq!(events(&mut quick).await, Some(12), "with its quotation marks");
        assert_eq!((quick.waiting(), slow.waiting()), (3, 4));
        for _ in 0..5 {
            history.push(tick(KEPT_BYTES / 4));
        }
        assert!(history.lock().bytes <= KEPT_BYTES, "bounded");
        assert_eq!(events(&mut slow).await, None, "what it wants has gone");
        slow.skip();
        history.push(tick(20));
        assert_eq!(events(&mut slow).await, Some(22));
        history.push(tick(KEPT_BYTES * 2));
        assert_eq!(events(&mut slow).await, Some(KEPT_BYTES * 2 + 2), "alone");
    }
}
