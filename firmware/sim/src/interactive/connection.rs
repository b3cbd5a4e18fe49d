//! The interactive till's network: a plug, and the connection over it.

use comptoir_link::{InboundMessage, LinkError, Millis, SendOutcome};
use comptoir_queue::block_on;
use comptoir_wire::Command;
use tokio::task::JoinHandle;

use super::till::InteractiveTill;
use super::{InteractiveError, TICK};
use crate::client::Client;
use crate::dialect::Dialect;
use crate::faults::{Dice, Faults};
use crate::pulse::{Liveness, Pulse};
use comptoir_mqtt::Session;

use crate::session::{self, SessionError};

/// The state of the network.
pub enum Connection<'t> {
    /// The plug is pulled.
    Unplugged,
    /// Waits until that time before it connects.
    Waiting(Millis),
    Connecting(JoinHandle<Result<Session, SessionError>>),
    Up {
        client: Box<Client<'t>>,
        pulse: Pulse,
    },
}

impl<'t> InteractiveTill<'t> {
    /// Pulls the network's plug, or plugs it back in.
    pub fn toggle_plug(&mut self) {
        self.connection = match self.connection {
            Connection::Unplugged => Connection::Waiting(0),
            // Without a DISCONNECT, as with a real plug.
            _ => Connection::Unplugged,
        };
    }

    /// Waits until the connection has something to do. Cancel-safe.
    pub async fn connection_ready(&mut self) {
        match &mut self.connection {
            Connection::Up { client, .. } => {
                // An error shows again when the connection is read.
                let _ = client.session().ready().await;
            }
            Connection::Connecting(attempt) if !attempt.is_finished() => {
                tokio::time::sleep(TICK / 10).await;
            }
            Connection::Connecting(_) => {}
            Connection::Unplugged | Connection::Waiting(_) => std::future::pending().await,
        }
    }

    /// One turn of the connection: connects, receives, sends. Reconnects after a loss.
    ///
    /// # Errors
    /// The flash failed.
    pub fn drive_connection(&mut self) -> Result<(), InteractiveError> {
        let now = self.clock.millis();
        self.connection = match std::mem::replace(&mut self.connection, Connection::Unplugged) {
            Connection::Waiting(until) if until <= now => {
                let (broker, identity) = (self.options.broker.clone(), self.uplink.identity().clone());
                Connection::Connecting(tokio::spawn(
                    async move { session::connect(&broker, &identity).await },
                ))
            }
            Connection::Connecting(attempt) if attempt.is_finished() => match block_on(attempt) {
                Ok(Ok(session)) => self.announce_online(session),
                _ => self.back_off(),
            },
            Connection::Up {
                mut client,
                mut pulse,
            } => match self.exchange(&mut client, &mut pulse, now)? {
                true => Connection::Up { client, pulse },
                false => self.back_off(),
            },
            other => other,
        };
        Ok(())
    }

