//! Restarts of a till: after a power cut, on flash that had to be formatted, or under another epoch.

use std::sync::atomic::Ordering::Relaxed;

use comptoir_link::{Draft, Uplink};
use comptoir_queue::OpenOutcome;
use comptoir_wire::topic::Name;
use comptoir_wire::{MAX_FRAME, decode};

use super::{Interruption, SimulatedTill, SimulatedTillError};
use crate::faults::Kind;
use crate::ledger::PendingEvent;
use crate::queue::Queue;

impl SimulatedTill {
    /// Restarts after a power cut: the till keeps only its flash.
    pub(super) fn restart(&mut self) -> Result<(), SimulatedTillError> {
        self.shared.tally.struck(Kind::Power);
        let Some(queue) = self.queue.take() else {
            return Ok(());
        };
        let (queue, outcome) = queue
            .restart(draw_epoch())
            .map_err(|error| self.unusable(error))?;
        let (acked, newest) = (queue.flash_queue().acked(), queue.flash_queue().newest());
        if outcome == OpenOutcome::Formatted {
            self.lose_all()?;
            self.use_queue(queue);
            self.restart_source();
            return Ok(());
        }
        // Only bit flips can lower the queue's newest number.
        if newest < self.newest {
            self.lose_all()?;
            (self.settled, self.newest) = (acked, newest);
        }
        if acked > self.settled {
            self.lose(acked)?;
        }
        self.use_queue(queue);
        // The event that the power cut interrupted may be in the queue, but only completely. Then it counts as sold.
        while self.newest < newest {
            self.newest += 1;
            self.load_pending(self.newest)?;
            self.source.skip_stored(self.newest);
            self.shared.tally.sold.fetch_add(1, Relaxed);
        }
        self.restart_source();
        Ok(())
    }

    /// Deletes everything and begins another epoch, once every event is settled. A power cut that is due comes first: the
    /// flash is the till's only memory, and formatting hands it over as a whole.
    pub(super) fn format(&mut self) -> Result<(), Interruption> {
        if self.queue.as_mut().is_some_and(|queue| queue.flash().is_doomed()) {
            return Err(Interruption::PowerCut);
        }
        Ok(self.format_now()?)
    }

    fn format_now(&mut self) -> Result<(), SimulatedTillError> {
        let Some(queue) = self.queue.take() else {
            return Ok(());
        };
        let queue = queue.format(draw_epoch()).map_err(|error| self.unusable(error))?;
        (self.settled, self.newest, self.needs_format) = (0, 0, false);
        self.use_queue(queue);
        self.restart_source();
        Ok(())
    }

    /// Renames all unacked events to another epoch. Another run used this epoch with this gateway, so the gateway has
    /// other events under the same names.
    pub(super) async fn take_another_epoch(&mut self) -> Result<(), SimulatedTillError> {
        // The run's memory holds the events meanwhile, so a power cut here would test nothing of the firmware.
        if self.queue.as_mut().is_some_and(|queue| queue.flash().is_doomed()) {
            self.restart()?;
        }
        let Some(mut queue) = self.queue.take() else {
            return Ok(());
        };
        let mut frames = Vec::new();
        let read = queue.read(self.settled + 1, |_, frame| frames.push(frame.to_vec()));
        self.queue = Some(queue);
        read.map_err(|error| self.unusable(error))?;
        self.pending.clear();
        // Events that cannot be read any more are lost.
        let unsettled = self.newest - self.settled;
        let lost = unsettled.saturating_sub(u32::try_from(frames.len()).unwrap_or(u32::MAX));
        self.shared.tally.lost.fetch_add(u64::from(lost), Relaxed);
        self.format_now()?;
        let (mut buffer, mut events) = (vec![0; MAX_FRAME], Vec::new());
        for frame in &frames {
            // This program encoded the frame, so it can be decoded.
            let Ok(frame) = decode(frame) else { continue };
            let Some(queue) = &mut self.queue else { break };
            let Some(draft) = Draft::new(queue.flash_queue(), &self.uplink) else {
                break;
            };
            let seq = draft.seq();
            let encoded = draft
                .encode(&frame.event, frame.header.time_ms, &mut buffer)
                .map_err(|error| SimulatedTillError::Event {
                    till: format!("{}/{}", self.store, self.device),
                    reason: error.to_string(),
                })?;
            events.push(queue.push(encoded).map_err(|error| self.unusable(error))?);
            self.newest = seq;
        }
        self.sync_and_release(events).await?;
        self.load_pending(1)
    }

    /// Notes the events that the queue holds, from `seq` on.
    pub(super) fn load_pending(&mut self, seq: u32) -> Result<(), SimulatedTillError> {
        let has_ledger = self.shared.ledger.is_some();
        let Some(mut queue) = self.queue.take() else {
            return Ok(());
        };
        let read = queue.read(seq, |seq, frame| {
            if let Ok(frame) = decode(frame) {
                self.pending
                    .push_back(PendingEvent::new(seq, &frame.event, has_ledger));
            }
        });
        self.queue = Some(queue);
        Ok(read.map_err(|error| self.unusable(error))?)
    }

    fn lose_all(&mut self) -> Result<(), SimulatedTillError> {
        self.lose(self.newest)?;
        (self.settled, self.newest, self.needs_format) = (0, 0, false);
        Ok(())
    }

    fn lose(&mut self, seq: u32) -> Result<(), SimulatedTillError> {
        match self.settle_lost(seq) {
            Err(Interruption::Failed(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Continues with that queue and a new uplink for it.
    fn use_queue(&mut self, queue: Queue) {
        if let (Ok(store), Ok(device)) = (Name::new(&self.store), Name::new(&self.device)) {
            self.uplink = Uplink::new(store, device, queue.flash_queue(), self.shared.plan.link);
        }
        self.queue = Some(queue);
    }

    fn restart_source(&mut self) {
        let epoch = self.uplink.window().epoch();
        if let (Ok(store), Ok(device)) = (Name::new(&self.store), Name::new(&self.device)) {
            self.source.restart(store, device, epoch);
        }
    }
}

/// Draws an epoch that does not depend on the seed. Otherwise the next run with the same seed would draw a used one.
fn draw_epoch() -> u32 {
    rand::random_range(1..=u32::MAX)
}
