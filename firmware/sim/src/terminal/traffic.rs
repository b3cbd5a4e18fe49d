//! What a terminal does in one turn: hears acks, sells, speaks.

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;

use comptoir_link::{Heard, LinkError, Millis, Spoke};
use comptoir_queue::{QueueError as FlashQueueError, block_on};
use comptoir_wire::{EncodeError, Header, MAX_FRAME, encode};
use rand::Rng;

use super::{Interruption, Terminal, TerminalError};
use crate::client::Client;
use crate::dialect::Dialect;
use crate::faults::Kind;
use crate::ledger::Sold;
use crate::queue::Queue;
use crate::session::SessionError;

thread_local! {
    /// For a frame. It is large, and no terminal needs it between two turns.
    static BUFFER: RefCell<Box<[u8; MAX_FRAME]>> = RefCell::new(Box::new([0; MAX_FRAME]));
}

impl Terminal {
    /// Takes in what arrived: acks and commands.
    pub(super) fn hear(&mut self, client: &mut Client<'_>) -> Result<(), Interruption> {
        let (now, mut safe, mut foreign) = (self.now(), 0, false);
        let (tally, json) = (&self.shared.tally, self.dialect == Dialect::Json);
        let (uplink, rng) = (&mut self.uplink, &mut self.rng);
        let mut trouble = None;
        while client
            .received(
                |topic, payload| match uplink.hear(topic, payload, now, rng.next_u32()) {
                    Heard::Safe(seq) => safe = seq,
                    Heard::ForeignAck => foreign = true,
                    // Nothing here carries it out: customers invent what they pay.
                    Heard::Command(_) => _ = tally.commands.fetch_add(1, Relaxed),
                    // The gateway's commands to terminals that speak JSON are in JSON.
                    Heard::Garbled(_) if json && payload.first() == Some(&b'{') => {
                        tally.commands.fetch_add(1, Relaxed);
                    }
                    Heard::Garbled(error) => trouble = Some(error),
                    Heard::OldAck | Heard::Other => {}
                },
            )?
            .is_some()
        {}
        if let Some(error) = trouble {
            self.shared.tally.trouble(format!("{}: {error}", self.name()));
        }
        if safe > 0 {
            self.forget_through(safe)?;
        }
        if foreign {
            return Err(Interruption::ForeignEpoch);
        }
        Ok(())
    }

