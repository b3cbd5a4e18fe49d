//! The traffic of a till with the gateway in one turn: receives acks and commands, and sends events.

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;

use comptoir_link::{InboundMessage, LinkError, Millis, SendOutcome};
use comptoir_queue::block_on;
use comptoir_wire::MAX_FRAME;
use rand::Rng;

use super::{Interruption, SimulatedTill};
use crate::client::Client;
use crate::dialect::Dialect;
use crate::session::SessionError;

thread_local! {
    /// Scratch space for a frame. Shared by the thread's tills, because it is large and no till needs it between two
    /// turns.
    static BUFFER: RefCell<Box<[u8; MAX_FRAME]>> = RefCell::new(Box::new([0; MAX_FRAME]));
}

/// Lends out the thread's frame buffer.
pub(super) fn with_buffer<T>(then: impl FnOnce(&mut [u8; MAX_FRAME]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| then(buffer))
}

impl SimulatedTill {
    /// Handles all messages that have arrived: acks and commands.
    pub(super) fn receive_all(&mut self, client: &mut Client<'_>) -> Result<(), Interruption> {
        let (now, mut acked, mut is_foreign) = (self.now(), 0, false);
        let (tally, is_json) = (&self.shared.tally, self.dialect == Dialect::Json);
        let (uplink, rng) = (&mut self.uplink, &mut self.rng);
        let mut malformed = None;
        while client
            .received(
                |topic, payload| match uplink.receive(topic, payload, now, rng.next_u32()) {
                    InboundMessage::Acked(seq) => acked = seq,
                    InboundMessage::ForeignAck => is_foreign = true,
                    // Commands are only counted: simulated customers have their own prices.
                    InboundMessage::Command(_) => _ = tally.commands.fetch_add(1, Relaxed),
                    // The gateway sends commands in JSON to a till that speaks JSON.
                    InboundMessage::Malformed(_) if is_json && payload.first() == Some(&b'{') => {
                        tally.commands.fetch_add(1, Relaxed);
                    }
                    InboundMessage::Malformed(error) => malformed = Some(error),
                    InboundMessage::StaleAck | InboundMessage::OtherTopic => {}
                },
            )?
            .is_some()
        {}
        if let Some(error) = malformed {
            self.shared.tally.trouble(format!("{}: {error}", self.name()));
        }
        if acked > 0 {
            self.settle_acked(acked)?;
        }
        if is_foreign {
            return Err(Interruption::ForeignEpoch);
        }
        Ok(())
    }

    /// Counts and deletes the events up to and including `seq`, which are safe.
    fn settle_acked(&mut self, seq: u32) -> Result<(), Interruption> {
        let now = self.shared.clock.micros();
        let count = self.pending.partition_point(|event| event.seq <= seq);
        let acked = || self.pending.iter().take(count);
        self.write_ledger(acked(), Some(now))?;
        // Flash in files survives a kill, so an event must be in the ledger before it is deleted from the flash.
        if let (Some(ledger), true) = (&self.shared.ledger, self.shared.plan.queue.is_some()) {
            ledger.flush()?;
        }
        let published = acked().map(|event| event.published);
        // After a power cut during a deletion, some events are acked a second time.
        let new = seq.saturating_sub(self.settled);
        self.shared.tally.acked(now, new, published);
        self.pending.drain(..count);
        self.settled = self.settled.max(seq);
        self.delete_through(seq)
    }

    fn delete_through(&mut self, seq: u32) -> Result<(), Interruption> {
        let Some(queue) = &mut self.queue else {
            return Ok(());
        };
        queue
            .delete_through(seq)
            .map_err(|error| self.flash_failed(error))
    }

    /// Publishes what the window allows. Returns whether anything was written to the network.
    pub(super) fn send_all(&mut self, client: &mut Client<'_>, now: Millis) -> Result<bool, Interruption> {
        let mut has_written = false;
        loop {
            self.publish_all(client, now)?;
            let wrote = client.write()?;
            has_written |= wrote;
            if !wrote || !client.session().has_room() || !self.uplink.window().can_send() {
                return Ok(has_written);
            }
        }
    }

    fn publish_all(&mut self, client: &mut Client<'_>, now: Millis) -> Result<(), Interruption> {
        let (mut published, mut resent) = (0, 0);
        let result = loop {
            let Some(queue) = &mut self.queue else {
                break Ok(());
            };
            let random = self.rng.next_u32();
            let outcome = with_buffer(|buffer| {
                block_on(
                    self.uplink
                        .send_next(client, SessionError::is_busy, queue, now, random, buffer),
                )
            });
            match outcome {
                Ok(SendOutcome::Published { seq, is_resend }) => {
                    published += 1;
                    resent += u64::from(is_resend);
                    if let Ok(at) = self.pending.binary_search_by_key(&seq, |event| event.seq)
                        && let Some(event) = self.pending.get_mut(at)
                        && event.published == 0
                    {
                        event.published = self.shared.clock.micros();
                    }
                }
                Ok(SendOutcome::Damaged { seq }) => {
                    let deleted = self.settle_lost(seq).and_then(|()| self.delete_through(seq));
                    if let Err(interruption) = deleted {
                        break Err(interruption);
                    }
                }
                Ok(SendOutcome::Idle) => break Ok(()),
                Err(LinkError::Mqtt(error)) => break Err(error.into()),
                Err(LinkError::Queue(error)) => break Err(self.flash_failed(error)),
            }
        };
        self.shared.tally.published.fetch_add(published, Relaxed);
        self.shared.tally.resent.fetch_add(resent, Relaxed);
        result
    }

    /// Counts the unsettled events up to and including `seq` as lost by the flash.
    pub(super) fn settle_lost(&mut self, seq: u32) -> Result<(), Interruption> {
        let count = self.pending.partition_point(|event| event.seq <= seq);
        self.write_ledger(self.pending.iter().take(count), None)?;
        self.pending.drain(..count);
        let lost = seq.saturating_sub(self.settled);
        self.shared.tally.lost.fetch_add(u64::from(lost), Relaxed);
        self.settled = self.settled.max(seq);
        Ok(())
    }
}
