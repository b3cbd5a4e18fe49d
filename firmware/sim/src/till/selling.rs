//! Selling: from the source of sales into the queue.

use std::sync::atomic::Ordering::Relaxed;

use comptoir_link::Draft;
use comptoir_queue::QueueError as FlashQueueError;
use comptoir_wire::EncodeError;

use super::{Interruption, SimulatedTill, SimulatedTillError};
use crate::faults::Kind;
use crate::ledger::PendingEvent;
use crate::queue::{FlashError, Queue, UnsyncedEvent};
use crate::till::traffic::with_buffer;

/// Why an event was not stored.
enum StoreError {
    Encode(EncodeError),
    Queue(FlashError),
}

impl SimulatedTill {
    /// Sells everything that may be sold now. The events are durable when this returns.
    pub(super) async fn sell(&mut self) -> Result<(), Interruption> {
        let mut events = Vec::new();
        let outcome = self.store_available(&mut events);
        if !events.is_empty() {
            let count = events.len() as u64;
            self.sync_and_release(events)
                .await
                .map_err(SimulatedTillError::from)?;
            self.shared.tally.sold.fetch_add(count, Relaxed);
        }
        outcome
    }

    /// Stores everything that may be sold now. On an error, `events` contains those stored before it.
    fn store_available(&mut self, events: &mut Vec<UnsyncedEvent>) -> Result<(), Interruption> {
        let (window, limit) = (
            self.shared.plan.link.window as usize,
            self.shared.plan.queue_limit,
        );
        while !self.shared.closing.is_cancelled()
            && self
                .source
                .wants((self.newest - self.settled) as usize, window, limit)
        {
            if self.needs_format {
                if self.settled < self.newest {
                    break;
                }
                self.format()?;
            }
            let Some(queue) = &mut self.queue else { break };
            let room = self
                .source
                .max_frame_sizes()
                .map(|sizes| queue.has_room_for_all(sizes));
            match room {
                None | Some(Ok(true)) => {}
                Some(Ok(false)) => break,
                Some(Err(error)) => return Err(self.flash_failed(error)),
            }
            let Some(draft) = Draft::new(queue.flash_queue(), &self.uplink) else {
                self.needs_format = true;
                continue;
            };
            match self.store_next(draft)? {
                Some(event) => events.push(event),
                None if self.needs_format => {}
                None => break,
            }
        }
        Ok(())
    }

    /// Stores the source's next event. `None`: there was none, or the queue did not accept it.
    fn store_next(&mut self, draft: Draft) -> Result<Option<UnsyncedEvent>, Interruption> {
        let shared = &self.shared;
        let Some(queue) = &mut self.queue else {
            return Ok(None);
        };
        let now_ms = shared.clock.unix_ms(shared.clock.micros());
        let wrong_time = self.dice.clock(now_ms);
        if wrong_time.is_some() {
            shared.tally.struck(Kind::Clock);
        }
        if let Some(cut) = self.dice.power_cut() {
            queue.flash().cut_power(cut);
        }
        let (seq, has_ledger) = (draft.seq(), shared.ledger.is_some());
        let stored = with_buffer(|buffer| {
            self.source.store_next(seq, now_ms, |event, time_ms| {
                let encoded = draft
                    .encode(event, wrong_time.unwrap_or(time_ms), buffer)
                    .map_err(StoreError::Encode)?;
                let unsynced = queue.push(encoded).map_err(StoreError::Queue)?;
                Ok((unsynced, PendingEvent::new(seq, event, has_ledger)))
            })
        });
        let (unsynced, pending) = match stored {
            None => return Ok(None),
            Some(Ok(stored)) => stored,
            Some(Err(StoreError::Encode(error))) => {
                return Err(Interruption::Failed(SimulatedTillError::Event {
                    till: self.name(),
                    reason: error.to_string(),
                }));
            }
            Some(Err(StoreError::Queue(FlashQueueError::Full))) => return Ok(None),
            // The event stays with the source, and is next again after the format.
            Some(Err(StoreError::Queue(FlashQueueError::Corrupted | FlashQueueError::Worn))) => {
                self.needs_format = true;
                return Ok(None);
            }
            Some(Err(StoreError::Queue(error))) => return Err(self.flash_failed(error)),
        };
        self.newest = seq;
        self.pending.push_back(pending);
        self.maybe_flip_bit();
        Ok(Some(unsynced))
    }

    /// Flips a bit of the flash if the dice say so, and the queue can correct it.
    fn maybe_flip_bit(&mut self) {
        if !self.dice.strikes(Kind::Flash) {
            return;
        }
        let random = self.dice.draw();
        if let Some(flash) = self.queue.as_mut().map(Queue::flash) {
            let bit = flash.memory().used_bit(random);
            if self.bit_flips.admits(bit, self.settled, self.newest) {
                self.shared.tally.struck(Kind::Flash);
                flash.flip_bit(bit);
            }
        }
    }
}