    /// Deletes the events through `seq`: they are safe.
    fn forget_through(&mut self, seq: u32) -> Result<(), Interruption> {
        let now = self.shared.clock.micros();
        let count = self.sold.partition_point(|sold| sold.seq <= seq);
        let acked = || self.sold.iter().take(count);
        self.write(acked(), Some(now))?;
        // Flash in files outlives a kill, so what is deleted from it has to stand in the ledger before.
        if let (Some(ledger), true) = (&self.shared.ledger, self.shared.plan.queue.is_some()) {
            ledger.flush()?;
        }
        let published = acked().map(|sold| sold.published);
        // After a power cut in the middle of deleting, some are acked again.
        let news = seq.saturating_sub(self.settled);
        self.shared.tally.acked(now, news, published);
        self.sold.drain(..count);
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

    /// Sells what may be sold now. When this returns, it is in the queue for good.
    pub(super) async fn sell(&mut self) -> Result<(), Interruption> {
        let mut sold = 0;
        let outcome = self.ring_up(&mut sold);
        if sold > 0 {
            self.sync().await.map_err(TerminalError::from)?;
            (0..sold).for_each(|_| self.uplink.sold());
            self.shared.tally.sold.fetch_add(u64::from(sold), Relaxed);
        }
        outcome
    }

    /// Puts into the queue what may be sold now, and counts it.
    fn ring_up(&mut self, sold: &mut u32) -> Result<(), Interruption> {
        let (window, limit) = (
            self.shared.plan.link.window as usize,
            self.shared.plan.queue_limit,
        );
        while !self.shared.closing.is_cancelled()
            && self
                .source
                .wants((self.newest - self.settled) as usize, window, limit)
        {
            if self.jammed {
                if self.settled < self.newest {
                    break;
                }
                self.format()?;
            }
            let Some(queue) = &mut self.queue else { break };
            match self
                .source
                .frames_ahead()
                .map(|lens| queue.has_room_for_all(lens))
            {
                None | Some(Ok(true)) => {}
                Some(Ok(false)) => break,
                Some(Err(error)) => return Err(self.flash_failed(error)),
            }
            let Some(seq) = queue.flash_queue().next_seq() else {
                self.jammed = true;
                continue;
            };
            match self.ring_up_next(seq)? {
                true => *sold += 1,
                false if self.jammed => {}
                false => break,
            }
        }
        Ok(())
    }

    /// The next event goes to the queue. `false`: there was none, or the queue did not take it.
    fn ring_up_next(&mut self, seq: u32) -> Result<bool, Interruption> {
        let shared = &self.shared;
        let Some(queue) = &mut self.queue else {
            return Ok(false);
        };
        let now_ms = shared.clock.unix_ms(shared.clock.micros());
        let (epoch, oldest) = (self.uplink.window().epoch(), self.uplink.window().oldest());
        let wrong = self.dice.clock(now_ms);
        if wrong.is_some() {
            shared.tally.struck(Kind::Clock);
        }
        if let Some(cut) = self.dice.power_cut() {
            queue.flash().cut_power(cut);
        }
        let audited = shared.ledger.is_some();
        let pushed = BUFFER.with_borrow_mut(|buffer| {
            let event = self.source.event(seq, now_ms, |event, time_ms| {
                let header = Header {
                    epoch,
                    seq,
                    oldest,
                    time_ms: wrong.unwrap_or(time_ms),
                };
                let key: Box<str> = if audited {
                    event.order_id().into()
                } else {
                    Box::default()
                };
                let frame = encode(&header, event, &mut **buffer)?;
                Ok((event.kind(), key, frame.len()))
            })?;
            Some(event.map(|(kind, key, len)| (kind, key, queue.push(seq, &buffer[..len]))))
        });
        let Some(pushed) = pushed else { return Ok(false) };
        let (kind, key, pushed) = pushed.map_err(|error: EncodeError| TerminalError::Event {
            terminal: self.name(),
            what: error.to_string(),
        })?;
        match pushed {
            Ok(()) => {}
            Err(FlashQueueError::Full) => return Ok(false),
            // It is not confirmed, and comes again once all that is held is acked.
            Err(FlashQueueError::Corrupted | FlashQueueError::Worn) => {
                self.jammed = true;
                return Ok(false);
            }
            Err(error) => return Err(self.flash_failed(error)),
        }
        self.source.queued(seq);
        self.newest = seq;
        self.sold.push_back(Sold {
            seq,
            kind,
            key,
            published: 0,
        });
        if self.dice.strikes(Kind::Flash) {
            let random = self.dice.draw();
            if let Some(flash) = self.queue.as_mut().map(Queue::flash) {
                let bit = flash.memory().used_bit(random);
                if self.turned.bears(bit, self.settled, self.newest) {
                    self.shared.tally.struck(Kind::Flash);
                    flash.flip_bit(bit);
                }
            }
        }
        Ok(true)
    }

    /// Publishes what the window allows; whether anything was written.
    pub(super) fn speak(&mut self, client: &mut Client<'_>, now: Millis) -> Result<bool, Interruption> {
        let mut wrote = false;
        loop {
            self.publish(client, now)?;
            let went = client.write()?;
            wrote |= went;
            if !went || !client.session().has_room() || !self.uplink.window().can_send() {
                return Ok(wrote);
            }
        }
    }

    fn publish(&mut self, client: &mut Client<'_>, now: Millis) -> Result<(), Interruption> {
        let (mut published, mut again) = (0, 0);
        let outcome = loop {
            let Some(queue) = &mut self.queue else {
                break Ok(());
            };
            let random = self.rng.next_u32();
            let spoke = BUFFER.with_borrow_mut(|buffer| {
                block_on(
                    self.uplink
                        .speak(client, SessionError::is_busy, queue, now, random, buffer),
                )
            });
            match spoke {
                Ok(Spoke::Published { seq, again: resent }) => {
                    published += 1;
                    again += u64::from(resent);
                    if let Ok(at) = self.sold.binary_search_by_key(&seq, |sold| sold.seq)
                        && let Some(sold) = self.sold.get_mut(at)
                        && sold.published == 0
                    {
                        sold.published = self.shared.clock.micros();
                    }
                }
                Ok(Spoke::Lost { seq }) => {
                    if let Err(interruption) = self.lose_through(seq).and_then(|()| self.delete_through(seq))
                    {
                        break Err(interruption);
                    }
                }
                Ok(Spoke::Nothing) => break Ok(()),
                Err(LinkError::Mqtt(error)) => break Err(error.into()),
                Err(LinkError::Queue(error)) => break Err(self.flash_failed(error)),
            }
        };
        self.shared.tally.published.fetch_add(published, Relaxed);
        self.shared.tally.resent.fetch_add(again, Relaxed);
        outcome
    }

    /// The flash lost all events through `seq` that are not settled.
    pub(super) fn lose_through(&mut self, seq: u32) -> Result<(), Interruption> {
        let count = self.sold.partition_point(|sold| sold.seq <= seq);
        self.write(self.sold.iter().take(count), None)?;
        self.sold.drain(..count);
        let lost = seq.saturating_sub(self.settled);
        self.shared.tally.lost.fetch_add(u64::from(lost), Relaxed);
        self.settled = self.settled.max(seq);
        Ok(())
    }
}
