//! One connection to the MQTT broker, from CONNECT to its end: publishes events, deletes acked ones, and keeps selling.

use comptoir_link::{InboundMessage, LinkError, Millis, SendOutcome};
use comptoir_queue::block_on;
use comptoir_wire::{Command, MAX_FRAME};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use minimq::{Error, PeerError, ReasonCode, Session};
use smoltcp::phy;
use smoltcp::wire::IpAddress;

use crate::device::Device;
use crate::main_loop::{DeviceError, Link};
use crate::mqtt::{Mqtt, MqttError};
use crate::net::{self, Net};
use crate::resume::ResumeSession;
use crate::{Board, Operator, State};

/// Timeouts in milliseconds: for connecting, for one step of the client, and for waiting for a message in one turn.
const CONNECT_TIMEOUT: Millis = 5_000;
const STEP_TIMEOUT: Millis = 5_000;
const RECEIVE_TIMEOUT: Millis = 2;

/// An MQTT connection over the network.
type Client<'s, 'm, 'c, 'n, B, D> = minimq::Connection<'s, 'm, ResumeSession<net::Connection<'c, 'n, B, D>>>;

const SILENT: Interruption = Interruption::Link("the MQTT broker is silent");

/// Why a connection ended early.
#[derive(Clone, Copy)]
pub enum Interruption {
    /// The link failed for this reason: reconnect.
    Link(&'static str),
    /// The till cannot go on.
    Fatal(DeviceError),
}

impl<E> From<LinkError<MqttError, E>> for Interruption {
    fn from(error: LinkError<MqttError, E>) -> Self {
        match error {
            LinkError::Mqtt(_) => Self::Link("the connection is lost"),
            LinkError::Queue(_) => Self::Fatal(DeviceError::Read),
        }
    }
}

impl<'b, B: Board, P: Operator, F: MultiwriteNorFlash, const PAGES: usize> Device<'b, B, P, F, PAGES> {
    /// Runs one connection. Returns `Ok` once no more sales will come and everything is acked.
    #[inline(never)]
    pub fn converse<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        session: &mut Session<'_>,
        link: Link<'_>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<(), Interruption> {
        self.connected_at = None;
        let mut connection = self.connect(net, session, link, frame)?;
        self.connected_at = Some(self.board.millis());
        self.board.log(format_args!("till: connected"));
        loop {
            self.sell(frame).map_err(Interruption::Fatal)?;
            self.publish_next(net, &mut connection, frame)?;
            self.receive_next(net, &mut connection)?;
            let state = if self.is_full {
                State::Full
            } else if self.queue.is_empty() {
                State::Idle
            } else {
                State::Waiting
            };
            if self.check_watchdogs(state) {
                return Err(Interruption::Link("no ack: reconnecting"));
            }
            if self.operator.is_over(self.queue.newest()) && self.queue.is_empty() {
                self.disconnect(net, connection);
                return Ok(());
            }
        }
    }

    /// Connects to the MQTT broker, subscribes, and announces that the till is online.
    #[inline(never)]
    fn connect<'c, 's, 'n, 'm, D: phy::Device>(
        &mut self,
        net: &'c Net<'n, B, D>,
        session: &'s mut Session<'m>,
        link: Link<'_>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<Client<'s, 'm, 'c, 'n, B, D>, Interruption> {
        let (broker, random) = (IpAddress::Ipv4(link.broker), self.random.next_u32());
        let mut sales = Ok(());
        let mut sell = || {
            if sales.is_ok() {
                sales = self.sell_offline(frame);
            }
        };
        let connection = net.connect(broker, link.port, random, CONNECT_TIMEOUT, &mut sell);
        let connection = connection.map(|connection| {
            net.drive(
                session.connect(ResumeSession::new(connection)),
                CONNECT_TIMEOUT,
                sell,
            )
        });
        sales.map_err(Interruption::Fatal)?;
        let mut connection = connection
            .map_err(|_| Interruption::Link("the MQTT broker is unreachable"))?
            .ok_or(SILENT)?
            .map_err(|error| {
                // The next connection has a new session, whose last will is retained only if the broker supports that.
                let refused = Error::Peer(PeerError::Rejected(ReasonCode::RetainNotSupported));
                self.broker_retains &= error != refused;
                Interruption::Link("the MQTT broker refuses the connection")
            })?;
        let mut mqtt = Mqtt(&mut connection, self.broker_retains);
        net.drive(self.uplink.announce_online(&mut mqtt), STEP_TIMEOUT, || {})
            .ok_or(SILENT)?
            .map_err(|_| Interruption::Link("the MQTT broker refuses the subscription"))?;
        Ok(connection)
    }

