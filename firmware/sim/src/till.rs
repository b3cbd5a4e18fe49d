//! One simulated till: the firmware's till, queue and uplink, driven by a task.
//!
//! The task waits only in its `select!`: it keeps selling while it connects and while it is disconnected. A sale is in
//! the queue before it is sent, and leaves the queue only after an end-to-end ack.

mod connection;
mod restart;
mod selling;
mod traffic;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use comptoir_queue::{QueueError as FlashQueueError, RamError};
use rand::Rng;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use comptoir_link::{Backoff, Millis, Uplink};
use comptoir_wire::topic::Name;

use crate::dialect::Dialect;
use crate::faults::{BitFlips, Dice};
use crate::ledger::{Ledger, LedgerError, PendingEvent};
use crate::plan::Plan;
use crate::queue::{FlashError, Queue, QueueError, UnsyncedEvent, failed};
use crate::session::SessionError;
use crate::source::Source;
use crate::tally::{Clock, Tally};

/// Why a simulated till cannot go on. A lost connection is not among the reasons: the till reconnects.
#[derive(Debug, thiserror::Error)]
pub enum SimulatedTillError {
    /// Its queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An event is outside the wire's bounds.
    #[error("{till}: cannot encode an event: {reason}")]
    Event {
        /// `{store}/{device}`.
        till: String,
        /// The field, and what is wrong with it.
        reason: String,
    },
}

/// The state that all tills of a run share.
pub struct Shared {
    pub plan: Plan,
    pub clock: Clock,
    pub tally: Tally,
    pub ledger: Option<Ledger>,
    /// Cancelled when no till may sell any more.
    pub closing: CancellationToken,
    /// Cancelled when no till waits for acks any more.
    pub given_up: CancellationToken,
    /// Limits the connection attempts in progress: listen queues are short, and a lost SYN costs a second.
    pub connecting: Semaphore,
}

/// One simulated till.
pub struct SimulatedTill {
    store: String,
    device: String,
    dialect: Dialect,
    source: Source,
    /// `None` only during a restart.
    queue: Option<Queue>,
    uplink: Uplink,
    /// All events up to this number are acked or lost. Kept by the run, so it survives the till's power cuts.
    settled: u32,
    /// The highest number sold; also kept by the run.
    newest: u32,
    /// Events sold and not settled, oldest first.
    pending: VecDeque<PendingEvent>,
    /// The queue accepts no more events until it is empty and formatted, because its flash is damaged or the epoch has no
    /// numbers left.
    needs_format: bool,
    /// Draws the faults of the till itself: power, flash, clock.
    dice: Dice,
    bit_flips: BitFlips,
    /// Draws the faults of its connections. Separate, because the number of connections depends on timing, which must
    /// not decide when the power is cut.
    link_dice: Dice,
    rng: Xoshiro256PlusPlus,
    shared: Arc<Shared>,
}

/// How a till ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything is sold and acked.
    Done,
    /// The run was stopped.
    GaveUp,
}

/// Why a connection ended early.
enum Interruption {
    /// The connection is lost: reconnect.
    Lost(SessionError),
    /// The power was cut: restart.
    PowerCut,
    /// Another run used the epoch before: take another one.
    ForeignEpoch,
    /// The till cannot go on.
    Failed(SimulatedTillError),
}

impl From<comptoir_mqtt::Error> for Interruption {
    fn from(error: comptoir_mqtt::Error) -> Self {
        Self::Lost(error.into())
    }
}

impl From<SessionError> for Interruption {
    fn from(error: SessionError) -> Self {
        Self::Lost(error)
    }
}

impl From<SimulatedTillError> for Interruption {
    fn from(error: SimulatedTillError) -> Self {
        Self::Failed(error)
    }
}

impl From<LedgerError> for Interruption {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error.into())
    }
}

