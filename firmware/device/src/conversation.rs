//! One connection to the MQTT broker, from its making to its end: publishes, forgets what is acked, goes on selling.

use comptoir_link::{Heard, LinkError, Millis, Spoke};
use comptoir_queue::block_on;
use comptoir_wire::{Command, MAX_FRAME};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use minimq::{Error, PeerError, ReasonCode, Session};
use smoltcp::phy;
use smoltcp::wire::IpAddress;

use crate::device::Device;
use crate::mqtt::{Mqtt, MqttError};
use crate::net::{self, Net};
use crate::resume::Resume;
use crate::till::{Link, Trouble};
use crate::{Board, Person, State};

/// Milliseconds: for a connection, for a step of the client, for a turn of its reading.
const CONNECT: Millis = 5_000;
const STEP: Millis = 5_000;
const TURN: Millis = 2;

/// An MQTT connection over the network.
type Client<'s, 'm, 'c, 'n, B, D> = minimq::Connection<'s, 'm, Resume<net::Connection<'c, 'n, B, D>>>;

const SILENT: Interruption = Interruption::Link("the MQTT broker is silent");

/// What ends a connection.
#[derive(Clone, Copy)]
pub enum Interruption {
    /// Another is to be made.
    Link(&'static str),
    /// The till cannot go on.
    Fatal(Trouble),
}

impl<E> From<LinkError<MqttError, E>> for Interruption {
    fn from(error: LinkError<MqttError, E>) -> Self {
        match error {
            LinkError::Mqtt(_) => Self::Link("the connection is lost"),
            LinkError::Queue(_) => Self::Fatal(Trouble::Read),
        }
    }
}

impl<'b, B: Board, P: Person, F: MultiwriteNorFlash, const PAGES: usize> Device<'b, B, P, F, PAGES> {
    /// One connection, from its making to its end. `Ok`: all is sold and acked.
    #[inline(never)]
    pub fn converse<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        session: &mut Session<'_>,
        link: Link<'_>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<(), Interruption> {
        self.connected = None;
        let mut connection = self.connect(net, session, link, frame)?;
        self.connected = Some(self.board.millis());
        self.board.say(format_args!("till: connected"));
        loop {
            self.sell(frame).map_err(Interruption::Fatal)?;
            self.speak(net, &mut connection, frame)?;
            self.listen(net, &mut connection)?;
            let state = if self.is_full {
                State::Full
            } else if self.queue.is_empty() {
                State::Idle
            } else {
                State::Waiting
            };
            if self.turn(state) {
                return Err(Interruption::Link(
                    "no ack for too long: once more from the start",
                ));
            }
            if self.person.is_over(self.queue.newest()) && self.queue.is_empty() {
                self.part(net, connection);
                return Ok(());
            }
        }
    }

    /// Connects to the MQTT broker, subscribes, and says that the terminal is online.
    #[inline(never)]
    fn connect<'c, 's, 'n, 'm, D: phy::Device>(
        &mut self,
        net: &'c Net<'n, B, D>,
        session: &'s mut Session<'m>,
        link: Link<'_>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<Client<'s, 'm, 'c, 'n, B, D>, Interruption> {
        let (broker, random) = (IpAddress::Ipv4(link.broker), self.random.next_u32());
        let mut sold = Ok(());
        let mut sell = || {
            if sold.is_ok() {
                sold = self.sell_offline(frame);
            }
        };
        let connection = net.connect(broker, link.port, random, CONNECT, &mut sell);
        let connection =
            connection.map(|connection| net.drive(session.connect(Resume::new(connection)), CONNECT, sell));
        sold.map_err(Interruption::Fatal)?;
        let mut connection = connection
            .map_err(|_| Interruption::Link("the MQTT broker is not there"))?
            .ok_or(SILENT)?
            .map_err(|error| {
                // For the last will of the session, which is made anew for the next connection.
                let refused = Error::Peer(PeerError::Rejected(ReasonCode::RetainNotSupported));
                self.retains &= error != refused;
                Interruption::Link("the MQTT broker refuses the connection")
            })?;
        let mut mqtt = Mqtt(&mut connection, self.retains);
        net.drive(self.uplink.greet(&mut mqtt), STEP, || {})
            .ok_or(SILENT)?
            .map_err(|_| Interruption::Link("the MQTT broker refuses the subscription"))?;
        Ok(connection)
    }

    /// Publishes the next event, if there is one to be published now.
    #[inline(never)]
    fn speak<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        connection: &mut Client<'_, '_, '_, '_, B, D>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<(), Interruption> {
        let (now, random) = (self.board.millis(), self.random.next_u32());
        let mut mqtt = Mqtt(connection, self.retains);
        let spoke = self
            .uplink
            .speak(&mut mqtt, MqttError::is_busy, &mut self.queue, now, random, frame);
        match net.drive(spoke, STEP, || {}).ok_or(SILENT)?? {
            Spoke::Published { .. } | Spoke::Nothing => {}
            Spoke::Lost { seq } => {
                // Kept for nothing: the till would wait for its ack for ever.
                block_on(self.queue.delete_through(seq)).map_err(|_| Interruption::Fatal(Trouble::Delete))?;
                self.board.say(format_args!("till: {seq} was damaged on flash"));
            }
        }
        Ok(())
    }

    /// Takes in what arrives within the turn.
    #[inline(never)]
    fn listen<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        connection: &mut Client<'_, '_, '_, '_, B, D>,
    ) -> Result<(), Interruption> {
        // The client's reading may be broken off.
        let message = match net.drive(connection.poll(), TURN, || {}) {
            None | Some(Ok(None)) => return Ok(()),
            Some(Ok(Some(message))) => message,
            Some(Err(_)) => return Err(Interruption::Link("the connection is lost")),
        };
        let (now, random) = (self.board.millis(), self.random.next_u32());
        match self.uplink.hear(message.topic(), message.payload(), now, random) {
            Heard::Safe(seq) => {
                self.feed();
                block_on(self.queue.delete_through(seq)).map_err(|_| Interruption::Fatal(Trouble::Delete))?;
                self.board.say(format_args!("till: acked {seq}"));
            }
            Heard::Command(Command::PriceList(list)) => match self.catalogue.take(&list) {
                Ok(taken) => self.board.say(format_args!("till: {taken} new prices")),
                Err(_) => self.board.say(format_args!("till: prices in another currency")),
            },
            Heard::Command(Command::Message(message)) => {
                self.board.say(format_args!("till: message: {}", message.text))
            }
            Heard::Command(Command::OrderStatus(change)) => {
                self.board.say(format_args!(
                    "till: order {} is {}",
                    change.order_id, change.status
                ));
            }
            Heard::ForeignAck => self.board.say(format_args!(
                "till: acked beyond what was sent: this epoch was used before"
            )),
            Heard::Garbled(_) => self
                .board
                .say(format_args!("till: a message that is not understood")),
            Heard::OldAck | Heard::Other => {}
        }
        Ok(())
    }

    /// Goes offline in order. All that mattered is acked, so nothing depends on how that goes.
    #[inline(never)]
    fn part<D: phy::Device>(&mut self, net: &Net<'_, B, D>, mut connection: Client<'_, '_, '_, '_, B, D>) {
        let mut mqtt = Mqtt(&mut connection, self.retains);
        let parted = net.drive(self.uplink.part(&mut mqtt), STEP, || {});
        let left = net.drive(connection.disconnect(), STEP, || {});
        let _ = (parted, left);
    }
}
