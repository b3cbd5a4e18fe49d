//! Which events to send next: a sliding window over the unacked sequence numbers.
//!
//! ```text
//!   1 … acked │ acked+1 … next-1 │ next … newest
//!    safe     │  in flight       │ not sent, or to be sent again
//! ```
//!
//! Invariant: `acked < next <= newest + 1`, `next - 1 <= sent <= newest`, and `acked` never decreases.

use comptoir_wire::Ack;

use crate::{Backoff, Millis};

/// How aggressively a till sends.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Maximum number of events in flight; at least 1.
    pub window: u32,
    /// Milliseconds without progress until sending goes back to the oldest event. The timeout doubles each time.
    pub resend: Millis,
    /// Upper limit of the doubling, in milliseconds.
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
pub struct Transmission {
    /// The event's number.
    pub seq: u32,
    /// Whether it was sent before.
    pub is_resend: bool,
}

/// The sender's state for one epoch.
#[derive(Clone, Debug)]
pub struct Window {
    epoch: u32,
    settings: Settings,
    /// Events up to this number are safe.
    acked: u32,
    /// The next number to send.
    next: u32,
    /// The highest number ever sent.
    sent: u32,
    /// The highest number in the queue.
    newest: u32,
    /// Current maximum of events in flight, from 1 to the window's size. A timeout or a new connection makes it 1, each
    /// acked event adds 1 (TCP's slow start).
    limit: u32,
    backoff: Backoff,
    /// When to go back to the oldest event; `None` while nothing is in flight.
    deadline: Option<Millis>,
}

impl Window {
    /// A fresh epoch without events.
    pub fn new(epoch: u32, settings: Settings) -> Self {
        Self::resume(epoch, 0, 0, settings)
    }

    /// An epoch found in the queue after a restart: `acked` and `newest` are the queue's.
    ///
    /// Any event in between may have been sent before the restart, so acks for all of them count. Until an event of an
    /// epoch is acked, only its first event is ever sent ([`Uplink::send_next`](crate::Uplink::send_next)), so only an
    /// ack for that one counts.
    pub fn resume(epoch: u32, acked: u32, newest: u32, settings: Settings) -> Self {
        // As in `next_seq`: no event has the last number.
        let newest = newest.min(u32::MAX - 1);
        let acked = acked.min(newest);
        let window = settings.window.max(1);
        Self {
            epoch,
            settings: Settings { window, ..settings },
            limit: window,
            acked,
            next: acked + 1,
            sent: if acked == 0 { newest.min(1) } else { newest },
            newest,
            backoff: Backoff::new(settings.resend, settings.resend_max),
            deadline: None,
        }
    }

    /// The number of the next event. `None` once the epoch's numbers are used up: the queue has to be formatted, which
    /// draws a new epoch.
    pub fn next_seq(&self) -> Option<u32> {
        // The last number is never given out, so that `next` can be one above the newest.
        self.newest.checked_add(1).filter(|&seq| seq < u32::MAX)
    }

    /// Adds the event numbered [`next_seq`](Self::next_seq), which is in the queue; returns its number.
    pub fn extend(&mut self) -> Option<u32> {
        let seq = self.next_seq()?;
        self.newest = seq;
        Some(seq)
    }

    /// The next event to publish now, which then counts as sent. `None` if all are sent, or the window is full.
    ///
    /// Call it only while connected. `random` is uniform over all of `u32`.
    pub fn send(&mut self, now: Millis, random: u32) -> Option<Transmission> {
        if !self.can_send() {
            return None;
        }
        let seq = self.next;
        let is_resend = seq <= self.sent;
        self.next += 1;
        self.sent = self.sent.max(seq);
        if self.deadline.is_none() {
            self.deadline = Some(now.saturating_add(self.backoff.next_delay(random)));
        }
        Some(Transmission { seq, is_resend })
    }

    /// Whether [`send`](Self::send) would return an event.
    pub fn can_send(&self) -> bool {
        self.next <= self.newest && self.in_flight() < self.limit
    }

    /// Processes an ack; returns how many more events are safe, always the oldest ones. Returns 0 for an ack of another
    /// epoch (the queue was formatted since), for an old one, and for one beyond everything sent, which no gateway can
    /// know about.
    pub fn ack(&mut self, ack: Ack, now: Millis, random: u32) -> u32 {
        if ack.epoch != self.epoch || ack.seq <= self.acked || ack.seq > self.sent {
            return 0;
        }
        let safe = ack.seq - self.acked;
        self.acked = ack.seq;
        self.limit = self.limit.saturating_add(safe).min(self.settings.window);
        // An ack may arrive during a resend: the events that it covers need not be sent again.
        self.next = self.next.max(self.oldest());
        self.backoff.reset();
        self.deadline =
            (self.next > self.oldest()).then(|| now.saturating_add(self.backoff.next_delay(random)));
        safe
    }

    /// Undoes the last [`send`](Self::send), because its event was not published.
    pub fn retract(&mut self, send: Transmission) {
        if send.seq + 1 == self.next && send.seq > self.acked {
            self.next = send.seq;
            if !send.is_resend {
                self.sent = send.seq - 1;
            }
            if self.next == self.oldest() {
                self.deadline = None;
            }
        }
    }

    /// Gives up the oldest event, which is damaged and cannot be sent. Returns whether `seq` is the oldest.
    pub fn skip(&mut self, seq: u32) -> bool {
        if seq != self.oldest() || seq > self.newest {
            return false;
        }
        self.acked = seq;
        self.next = self.next.max(self.oldest());
        self.sent = self.sent.max(seq);
        true
    }

    /// Goes back to the oldest unacked event if the resend timeout has passed; the others follow after its ack. Returns
    /// whether the timeout has passed.
    pub fn check_timeout(&mut self, now: Millis) -> bool {
        match self.deadline {
            Some(deadline) if deadline <= now => {
                self.go_back();
                true
            }
            _ => false,
        }
    }

    /// Goes back to the oldest unacked event after a reconnect: what was in flight on the old connection may be lost.
    pub fn on_reconnect(&mut self) {
        self.backoff.reset();
        self.go_back();
    }

    /// The time at which to call [`check_timeout`](Self::check_timeout).
    pub fn deadline(&self) -> Option<Millis> {
        self.deadline
    }

    /// The epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The lowest unacked number, which frames carry in their header; one above the newest if all are acked.
    pub fn oldest(&self) -> u32 {
        self.acked + 1
    }

    /// The highest number in the queue; 0 if there was no event yet.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The highest number ever sent: no gateway can ack a higher one.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Number of events in flight: sent, and not acked since.
    pub fn in_flight(&self) -> u32 {
        self.next - self.oldest()
    }

    /// Number of unacked events in the queue.
    pub fn unacked(&self) -> u32 {
        self.newest - self.acked
    }

    /// Sends the oldest event again, alone until it is acked. If a whole run were resent, it could be lost in the same way
    /// each time: a receiver that drops every n-th event would drop the first of n for ever.
    fn go_back(&mut self) {
        self.next = self.oldest();
        self.limit = 1;
        self.deadline = None;
    }
}
