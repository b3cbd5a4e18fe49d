//! Which events to send next: a window over the unacked run of sequence numbers.
//!
//! ```text
//!   1 … acked │ acked+1 … next-1 │ next … sold
//!    safe     │  sent, not acked │ not sent (or to be sent again)
//! ```
//!
//! Invariant: `acked < next <= sold + 1`, `next - 1 <= sent <= sold`, and `acked` never goes back.

use comptoir_wire::Ack;

use crate::{Backoff, Millis};

/// How eagerly a terminal sends.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Events sent and not yet acked, at most; at least 1.
    pub window: u32,
    /// Without progress for so long, all is sent again. Each time without progress doubles it.
    pub resend: Millis,
    /// The bound of the doubling.
    pub resend_max: Millis,
}

impl Default for Settings {
    /// 64 events; 2 s, up to 30 s.
    fn default() -> Self {
        Self {
            window: 64,
            resend: 2_000,
            resend_max: 30_000,
        }
    }
}

/// One event to publish now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// Its number.
    pub seq: u32,
    /// It was sent before.
    pub again: bool,
}

/// The sending side of one epoch.
#[derive(Clone, Debug)]
pub struct Window {
    epoch: u32,
    settings: Settings,
    /// All up to here are safe.
    acked: u32,
    /// The next to send.
    next: u32,
    /// The highest ever sent.
    sent: u32,
    /// The highest there is.
    sold: u32,
    /// Events in flight, at most, for now: from 1 to the window's size. A timeout or a new connection makes it 1, each
    /// acked event adds 1 (TCP's slow start).
    limit: u32,
    backoff: Backoff,
    /// When to send all again; `None` while nothing is in flight.
    deadline: Option<Millis>,
}

impl Window {
    /// A fresh epoch, with nothing sold.
    pub fn new(epoch: u32, settings: Settings) -> Self {
        Self::resume(epoch, 0, 0, settings)
    }

    /// An epoch found in the queue after a restart: `acked` were acked, `sold` is the highest number given.
    ///
    /// What lies between may have been sent before the restart, so acks for it are believed. While nothing of an epoch is
    /// acked, only its first event is ever sent ([`Uplink::speak`](crate::Uplink::speak)): then no more than that.
    pub fn resume(epoch: u32, acked: u32, sold: u32, settings: Settings) -> Self {
        // As in `sell`: no event has the last number.
        let sold = sold.min(u32::MAX - 1);
        let acked = acked.min(sold);
        let window = settings.window.max(1);
        Self {
            epoch,
            settings: Settings { window, ..settings },
            limit: window,
            acked,
            next: acked + 1,
            sent: if acked == 0 { sold.min(1) } else { sold },
            sold,
            backoff: Backoff::new(settings.resend, settings.resend_max),
            deadline: None,
        }
    }

    /// The number of the next event. `None` once the epoch's numbers are used up: the queue has to be
    /// formatted, which draws a new epoch.
    pub fn next_seq(&self) -> Option<u32> {
        // The last number is never given, so that `next` can stand behind it.
        self.sold.checked_add(1).filter(|&seq| seq < u32::MAX)
    }

    /// The event numbered [`next_seq`](Self::next_seq) is in the queue for good; its number.
    pub fn sell(&mut self) -> Option<u32> {
        let seq = self.next_seq()?;
        self.sold = seq;
        Some(seq)
    }

    /// The next event to publish now, or `None`: all are sent, or the window is full. Takes it as published.
    ///
    /// Only to be asked while connected. `random` is uniform over all of `u32`.
    pub fn send(&mut self, now: Millis, random: u32) -> Option<Send> {
        if !self.can_send() {
            return None;
        }
        let seq = self.next;
        let again = seq <= self.sent;
        self.next += 1;
        self.sent = self.sent.max(seq);
        if self.deadline.is_none() {
            self.deadline = Some(now.saturating_add(self.backoff.wait(random)));
        }
        Some(Send { seq, again })
    }

    /// Whether [`send`](Self::send) would give an event.
    pub fn can_send(&self) -> bool {
        self.next <= self.sold && self.in_flight() < self.limit
    }

    /// Takes an ack; how many more events are safe by it, always the oldest. 0 for an ack of another epoch (a
    /// queue formatted since), an old one, and one beyond all that was ever sent, which no gateway can know
    /// of.
    pub fn ack(&mut self, ack: Ack, now: Millis, random: u32) -> u32 {
        if ack.epoch != self.epoch || ack.seq <= self.acked || ack.seq > self.sent {
            return 0;
        }
        let safe = ack.seq - self.acked;
        self.acked = ack.seq;
        self.limit = self.limit.saturating_add(safe).min(self.settings.window);
        // An ack may arrive while all is being sent again: what it covers need not be.
        self.next = self.next.max(self.oldest());
        self.backoff.reset();
        self.deadline = (self.next > self.oldest()).then(|| now.saturating_add(self.backoff.wait(random)));
        safe
    }

    /// What [`send`](Self::send) gave last was not sent after all.
    pub fn retract(&mut self, send: Send) {
        if send.seq + 1 == self.next && send.seq > self.acked {
            self.next = send.seq;
            if !send.again {
                self.sent = send.seq - 1;
            }
            if self.next == self.oldest() {
                self.deadline = None;
            }
        }
    }

    /// Gives up the oldest event, which cannot be sent: it was damaged. Whether `seq` is the oldest.
    pub fn bury(&mut self, seq: u32) -> bool {
        if seq != self.oldest() || seq > self.sold {
            return false;
        }
        self.acked = seq;
        self.next = self.next.max(self.oldest());
        self.sent = self.sent.max(seq);
        true
    }

    /// If the resend timeout has passed, goes back to the oldest unacked event, and says so. The others follow its ack.
    pub fn expire(&mut self, now: Millis) -> bool {
        match self.deadline {
            Some(deadline) if deadline <= now => {
                self.go_back();
                true
            }
            _ => false,
        }
    }

    /// The connection is new: what was in flight on the old one may be lost.
    pub fn reconnected(&mut self) {
        self.backoff.reset();
        self.go_back();
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn deadline(&self) -> Option<Millis> {
        self.deadline
    }

    /// The epoch it was made for.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The lowest number not yet acked: what goes into a frame's header. One above the highest if all are
    /// acked.
    pub fn oldest(&self) -> u32 {
        self.acked + 1
    }

    /// The highest number there is; 0 if there is none.
    pub fn newest(&self) -> u32 {
        self.sold
    }

    /// The highest number ever sent: no gateway can ack one above it.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Events on their way: sent, and not acked since.
    pub fn in_flight(&self) -> u32 {
        self.next - self.oldest()
    }

    /// Events in the queue: not yet acked.
    pub fn unacked(&self) -> u32 {
        self.sold - self.acked
    }

    /// Sends the oldest event again, alone until it is acked. A whole run sent again could be lost in the same way each
    /// time: a receiver that drops every n-th event would drop the first of n for ever.
    fn go_back(&mut self) {
        self.next = self.oldest();
        self.limit = 1;
        self.deadline = None;
    }
}
