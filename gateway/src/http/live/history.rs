//! A buffer of the latest ticks, shared by all connections. Each connection reads it at its own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::tick::Tick;

/// Bytes of the buffered ticks: half a minute at a hundred events per second.
const MAX_BYTES: usize = 4 << 20;

#[derive(Default)]
struct TickBuffer {
    /// Each tick with its size in bytes.
    ticks: VecDeque<(Arc<Tick>, usize)>,
    bytes: usize,
    /// Number of ticks since the start.
    end: u64,
}

#[derive(Default)]
pub struct History {
    buffer: Mutex<TickBuffer>,
    /// Mirrors `TickBuffer::end`, for followers that wait for it to grow.
    end: watch::Sender<u64>,
}

impl History {
    fn lock(&self) -> MutexGuard<'_, TickBuffer> {
        // A panic in another thread leaves the buffer consistent: no change below can panic halfway.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, tick: Tick) {
        let weight = tick.weight();
        let mut buffer = self.lock();
        buffer.ticks.push_back((Arc::new(tick), weight));
        buffer.bytes += weight;
        buffer.end += 1;
        // Keeps the newest tick, however large it is.
        while buffer.bytes > MAX_BYTES
            && buffer.ticks.len() > 1
            && let Some((_, weight)) = buffer.ticks.pop_front()
        {
            buffer.bytes -= weight;
        }
        self.end.send_replace(buffer.end);
    }

    /// Number of ticks since the start.
    pub fn end(&self) -> u64 {
        self.lock().end
    }

    /// A follower that starts with the next tick.
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

/// The result of reading the next tick.
pub enum NextTick {
    Tick(Arc<Tick>),
    /// The follower has fallen too far behind: the buffer no longer has its next tick.
    Expired,
    /// There will be no more ticks.
    End,
}

pub struct Follower<'a> {
    history: &'a History,
    end: watch::Receiver<u64>,
    /// The number of the tick to read next.
    next: u64,
}

impl Follower<'_> {
    /// Waits for the next tick. Cancel safe.
    pub async fn next(&mut self) -> NextTick {
        let next = self.next;
        if self.end.wait_for(|end| *end > next).await.is_err() {
            return NextTick::End;
        }
        let buffer = self.history.lock();
        let first = buffer.end - buffer.ticks.len() as u64;
        let index = self
            .next
            .checked_sub(first)
            .and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| buffer.ticks.get(index)) {
            Some((tick, _)) => {
                self.next += 1;
                NextTick::Tick(Arc::clone(tick))
            }
            None => NextTick::Expired,
        }
    }

    /// Skips every tick that is available now.
    pub fn skip(&mut self) {
        self.next = self.history.lock().end;
    }

    /// The number of unread ticks.
    pub fn unread(&self) -> u64 {
        self.end.borrow().saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tick::write;
    use super::super::view::PersonalData;
    use super::*;

    fn tick(bytes: usize) -> Tick {
        let mut tick = Tick::default();
        let batch = Arc::new(write(&"x".repeat(bytes)));
        tick.batch.set(PersonalData::Shown, batch);
        tick
    }

    async fn next_weight(follower: &mut Follower<'_>) -> Option<usize> {
        match follower.next().await {
            NextTick::Tick(tick) => Some(tick.weight()),
            NextTick::Expired | NextTick::End => None,
        }
    }

    #[tokio::test]
    async fn each_follower_reads_at_its_own_pace_until_it_is_too_far_behind() {
        let history = History::default();
        history.push(tick(1));
        let (mut quick, mut slow) = (history.follow(), history.follow());
        for size in 10..14 {
            history.push(tick(size));
        }
        assert_eq!(
            next_weight(&mut quick).await,
            Some(12),
            "10 and two quotation marks"
        );
        assert_eq!((quick.unread(), slow.unread()), (3, 4));
        for _ in 0..5 {
            history.push(tick(MAX_BYTES / 4));
        }
        assert!(history.lock().bytes <= MAX_BYTES, "the history is bounded");
        assert_eq!(next_weight(&mut slow).await, None, "the next tick has expired");
        slow.skip();
        history.push(tick(20));
        assert_eq!(next_weight(&mut slow).await, Some(22));
        history.push(tick(MAX_BYTES * 2));
        assert_eq!(
            next_weight(&mut slow).await,
            Some(MAX_BYTES * 2 + 2),
            "the newest tick is kept"
        );
    }
}
