//! What a terminal does in one turn: hears acks, sells, speaks.

use std::sync::atomic::Ordering::Relaxed;

use comptoir_link::Millis;
use comptoir_wire::{Command, EncodeError, Header, MAX_FRAME, encode, with_oldest};
use rand::Rng;

use super::{Interruption, Terminal, TerminalError};
use crate::json;
use crate::session::{Session, SessionError};

impl Terminal {
    /// Takes in what arrived: acks and commands.
    pub(super) async fn hear(&mut self, session: &mut Session) -> Result<(), Interruption> {
        let mut safe = 0;
        while let Some(publish) = session.received()? {
            if publish.topic == self.ack_topic.as_bytes() {
                match json::read_ack(&publish.payload) {
                    Ok(ack) if ack.epoch == self.window.epoch() && ack.seq > self.queue.newest() => {
                        // Another run used this epoch. The gateway has events under the names that this one gives,
                        // or it had: a retained ack outlives it.
                        let what =
                            "was acked beyond what it sold; was this seed used with this gateway before?";
                        self.shared
                            .tally
                            .lasting_trouble(format!("{}: {what}", self.name));
                    }
                    Ok(ack) => safe += self.window.ack(ack, self.now(), self.rng.next_u32()),
                    Err(error) => self.shared.tally.trouble(format!("{}: ack: {error}", self.name)),
                }
            } else if publish.topic == self.commands_topic.as_bytes() {
                match Command::decode(&publish.payload) {
                    Err(error) if !self.json => {
                        self.shared
                            .tally
                            .trouble(format!("{}: command: {error}", self.name));
                    }
                    _ => _ = self.shared.tally.commands.fetch_add(1, Relaxed),
                }
            }
        }
        if safe > 0 {
            self.forget(safe).await?;
        }
        Ok(())
    }

    /// Deletes the oldest `count` events: they are safe.
    async fn forget(&mut self, count: u32) -> Result<(), TerminalError> {
        let now = self.shared.clock.micros();
        let acked = || self.queue.iter().take(count as usize);
        if let Some(ledger) = &self.shared.ledger {
            ledger.write(&self.name, &self.shared.clock, acked(), Some(now))?;
        }
        self.shared.tally.acked(now, acked().map(|held| held.published));
        for _ in 0..count {
            self.queue.remove();
        }
        Ok(self.queue.removed().await?)
    }

    /// Sells what may be sold now. When this returns, it is in the queue for good.
    pub(super) async fn sell(&mut self) -> Result<(), TerminalError> {
        let (window, limit) = (
            self.shared.plan.link.window as usize,
            self.shared.plan.queue_limit,
        );
        while !self.shared.closing.is_cancelled() && self.source.wants(self.queue.len(), window, limit) {
            let exhausted = || TerminalError::Exhausted {
                terminal: self.name.clone(),
            };
            let seq = self.window.next_seq().ok_or_else(exhausted)?;
            let now_ms = self.shared.clock.unix_ms(self.shared.clock.micros());
            let (epoch, oldest) = (self.window.epoch(), self.window.oldest());
            let scratch = &mut self.scratch;
            let event = self.source.next(seq, now_ms, |event, time_ms| {
                let header = Header {
                    epoch,
                    seq,
                    oldest,
                    time_ms,
                };
                let mut buffer = [0; MAX_FRAME];
                let frame = encode(&header, event, &mut buffer)?;
                scratch.extend_from_slice(frame);
                Ok((event.kind(), scratch.split().freeze()))
            });
            let Some(event) = event else { break };
            let (kind, frame) = event.map_err(|error: EncodeError| TerminalError::Event {
                terminal: self.name.clone(),
                what: error.to_string(),
            })?;
            self.queue.push(seq, kind, frame);
            self.window.sell();
        }
        let sold = self.queue.commit().await?;
        self.shared.tally.sold.fetch_add(sold as u64, Relaxed);
        Ok(())
    }

    /// Publishes what the window allows; whether anything was written.
    pub(super) fn speak(&mut self, session: &mut Session, now: Millis) -> Result<bool, SessionError> {
        self.window.expire(now);
        let (mut published, mut again) = (0, 0);
        let mut wrote = false;
        let mut buffer = [0; MAX_FRAME];
        loop {
            while session.has_room()
                && let Some(send) = self.window.send(now, self.rng.next_u32())
            {
                // The window only names what the queue holds, and the queue only holds frames that can be
                // read.
                let Some(held) = self.queue.get_mut(send.seq) else {
                    continue;
                };
                if self.json {
                    let mut text = Vec::new();
                    if json::write_event(&held.frame, self.window.oldest(), &mut text).is_err() {
                        continue;
                    }
                    self.scratch.extend_from_slice(&text);
                } else {
                    let Ok(frame) = with_oldest(&held.frame, self.window.oldest(), &mut buffer) else {
                        continue;
                    };
                    self.scratch.extend_from_slice(frame);
                }
                if held.published == 0 {
                    held.published = self.shared.clock.micros();
                }
                session.publish(
                    &self.topics[held.kind as usize],
                    self.scratch.split().freeze(),
                    false,
                )?;
                published += 1;
                again += u64::from(send.again);
            }
            let went = session.write()?;
            wrote |= went;
            if !went || !session.has_room() || !self.window.can_send() {
                break;
            }
        }
        self.shared.tally.published.fetch_add(published, Relaxed);
        self.shared.tally.resent.fetch_add(again, Relaxed);
        Ok(wrote)
    }
}