    fn back_off(&mut self) -> Connection<'t> {
        Connection::Waiting(self.clock.millis() + self.backoff.next_delay(rand::random()))
    }

    fn announce_online(&mut self, session: Session) -> Connection<'t> {
        let dice = Dice::new(Faults::default(), 0);
        let keep_alive = session.keep_alive_s();
        let mut client = Client::new(session, Dialect::Postcard, dice, self.tally);
        match block_on(self.uplink.announce_online(&mut client)) {
            Ok(()) => Connection::Up {
                client: Box::new(client),
                pulse: Pulse::new(self.clock.millis(), keep_alive),
            },
            Err(_) => self.back_off(),
        }
    }

    /// Receives and sends. Returns whether the connection still works.
    fn exchange(
        &mut self,
        client: &mut Client<'t>,
        pulse: &mut Pulse,
        now: Millis,
    ) -> Result<bool, InteractiveError> {
        match client.turn(now).and_then(|()| Ok(client.session().read()?)) {
            Ok(true) => pulse.on_received(now),
            Ok(false) => {}
            Err(_) => return Ok(false),
        }
        match pulse.check(now) {
            Liveness::Alive => {}
            Liveness::NeedsPing => {
                if client.session().ping().is_err() {
                    return Ok(false);
                }
            }
            Liveness::Lost => return Ok(false),
        }
        let Ok(acked) = self.receive_all(client, now) else {
            return Ok(false);
        };
        if let Some(seq) = acked {
            // Only an ack resets the backoff: a broker that disconnects the till at once is tried less and less often.
            self.backoff.reset();
            self.delete_through(seq)?;
            if self.desk.message.is_empty() {
                self.desk.show(|words| words.safe, format_args!(" {seq}"));
            }
        }
        self.send_all(client, pulse, now)
    }

    /// Handles all messages that have arrived; returns the highest acked number.
    fn receive_all(&mut self, client: &mut Client<'t>, now: Millis) -> Result<Option<u32>, SessionError> {
        let (uplink, desk) = (&mut self.uplink, &mut self.desk);
        let mut acked = None;
        while client
            .received(
                |topic, payload| match uplink.receive(topic, payload, now, rand::random()) {
                    InboundMessage::Acked(seq) => acked = Some(seq),
                    InboundMessage::Command(Command::Message(message)) => {
                        desk.show(|words| words.head_office, format_args!(": {}", message.text));
                    }
                    InboundMessage::Command(Command::PriceList(list)) => {
                        let count = desk.catalogue.apply(&list).unwrap_or(0);
                        desk.show(|words| words.head_office, format_args!(": {count} "));
                        desk.message.push_str(desk.words().prices);
                    }
                    InboundMessage::Command(Command::OrderStatus(change)) => desk.show(
                        |words| words.head_office,
                        format_args!(": {} {}", change.order_id, change.status),
                    ),
                    // Epochs are drawn at random here, so no other run has this one.
                    InboundMessage::ForeignAck
                    | InboundMessage::StaleAck
                    | InboundMessage::Malformed(_)
                    | InboundMessage::OtherTopic => {}
                },
            )?
            .is_some()
        {}
        Ok(acked)
    }

    /// Publishes what the window allows. Returns whether the connection still works.
    fn send_all(
        &mut self,
        client: &mut Client<'t>,
        pulse: &mut Pulse,
        now: Millis,
    ) -> Result<bool, InteractiveError> {
        loop {
            let Some(queue) = &mut self.queue else {
                return Ok(true);
            };
            let sending = self.uplink.send_next(
                client,
                SessionError::is_busy,
                queue,
                now,
                rand::random(),
                &mut self.buffer,
            );
            match block_on(sending) {
                Ok(SendOutcome::Idle) => break,
                Ok(SendOutcome::Published { .. }) => {}
                Ok(SendOutcome::Damaged { seq }) => {
                    self.delete_through(seq)?;
                    self.desk.show(|words| words.lost, format_args!(" {seq}"));
                }
                Err(LinkError::Mqtt(_)) => return Ok(false),
                Err(LinkError::Queue(error)) => return Err(self.unusable(error).into()),
            }
        }
        let Ok(has_written) = client.write() else {
            return Ok(false);
        };
        if has_written {
            pulse.on_sent(now);
        }
        Ok(true)
    }

    /// Disconnects, if there is a connection, and syncs the queue.
    pub async fn shut_down(mut self) {
        if let Connection::Up { mut client, .. } =
            std::mem::replace(&mut self.connection, Connection::Unplugged)
        {
            // If this fails, the broker publishes the last will, which says the same.
            let _ = block_on(self.uplink.announce_offline(&mut *client));
            let _ = client.into_session().close().await;
        }
        // Only deletions are not synced yet. Events that reappear are sent again at worst.
        let _ = self.sync_and_release(Vec::new()).await;
    }
}