    /// Publishes the next event, if one may be published now.
    #[inline(never)]
    fn publish_next<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        connection: &mut Client<'_, '_, '_, '_, B, D>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<(), Interruption> {
        let (now, random) = (self.board.millis(), self.random.next_u32());
        let mut mqtt = Mqtt(connection, self.broker_retains);
        let sending =
            self.uplink
                .send_next(&mut mqtt, MqttError::is_busy, &mut self.queue, now, random, frame);
        match net.drive(sending, STEP_TIMEOUT, || {}).ok_or(SILENT)?? {
            SendOutcome::Published { .. } | SendOutcome::Idle => {}
            SendOutcome::Damaged { seq } => {
                // Its ack will never come.
                block_on(self.queue.delete_through(seq))
                    .map_err(|_| Interruption::Fatal(DeviceError::Delete))?;
                self.board.log(format_args!("till: {seq} was damaged on flash"));
            }
        }
        Ok(())
    }

    /// Handles the next message, if one arrives within [`RECEIVE_TIMEOUT`].
    #[inline(never)]
    fn receive_next<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        connection: &mut Client<'_, '_, '_, '_, B, D>,
    ) -> Result<(), Interruption> {
        // `poll` is cancel-safe.
        let message = match net.drive(connection.poll(), RECEIVE_TIMEOUT, || {}) {
            None | Some(Ok(None)) => return Ok(()),
            Some(Ok(Some(message))) => message,
            Some(Err(_)) => return Err(Interruption::Link("the connection is lost")),
        };
        let (now, random) = (self.board.millis(), self.random.next_u32());
        match self
            .uplink
            .receive(message.topic(), message.payload(), now, random)
        {
            InboundMessage::Acked(seq) => {
                self.feed_watchdogs();
                block_on(self.queue.delete_through(seq))
                    .map_err(|_| Interruption::Fatal(DeviceError::Delete))?;
                self.board.log(format_args!("till: acked {seq}"));
            }
            InboundMessage::Command(Command::PriceList(list)) => match self.catalogue.apply(&list) {
                Ok(count) => self.board.log(format_args!("till: {count} new prices")),
                Err(_) => self.board.log(format_args!("till: prices in another currency")),
            },
            InboundMessage::Command(Command::Message(message)) => {
                self.board.log(format_args!("till: message: {}", message.text))
            }
            InboundMessage::Command(Command::OrderStatus(change)) => {
                self.board.log(format_args!(
                    "till: order {} is {}",
                    change.order_id, change.status
                ));
            }
            InboundMessage::ForeignAck => self.board.log(format_args!(
                "till: acked beyond what was sent: this epoch was used before"
            )),
            InboundMessage::Malformed(_) => self.board.log(format_args!("till: malformed message")),
            InboundMessage::StaleAck | InboundMessage::OtherTopic => {}
        }
        Ok(())
    }

    /// Announces that the till is offline, and disconnects. Errors do not matter, because everything is acked.
    #[inline(never)]
    fn disconnect<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        mut connection: Client<'_, '_, '_, '_, B, D>,
    ) {
        let mut mqtt = Mqtt(&mut connection, self.broker_retains);
        let announced = net.drive(self.uplink.announce_offline(&mut mqtt), STEP_TIMEOUT, || {});
        let disconnected = net.drive(connection.disconnect(), STEP_TIMEOUT, || {});
        let _ = (announced, disconnected);
    }
}
