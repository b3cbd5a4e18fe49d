//! One connection to the MQTT broker, from the attempt to its end, and the pause before the next one.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use comptoir_link::{Backoff, Millis};
use comptoir_queue::block_on;
use tokio::time::{Instant, sleep_until};

use super::{End, Interruption, SimulatedTill};
use crate::client::Client;
use crate::pulse::{Liveness, Pulse};
use comptoir_mqtt::Session;

use crate::session::{self, SessionError};

/// A connection that lasted longer than this many milliseconds resets the backoff.
const STABLE: Millis = 5_000;
/// The same after a session takeover. Two tills with the same name would each get events through, and take the session from
/// each other in a tight loop.
const STABLE_AFTER_TAKEOVER: Millis = 60_000;

impl SimulatedTill {
    /// Runs one connection, from the attempt to its end.
    pub(super) async fn run_connection(&mut self, backoff: &mut Backoff) -> Result<End, Interruption> {
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
        let lasted = self.now() - began;
        let is_stable = match &end {
            Err(Interruption::Lost(error)) if error.is_taken_over() => lasted > STABLE_AFTER_TAKEOVER,
            // A connection that breaks again and again is worth using if it gets something through each time.
            _ => lasted > STABLE || self.settled > settled,
        };
        if is_stable {
            backoff.reset();
        }
        end
    }

    /// Connects, and sells in the meantime. `None`: the run was stopped.
    async fn connect(&mut self) -> Result<Option<Session>, Interruption> {
        let (shared, identity) = (Arc::clone(&self.shared), self.uplink.identity().clone());
        // On the heap, because the future is large and seldom exists.
        let mut attempt = Box::pin(async {
            // The semaphore is never closed, so this is always a permit.
            let _permit = shared.connecting.acquire().await;
            session::connect(&shared.plan.broker, &identity).await
        });
        loop {
            tokio::select! {
                session = &mut attempt => return Ok(Some(session?)),
                () = shared.given_up.cancelled() => return Ok(None),
                () = self.may_sell() => {}
            }
            self.sell().await?;
        }
    }

    /// Sells without a connection until the given time. `GaveUp`: the run was stopped.
    pub(super) async fn sell_until(&mut self, until: Millis) -> Result<End, Interruption> {
        let shared = Arc::clone(&self.shared);
        let mut timer = pin!(sleep_until(Instant::from_std(shared.clock.instant(until))));
        loop {
            tokio::select! {
                () = &mut timer => return Ok(End::Done),
                () = shared.given_up.cancelled() => return Ok(End::GaveUp),
                () = self.may_sell() => {}
            }
            self.sell().await?;
        }
    }

    /// Uses a connection until everything is sold and acked.
    async fn converse(&mut self, session: Session) -> Result<End, Interruption> {
        let shared = Arc::clone(&self.shared);
        let keep_alive = session.keep_alive_s();
        let mut client = Client::new(session, self.dialect, self.link_dice.fork(), &shared.tally);
        block_on(self.uplink.announce_online(&mut client))?;
        let mut pulse = Pulse::new(self.now(), keep_alive);
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            client.turn(self.now())?;
            self.receive_all(&mut client)?;
            self.sell().await?;
            let now = self.now();
            match pulse.check(now) {
                Liveness::Alive => {}
                // One ping is enough, even if the network does not accept it now.
                Liveness::NeedsPing => {
                    client.session().ping()?;
                    pulse.on_sent(now);
                }
                Liveness::Lost => return Err(comptoir_mqtt::Error::Timeout.into()),
            }
            if self.send_all(&mut client, now)? {
                pulse.on_sent(now);
            }
            if self.is_done() {
                // Everything is acked, so a failure to disconnect cleanly does not matter.
                let _ = block_on(self.uplink.announce_offline(&mut client));
                let _ = client.into_session().close().await;
                return Ok(End::Done);
            }
            let deadlines = [self.uplink.window().deadline(), client.deadline()];
            let wake = deadlines
                .into_iter()
                .flatten()
                .fold(pulse.deadline(), Millis::min);
            let wake = Instant::from_std(shared.clock.instant(wake));
            // Acks postpone the deadline all the time. Resetting the timer is expensive; waking too early costs one turn.
            if wake < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(wake);
            }
            let is_hung = client.is_hung();
            tokio::select! {
                ready = client.session().ready(), if !is_hung => {
                    ready.map_err(SessionError::from)?;
                    if client.session().read()? {
                        pulse.on_received(self.now());
                    }
                }
                () = self.may_sell() => {}
                () = &mut timer => {}
                () = shared.given_up.cancelled() => return Ok(End::GaveUp),
            }
        }
    }

    /// Waits until another event may be sold, or until no more will be. Cancel-safe.
    async fn may_sell(&mut self) {
        if self.shared.closing.is_cancelled() || self.source.is_over() {
            return std::future::pending().await;
        }
        let (window, limit) = (
            self.shared.plan.link.window as usize,
            self.shared.plan.queue_limit,
        );
        let has_room = !self.needs_format && self.pending.len() < limit.min(2 * window);
        tokio::select! {
            () = self.source.changed(has_room) => {}
            () = self.shared.closing.cancelled() => {}
        }
    }
}
