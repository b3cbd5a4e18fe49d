//! A terminal that starts anew: after a power cut, on flash that had to be formatted, or under another epoch.

use std::sync::atomic::Ordering::Relaxed;

use comptoir_link::Uplink;
use comptoir_queue::Opened;
use comptoir_wire::topic::Name;
use comptoir_wire::{Header, MAX_FRAME, decode, encode};

use super::{Interruption, Terminal, TerminalError};
use crate::faults::Kind;
use crate::ledger::Sold;
use crate::queue::Queue;

/// What was sold, as it was kept.
type Kept = Vec<Vec<u8>>;

impl Terminal {
    /// The power was cut: the flash is all that the terminal has.
    pub(super) fn restart(&mut self) -> Result<(), TerminalError> {
        self.shared.tally.struck(Kind::Power);
        let Some(queue) = self.queue.take() else {
            return Ok(());
        };
        let (queue, opened) = queue
            .restart(draw_epoch())
            .map_err(|error| self.unusable(error))?;
        let (acked, newest) = (queue.flash_queue().acked(), queue.flash_queue().newest());
        if opened == Opened::Formatted {
            self.lose_all()?;
            self.begin(queue);
            self.restart_till();
            return Ok(());
        }
        // Of another queue than was sold from, only flash that turned bits makes one.
        if newest < self.newest {
            self.lose_all()?;
            (self.settled, self.newest) = (acked, newest);
        }
        if acked > self.settled {
            self.lose(acked)?;
        }
        self.begin(queue);
        // The event at which the power went may be there all the same, but only whole. Then it is sold.
        while self.newest < newest {
            self.newest += 1;
            self.remember_from(self.newest)?;
            self.source.queued(self.newest);
            self.shared.tally.sold.fetch_add(1, Relaxed);
        }
        self.restart_till();
        Ok(())
    }

    /// Deletes everything, once it is settled, and begins another epoch. A power cut that is to come comes first: the flash
    /// is the terminal's only memory, and a format hands it over whole.
    pub(super) fn format(&mut self) -> Result<(), Interruption> {
        if self.queue.as_mut().is_some_and(|queue| queue.flash().is_doomed()) {
            return Err(Interruption::PowerCut);
        }
        Ok(self.format_now()?)
    }

    fn format_now(&mut self) -> Result<(), TerminalError> {
        let Some(queue) = self.queue.take() else {
            return Ok(());
        };
        let queue = queue.format(draw_epoch()).map_err(|error| self.unusable(error))?;
        (self.settled, self.newest, self.jammed) = (0, 0, false);
        self.begin(queue);
        self.restart_till();
        Ok(())
    }

    /// Another run used this epoch with this gateway: it has other events under the names that this one gives. What
    /// is sold and not acked takes names of another epoch.
    pub(super) fn take_another_epoch(&mut self) -> Result<(), TerminalError> {
        // What is renamed is in the run's memory, not the terminal's: a cut here would show nothing of the firmware.
        if self.queue.as_mut().is_some_and(|queue| queue.flash().is_doomed()) {
            self.restart()?;
        }
        let Some(mut queue) = self.queue.take() else {
            return Ok(());
        };
        let mut frames = Kept::new();
        let read = queue.read(self.settled + 1, |_, frame| frames.push(frame.to_vec()));
        self.queue = Some(queue);
        read.map_err(|error| self.unusable(error))?;
        self.sold.clear();
        // What cannot be read any more is not there to be renamed.
        let unsettled = self.newest - self.settled;
        let lost = unsettled.saturating_sub(u32::try_from(frames.len()).unwrap_or(u32::MAX));
        self.shared.tally.lost.fetch_add(u64::from(lost), Relaxed);
        self.format_now()?;
        let mut buffer = vec![0; MAX_FRAME];
        for (kept, seq) in frames.iter().zip(1..) {
            // What the queue gave was encoded by this program.
            let Ok(frame) = decode(kept) else { continue };
            let header = Header {
                epoch: self.uplink.window().epoch(),
                seq,
                oldest: 1,
                time_ms: frame.header.time_ms,
            };
            let renamed =
                encode(&header, &frame.event, &mut buffer).map_err(|error| TerminalError::Event {
                    terminal: self.name(),
                    what: error.to_string(),
                })?;
            let Some(queue) = &mut self.queue else { break };
            queue.push(seq, renamed).map_err(|error| self.unusable(error))?;
            self.newest = seq;
            self.uplink.sold();
        }
        self.remember_from(1)
    }

    /// Notes what the queue holds from `seq` on.
    pub(super) fn remember_from(&mut self, seq: u32) -> Result<(), TerminalError> {
        let audited = self.shared.ledger.is_some();
        let Some(mut queue) = self.queue.take() else {
            return Ok(());
        };
        let read = queue.read(seq, |seq, frame| {
            if let Ok(frame) = decode(frame) {
                self.sold.push_back(Sold {
                    seq,
                    kind: frame.event.kind(),
                    key: if audited {
                        frame.event.order_id().into()
                    } else {
                        Box::default()
                    },
                    published: 0,
                });
            }
        });
        self.queue = Some(queue);
        Ok(read.map_err(|error| self.unusable(error))?)
    }

    fn lose_all(&mut self) -> Result<(), TerminalError> {
        self.lose(self.newest)?;
        (self.settled, self.newest, self.jammed) = (0, 0, false);
        Ok(())
    }

    fn lose(&mut self, seq: u32) -> Result<(), TerminalError> {
        match self.lose_through(seq) {
            Err(Interruption::Failed(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// A link for what is in the queue.
    fn begin(&mut self, queue: Queue) {
        if let (Ok(store), Ok(device)) = (Name::new(&self.store), Name::new(&self.device)) {
            self.uplink = Uplink::new(store, device, queue.flash_queue(), self.shared.plan.link);
        }
        self.queue = Some(queue);
    }

    fn restart_till(&mut self) {
        let epoch = self.uplink.window().epoch();
        if let (Ok(store), Ok(device)) = (Name::new(&self.store), Name::new(&self.device)) {
            self.source.restart(store, device, epoch);
        }
    }
}

/// Not from the seed: the run after this one would draw the same, and find it used again.
fn draw_epoch() -> u32 {
    rand::random_range(1..=u32::MAX)
}