impl SimulatedTill {
    /// A till that continues with the contents of its queue.
    ///
    /// # Errors
    /// The queue cannot be read.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a till, each made elsewhere"
    )]
    pub fn new(
        store: Name<'_>,
        device: Name<'_>,
        dialect: Dialect,
        source: Source,
        queue: Queue,
        mut dice: Dice,
        rng: Xoshiro256PlusPlus,
        shared: Arc<Shared>,
    ) -> Result<Self, SimulatedTillError> {
        let flash = queue.flash_queue();
        shared.tally.tills.fetch_add(1, Relaxed);
        shared.tally.inherited.fetch_add(u64::from(flash.len()), Relaxed);
        let (settled, newest) = (flash.acked(), flash.newest());
        let uplink = Uplink::new(store, device, flash, shared.plan.link);
        let mut till = Self {
            store: store.to_string(),
            device: device.to_string(),
            dialect,
            source,
            queue: Some(queue),
            uplink,
            settled,
            newest,
            pending: VecDeque::new(),
            needs_format: false,
            link_dice: dice.fork(),
            dice,
            bit_flips: BitFlips::default(),
            rng,
            shared,
        };
        till.load_pending(settled + 1)?;
        Ok(till)
    }

    /// Runs until everything is sold and acked, or the run is stopped.
    ///
    /// # Errors
    /// The queue or the ledger cannot be used.
    pub async fn run(mut self) -> Result<(), SimulatedTillError> {
        let mut backoff = Backoff::new(250, 10_000);
        loop {
            let interruption = match self.run_connection(&mut backoff).await {
                Ok(_) => break,
                Err(interruption) => interruption,
            };
            match interruption {
                Interruption::Failed(error) => return Err(error),
                Interruption::PowerCut => self.restart()?,
                Interruption::ForeignEpoch => self.take_another_epoch().await?,
                Interruption::Lost(error) => {
                    self.shared.tally.trouble(format!("{}: {error}", self.name()));
                    let until = self.now() + backoff.next_delay(self.rng.next_u32());
                    match self.sell_until(until).await {
                        Ok(End::Done) => {}
                        Ok(End::GaveUp) => break,
                        Err(Interruption::Failed(error)) => return Err(error),
                        // Without a connection the only other interruption is a power cut.
                        Err(_) => self.restart()?,
                    }
                }
            }
        }
        self.write_ledger(self.pending.iter(), None)?;
        self.sync_and_release(Vec::new()).await?;
        self.shared.tally.finished.fetch_add(1, Relaxed);
        Ok(())
    }

    fn is_done(&self) -> bool {
        let is_over = self.shared.closing.is_cancelled() || self.source.is_over();
        is_over && self.settled == self.newest
    }

    fn now(&self) -> Millis {
        self.shared.clock.millis()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.store, self.device)
    }

    /// Writes events to the ledger, if there is one.
    fn write_ledger<'a>(
        &self,
        events: impl Iterator<Item = &'a PendingEvent>,
        acked: Option<u64>,
    ) -> Result<(), LedgerError> {
        match &self.shared.ledger {
            Some(ledger) => {
                let epoch = self.uplink.window().epoch();
                ledger.write(&self.name(), epoch, &self.shared.clock, events, acked)
            }
            None => Ok(()),
        }
    }

    /// Makes the queue's file durable, and only then lets the uplink send the new events.
    async fn sync_and_release(&mut self, events: Vec<UnsyncedEvent>) -> Result<(), QueueError> {
        let till = self.name();
        match &mut self.queue {
            Some(queue) => queue.sync_and_release(events, &mut self.uplink, &till).await,
            None => Ok(()),
        }
    }

    /// Converts an error of the flash to an interruption.
    fn flash_failed(&mut self, error: FlashError) -> Interruption {
        match error {
            FlashQueueError::Flash(RamError::NoPower) => Interruption::PowerCut,
            error => Interruption::Failed(self.unusable(error).into()),
        }
    }

    fn unusable(&mut self, error: FlashError) -> QueueError {
        failed(&self.name(), self.queue.as_mut().map(Queue::flash), error)
    }
}
