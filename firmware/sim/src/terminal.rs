//! One terminal: sells, keeps, publishes, forgets what is acked.
//!
//! One task, and nothing in it waits for anything but its `select`: selling goes on while the connection is
//! being made or is gone. What is sold is in the queue first, and leaves the queue only by an end-to-end ack.

mod traffic;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use rand::Rng;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use comptoir_link::{Backoff, Millis, Window};
use comptoir_wire::topic::{Kind, Leaf, Name, Topic};

use crate::ledger::{Ledger, LedgerError};
use crate::plan::Plan;
use crate::queue::{QueueError, SaleQueue};
use crate::session::{Identity, KEEP_ALIVE, Session, SessionError};
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
    /// All numbers of the epoch are given.
    #[error("{terminal}: the epoch has no more numbers; delete its queue")]
    Exhausted {
        /// `{store}/{device}`.
        terminal: String,
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
    name: String,
    identity: Arc<Identity>,
    topics: [Bytes; 3],
    ack_topic: String,
    commands_topic: String,
    json: bool,
    source: Source,
    queue: SaleQueue,
    window: Window,
    rng: Xoshiro256PlusPlus,
    shared: Arc<Shared>,
    scratch: BytesMut,
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

impl Terminal {
    pub fn new(
        store: Name<'_>,
        device: Name<'_>,
        json: bool,
        source: Source,
        queue: SaleQueue,
        rng: Xoshiro256PlusPlus,
        shared: Arc<Shared>,
    ) -> Self {
        let topic = |leaf| Topic { store, device, leaf }.to_string();
        let [ack_topic, commands_topic] = [topic(Leaf::Ack), topic(Leaf::Commands)];
        shared.tally.terminals.fetch_add(1, Relaxed);
        shared.tally.inherited.fetch_add(queue.len() as u64, Relaxed);
        Self {
            name: format!("{store}/{device}"),
            identity: Arc::new(Identity {
                client_id: format!("{store}-{device}"),
                status: Bytes::from(topic(Leaf::Status)),
                subscriptions: [ack_topic.clone(), commands_topic.clone()],
            }),
            topics: Kind::ALL.map(|kind| Bytes::from(topic(Leaf::Event(kind)))),
            ack_topic,
            commands_topic,
            json,
            source,
            window: Window::resume(queue.epoch(), queue.acked(), queue.newest(), shared.plan.link),
            queue,
            rng,
            shared,
            scratch: BytesMut::new(),
        }
    }

    /// Works until all is sold and acked, or the run is broken off.
    ///
    /// # Errors
    /// The queue or the ledger cannot be used.
    pub async fn run(mut self) -> Result<(), TerminalError> {
        let mut backoff = Backoff::new(250, 10_000);
        loop {
            self.sell().await?;
            if self.is_done() {
                break;
            }
            let end = match self.connect().await {
                Ok(Some(session)) => {
                    let tally = &self.shared.tally;
                    tally.connected.fetch_add(1, Relaxed);
                    tally.connects.fetch_add(1, Relaxed);
                    let began = self.now();
                    let end = self.converse(session).await;
                    self.shared.tally.connected.fetch_sub(1, Relaxed);
                    if self.now() - began > 5_000 {
                        backoff.reset();
                    }
                    end
                }
                Ok(None) => Ok(End::GaveUp),
                Err(interruption) => Err(interruption),
            };
            match end {
                Ok(End::Done | End::GaveUp) => break,
                Err(Interruption::Failed(error)) => return Err(error),
                Err(Interruption::Lost(error)) => {
                    self.shared.tally.trouble(format!("{}: {error}", self.name))
                }
            }
            let until = self.now() + backoff.wait(self.rng.next_u32());
            if self.wait_until(until).await? == End::GaveUp {
                break;
            }
        }
        if let Some(ledger) = &self.shared.ledger {
            ledger.write(&self.name, &self.shared.clock, self.queue.iter(), None)?;
        }
        self.queue.close().await?;
        self.shared.tally.finished.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Makes a connection, and sells meanwhile. `None`: the run was broken off.
    async fn connect(&mut self) -> Result<Option<Session>, Interruption> {
        let (shared, identity) = (Arc::clone(&self.shared), Arc::clone(&self.identity));
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
    async fn wait_until(&mut self, until: Millis) -> Result<End, TerminalError> {
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
    async fn converse(&mut self, mut session: Session) -> Result<End, Interruption> {
        self.window.reconnected();
        let shared = Arc::clone(&self.shared);
        let (mut heard, mut spoke) = (self.now(), self.now());
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            self.hear(&mut session).await?;
            self.sell().await?;
            let now = self.now();
            if now >= heard + 2 * SILENCE {
                return Err(SessionError::Silent.into());
            }
            if now >= spoke + SILENCE {
                session.ping()?;
            }
            if self.speak(&mut session, now)? {
                spoke = now;
            }
            if self.is_done() {
                // All that mattered is acked; a goodbye that fails changes nothing.
                let _ = session.close(&self.identity.status).await;
                return Ok(End::Done);
            }
            let silent = (heard + 2 * SILENCE).min(spoke + SILENCE);
            let wake = self
                .window
                .deadline()
                .map_or(silent, |deadline| deadline.min(silent));
            let wake = Instant::from_std(shared.clock.instant(wake));
            // Acks move the deadline away all the time. Moving the timer is dear; waking too early costs one
            // turn.
            if wake < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                ready = session.ready() => {
                    ready.map_err(SessionError::from)?;
                    if session.read()? {
                        heard = self.now();
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
        let has_room = self.queue.len() < limit.min(2 * window);
        tokio::select! {
            () = self.source.changed(has_room) => {}
            () = self.shared.closing.cancelled() => {}
        }
    }

    fn is_done(&self) -> bool {
        (self.shared.closing.is_cancelled() || self.source.is_over()) && self.queue.is_empty()
    }

    fn now(&self) -> Millis {
        self.shared.clock.millis()
    }
}

/// Milliseconds of silence after which a terminal pings; twice as long, and the connection counts as lost.
const SILENCE: Millis = KEEP_ALIVE as Millis * 1000;
