//! One terminal: the firmware's till, queue and link, driven by a task.
//!
//! Nothing in the task waits for anything but its `select`: selling goes on while the connection is being made or is
//! gone. What is sold is in the queue first, and leaves the queue only by an end-to-end ack.

mod restart;
mod traffic;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use comptoir_queue::{QueueError as FlashQueueError, RamError, block_on};
use rand::Rng;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use comptoir_link::{Backoff, Millis, Uplink};
use comptoir_wire::topic::Name;

use crate::client::Client;
use crate::dialect::Dialect;
use crate::faults::{Dice, Turned};
use crate::ledger::{Ledger, LedgerError, Sold};
use crate::plan::Plan;
use crate::pulse::{Feel, Pulse};
use crate::queue::{FlashError, Queue, QueueError, failed};
use crate::session::{Session, SessionError};
use crate::source::Source;
use crate::tally::{Clock, Tally};

/// Why a terminal cannot go on. A lost connection is no reason.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// Its queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An event is beyond the bounds of the wire.
    #[error("{terminal}: an event cannot be written: {what}")]
    Event {
        /// `{store}/{device}`.
        terminal: String,
        /// The field, and what is wrong.
        what: String,
    },
}

/// What all terminals of a run share.
pub struct Shared {
    pub plan: Plan,
    pub clock: Clock,
    pub tally: Tally,
    pub ledger: Option<Ledger>,
    /// Nothing is to be sold any more.
    pub closing: CancellationToken,
    /// Acks are not waited for any more.
    pub given_up: CancellationToken,
    /// Bounds the connections being made: listen queues are short, and a SYN lost costs a second.
    pub connecting: Semaphore,
}

/// One terminal.
pub struct Terminal {
    store: String,
    device: String,
    dialect: Dialect,
    source: Source,
    /// `None` only while it starts anew.
    queue: Option<Queue>,
    uplink: Uplink,
    /// What the run knows of this epoch, whatever happens to the terminal: all up to here are acked, or lost.
    settled: u32,
    /// And the highest number sold.
    newest: u32,
    /// What is sold and not settled, oldest first.
    sold: VecDeque<Sold>,
    /// The queue takes nothing more (its flash makes no sense, or the epoch's numbers are used up) until it is empty
    /// and formatted.
    jammed: bool,
    /// Of the terminal itself: power, flash, clock.
    dice: Dice,
    turned: Turned,
    /// Of its links. Not the same: how often a link is made is of the moment, and would decide when the power goes.
    link_dice: Dice,
    rng: Xoshiro256PlusPlus,
    shared: Arc<Shared>,
}

/// How a terminal ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All is sold, and all is acked.
    Done,
    /// The run was broken off.
    GaveUp,
}

/// What ends a connection before its time.
enum Interruption {
    /// Another one is to be made.
    Lost(SessionError),
    /// The power is gone: the terminal starts anew.
    PowerCut,
    /// The epoch was used before: the terminal takes another.
    ForeignEpoch,
    /// The terminal cannot go on.
    Failed(TerminalError),
}

impl From<SessionError> for Interruption {
    fn from(error: SessionError) -> Self {
        Self::Lost(error)
    }
}

impl From<TerminalError> for Interruption {
    fn from(error: TerminalError) -> Self {
        Self::Failed(error)
    }
}

impl From<LedgerError> for Interruption {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error.into())
    }
}

impl Terminal {
    /// A terminal with what is in its queue.
    ///
    /// # Errors
    /// The queue cannot be read.
    #[expect(clippy::too_many_arguments, reason = "its parts, each made elsewhere")]
    pub fn new(
        store: Name<'_>,
        device: Name<'_>,
        dialect: Dialect,
        source: Source,
        queue: Queue,
        mut dice: Dice,
        rng: Xoshiro256PlusPlus,
        shared: Arc<Shared>,
    ) -> Result<Self, TerminalError> {
        let flash = queue.flash_queue();
        shared.tally.terminals.fetch_add(1, Relaxed);
        shared.tally.inherited.fetch_add(u64::from(flash.len()), Relaxed);
        let (settled, newest) = (flash.acked(), flash.newest());
        let uplink = Uplink::new(store, device, flash, shared.plan.link);
        let mut terminal = Self {
            store: store.to_string(),
            device: device.to_string(),
            dialect,
            source,
            queue: Some(queue),
            uplink,
            settled,
            newest,
            sold: VecDeque::new(),
            jammed: false,
            link_dice: dice.fork(),
            dice,
            turned: Turned::default(),
            rng,
            shared,
        };
        terminal.remember_from(settled + 1)?;
        Ok(terminal)
    }

    /// Works until all is sold and acked, or the run is broken off.
    ///
    /// # Errors
    /// The queue or the ledger cannot be used.
    pub async fn run(mut self) -> Result<(), TerminalError> {
        let mut backoff = Backoff::new(250, 10_000);
        loop {
            let interruption = match self.live(&mut backoff).await {
                Ok(_) => break,
                Err(interruption) => interruption,
            };
            match interruption {
                Interruption::Failed(error) => return Err(error),
                Interruption::PowerCut => self.restart()?,
                Interruption::ForeignEpoch => self.take_another_epoch()?,
                Interruption::Lost(error) => {
                    self.shared.tally.trouble(format!("{}: {error}", self.name()));
                    let until = self.now() + backoff.wait(self.rng.next_u32());
                    match self.wait_until(until).await {
                        Ok(End::Done) => {}
                        Ok(End::GaveUp) => break,
                        Err(Interruption::Failed(error)) => return Err(error),
                        // Only the power can go here: nothing else happens without a connection.
                        Err(_) => self.restart()?,
                    }
                }
            }
        }
        self.write(self.sold.iter(), None)?;
        self.sync().await?;
        self.shared.tally.finished.fetch_add(1, Relaxed);
        Ok(())
    }

    /// From one connection to its end.
    async fn live(&mut self, backoff: &mut Backoff) -> Result<End, Interruption> {
        self.sell().await?;
        if self.is_done() {
            return Ok(End::Done);
        }
        let Some(session) = self.connect().await? else {
            return Ok(End::GaveUp);
        };
        let shared = Arc::clone(&self.shared);
        shared.tally.connected.fetch_add(1, Relaxed);
        shared.tally.connects.fetch_add(1, Relaxed);
        let (began, settled) = (self.now(), self.settled);
        let end = self.converse(session).await;
        shared.tally.connected.fetch_sub(1, Relaxed);
        let held = self.now() - began;
        // A link that breaks all the time and lets something through each time is used all the time. Two terminals of one
        // name would each get something through.
        let works = match &end {
            Err(Interruption::Lost(error)) if error.is_taken_over() => held > 60_000,
            _ => held > 5_000 || self.settled > settled,
        };
        if works {
            backoff.reset();
        }
        end
    }

    /// Makes a connection, and sells meanwhile. `None`: the run was broken off.
    async fn connect(&mut self) -> Result<Option<Session>, Interruption> {
        let (shared, identity) = (Arc::clone(&self.shared), self.uplink.identity().clone());
        // On the heap, and gone with this function: it is large, and rarely there.
        let mut attempt = Box::pin(async {
            // The semaphore is never closed, so there is a permit.
            let _permit = shared.connecting.acquire().await;
            Session::connect(&shared.plan.broker, &identity).await
        });
        loop {
            tokio::select! {
                session = &mut attempt => return Ok(Some(session?)),
                () = shared.given_up.cancelled() => return Ok(None),
                () = self.more() => {}
            }
            self.sell().await?;
        }
    }

    /// Sells without a connection. `GaveUp`: the run was broken off.
    async fn wait_until(&mut self, until: Millis) -> Result<End, Interruption> {
        let shared = Arc::clone(&self.shared);
        let mut timer = pin!(sleep_until(Instant::from_std(shared.clock.instant(until))));
        loop {
            tokio::select! {
                () = &mut timer => return Ok(End::Done),
                () = shared.given_up.cancelled() => return Ok(End::GaveUp),
                () = self.more() => {}
            }
            self.sell().await?;
        }
    }

    /// Uses a connection until all is done.
    async fn converse(&mut self, session: Session) -> Result<End, Interruption> {
        let shared = Arc::clone(&self.shared);
        let keep_alive = session.keep_alive();
        let mut client = Client::new(session, self.dialect, self.link_dice.fork(), &shared.tally);
        block_on(self.uplink.greet(&mut client))?;
        let mut pulse = Pulse::new(self.now(), keep_alive);
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            client.turn(self.now())?;
            self.hear(&mut client)?;
            self.sell().await?;
            let now = self.now();
            match pulse.feel(now) {
                Feel::Well => {}
                // One ping is enough, also where the network does not take it.
                Feel::Quiet => {
                    client.session().ping()?;
                    pulse.spoke(now);
                }
                Feel::Dead => return Err(SessionError::Silent.into()),
            }
            if self.speak(&mut client, now)? {
                pulse.spoke(now);
            }
            if self.is_done() {
                // All that mattered is acked; a goodbye that fails changes nothing.
                let _ = block_on(self.uplink.part(&mut client));
                let _ = client.into_session().close().await;
                return Ok(End::Done);
            }
            let deadlines = [self.uplink.window().deadline(), client.deadline()];
            let wake = deadlines
                .into_iter()
                .flatten()
                .fold(pulse.deadline(), Millis::min);
            let wake = Instant::from_std(shared.clock.instant(wake));
            // Acks move the deadline away all the time. Moving the timer is dear; waking too early costs one
            // turn.
            if wake < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(wake);
            }
            let hung = client.is_hung();
            tokio::select! {
                ready = client.session().ready(), if !hung => {
                    ready.map_err(SessionError::from)?;
                    if client.session().read()? {
                        pulse.heard(self.now());
                    }
                }
                () = self.more() => {}
                () = &mut timer => {}
                () = shared.given_up.cancelled() => return Ok(End::GaveUp),
            }
        }
    }

    /// Waits until more may be sold, or no more is to be. Dropping the future loses nothing.
    async fn more(&mut self) {
        if self.shared.closing.is_cancelled() || self.source.is_over() {
            return std::future::pending().await;
        }
        let (window, limit) = (
            self.shared.plan.link.window as usize,
            self.shared.plan.queue_limit,
        );
        let has_room = !self.jammed && self.sold.len() < limit.min(2 * window);
        tokio::select! {
            () = self.source.changed(has_room) => {}
            () = self.shared.closing.cancelled() => {}
        }
    }

    fn is_done(&self) -> bool {
        let over = self.shared.closing.is_cancelled() || self.source.is_over();
        over && self.settled == self.newest
    }

    fn now(&self) -> Millis {
        self.shared.clock.millis()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.store, self.device)
    }

    /// Tells the ledger, if there is one.
    fn write<'a>(
        &self,
        events: impl Iterator<Item = &'a Sold>,
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

    /// Makes what was written to the queue's file durable.
    async fn sync(&mut self) -> Result<(), QueueError> {
        let Some(file) = self.queue.as_mut().and_then(Queue::sync) else {
            return Ok(());
        };
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        synced
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|source| QueueError::Sync {
                terminal: self.name(),
                source,
            })
    }

    /// What a failure of the flash means.
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
