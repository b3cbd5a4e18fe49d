//! The main loop: sells, publishes, forgets what is acked, whatever the network does.

use core::cell::Cell;
use core::fmt;
use core::ops::Range;

use comptoir_link::{
    Backoff, Heard, Identity, LinkError, Millis, OFFLINE, Settings as Pace, Spoke, Uplink, Watchdog,
};
use comptoir_queue::{Opened, QueueError, SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Catalogue, Ids, Random, Till};
use comptoir_wire::topic::Name;
use comptoir_wire::{Command, Currency, Header, MAX_FRAME, MAX_ID, encode};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use minimq::{Buffers as MqttBuffers, ConfigBuilder, Session, Will};
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::phy;
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, Ipv4Address};

use crate::mqtt::{Mqtt, MqttError};
use crate::net::{self, Net};
use crate::{Board, Person, State};

/// What a till can sell.
pub const PRODUCTS: usize = 64;
/// minimq keeps eight publishes until their PUBACK.
const PACE: Pace = Pace {
    window: 8,
    resend: 2_000,
    resend_max: 30_000,
};
/// Milliseconds: for a connection, for a step of the client, for a turn of its reading.
const CONNECT: Millis = 5_000;
const STEP: Millis = 5_000;
const TURN: Millis = 2;
/// Milliseconds without an ack, while events wait, until the link is made anew, and until the board is.
const PATIENCE: Millis = 120_000;
const LAST_PATIENCE: Millis = 600_000;
/// The client's memory: a command, or a frame, and its topic, with something to spare. The client tells the MQTT
/// broker the largest packet that it takes.
const RECEIVE: usize = Command::MAX_BYTES + 256;
const TRANSMIT: usize = MAX_FRAME + 512;
/// Bytes on their way to the MQTT broker, and from it: more than a segment of Ethernet's size each.
const TCP: usize = 1536;

/// What is too large for the stack.
pub struct Memory {
    frame: [u8; MAX_FRAME],
    receive: [u8; RECEIVE],
    transmit: [u8; TRANSMIT],
    tcp: [[u8; TCP]; 2],
    catalogue: Option<Catalogue<PRODUCTS>>,
}

impl Memory {
    /// Empty.
    #[expect(clippy::new_without_default, reason = "a default would be made on the stack")]
    pub const fn new() -> Self {
        Self {
            frame: [0; MAX_FRAME],
            receive: [0; RECEIVE],
            transmit: [0; TRANSMIT],
            tcp: [[0; TCP]; 2],
            // Not a catalogue yet: its currency alone would make all of this a constant for the flash.
            catalogue: None,
        }
    }
}

/// Why the till cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The queue does not open.
    Open,
    /// An acked event cannot be deleted.
    Delete,
    /// An event cannot be kept.
    Keep,
    /// A kept event cannot be read.
    Read,
    /// The epoch has no more numbers.
    NumbersUsedUp,
    /// An event does not fit the wire.
    BeyondWire,
    /// The MQTT client does not take its settings.
    Client,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "the flash does not open",
            Self::Delete => "the flash does not delete",
            Self::Keep => "the flash does not take events",
            Self::Read => "the queue cannot be read",
            Self::NumbersUsedUp => "the epoch's numbers are used up",
            Self::BeyondWire => "an event is beyond the wire's bounds",
            Self::Client => "the client's settings",
        })
    }
}

impl core::error::Error for Trouble {}

/// Who the till is, and where the MQTT broker is.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The shop.
    pub store: Name<'a>,
    /// The terminal.
    pub device: Name<'a>,
    /// The MQTT broker.
    pub broker: Ipv4Address,
    /// Its port.
    pub port: u16,
    /// The network card's address.
    pub mac: [u8; 6],
}

/// The till and all that belongs to it but the network.
struct Device<'b, B, P, F: MultiwriteNorFlash, const PAGES: usize> {
    board: &'b B,
    person: P,
    till: Till,
    catalogue: &'b mut Catalogue<PRODUCTS>,
    queue: SaleQueue<F, PAGES>,
    uplink: Uplink,
    random: Random,
    /// The event that comes next has no room.
    is_full: bool,
    /// Of the link, and of the whole board: what only acks feed.
    dogs: [Cell<Watchdog>; 2],
}

/// Opens the queue on `range` of the flash and says what it holds. `epoch` is random: of a queue that is new.
///
/// # Errors
/// The flash does not suit, or fails.
// What it needs of the stack is free again for the loop.
#[inline(never)]
pub fn open<B: Board, F: MultiwriteNorFlash, const PAGES: usize>(
    board: &B,
    flash: F,
    range: Range<u32>,
    epoch: u32,
    (store, device): (Name<'_>, Name<'_>),
) -> Result<(SaleQueue<F, PAGES>, Opened), Trouble> {
    let (queue, opened) = block_on(SaleQueue::open(flash, range, epoch)).map_err(|_| Trouble::Open)?;
    let found = match opened {
        Opened::Found => "Found",
        Opened::Formatted => "Formatted",
    };
    board.say(format_args!(
        "till: {store}/{device} {found}: epoch {:08x}, newest {}, unacked {}",
        queue.epoch(),
        queue.newest(),
        queue.len()
    ));
    Ok((queue, opened))
}

/// A catalogue with something in it. In a function of its own: what is moved there is on the stack twice.
#[inline(never)]
fn stock(place: &mut Option<Catalogue<PRODUCTS>>) -> &mut Catalogue<PRODUCTS> {
    let catalogue = place.insert(Catalogue::new(Currency::EUR));
    Autopilot::stock(catalogue);
    catalogue
}

/// A client for that terminal, with its last will.
#[inline(never)]
fn session<'m>(identity: &Identity, buffers: MqttBuffers<'m>) -> Option<Session<'m>> {
    let will = Will::new(&identity.status, OFFLINE, &[]).ok()?;
    let config = ConfigBuilder::new(buffers).client_id(&identity.client_id).ok()?;
    let config = config.will(will.qos(minimq::QoS::AtLeastOnce).retained()).ok()?;
    Some(Session::new(config))
}

/// Runs until the person is done and all is acked; for ever if there is no end to the sales.
///
/// # Errors
/// The flash fails, or numbers have run out: a person has to look.
pub fn run<B, D, P, F, const PAGES: usize>(
    board: &B,
    card: D,
    link: Link<'_>,
    queue: SaleQueue<F, PAGES>,
    person: P,
    mut random: Random,
    memory: &mut Memory,
) -> Result<(), Trouble>
where
    B: Board,
    D: phy::Device,
    P: Person,
    F: MultiwriteNorFlash,
{
    let [receive, transmit] = &mut memory.tcp;
    let socket = tcp::Socket::new(
        tcp::SocketBuffer::new(&mut receive[..]),
        tcp::SocketBuffer::new(&mut transmit[..]),
    );
    let mut storage = [SocketStorage::EMPTY; 2];
    let sockets = SocketSet::new(&mut storage[..]);
    let net = Net::new(board, card, link.mac, random.next_u64(), sockets, socket);
    let catalogue = stock(&mut memory.catalogue);
    let mut device = Device::new(board, person, link, catalogue, queue, random);
    let mut backoff = Backoff::new(100, 5_000);
    loop {
        let buffers = MqttBuffers::new(&mut memory.receive, &mut memory.transmit);
        let mut session = session(device.uplink.identity(), buffers).ok_or(Trouble::Client)?;
        match device.converse(&net, &mut session, link, &mut memory.frame) {
            Ok(()) => {
                board.say(format_args!(
                    "till: done: newest {}, all acked",
                    device.queue.newest()
                ));
                return Ok(());
            }
            Err(Interruption::Fatal(trouble)) => return Err(trouble),
            Err(Interruption::Link(trouble)) => board.say(format_args!("till: {trouble}")),
        }
        let until = board.millis() + backoff.wait(device.random.next_u32());
        while board.millis() < until {
            net.poll();
            device.sell_offline(&mut memory.frame)?;
        }
        if device.queue.is_empty() || backoff.failures() > 8 {
            backoff.reset();
        }
    }
}

/// An MQTT connection over the network.
type Mqtts<'s, 'm, 'c, 'n, B, D> = minimq::Connection<'s, 'm, net::Connection<'c, 'n, B, D>>;

const SILENT: Interruption = Interruption::Link("the MQTT broker is silent");

/// What ends a connection.
#[derive(Clone, Copy)]
enum Interruption {
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
    // What it needs of the stack is free again for the loop, as with the other functions here that are never inlined:
    // the depth is that of one step, not of all together.
    #[inline(never)]
    fn new(
        board: &'b B,
        person: P,
        link: Link<'_>,
        catalogue: &'b mut Catalogue<PRODUCTS>,
        queue: SaleQueue<F, PAGES>,
        random: Random,
    ) -> Self {
        Self {
            board,
            person,
            till: Till::new(Ids::new(link.store, link.device, queue.epoch()), Currency::EUR),
            catalogue,
            uplink: Uplink::new(link.store, link.device, &queue, PACE),
            queue,
            random,
            is_full: false,
            dogs: [PATIENCE, LAST_PATIENCE]
                .map(|patience| Cell::new(Watchdog::new(patience, board.millis()))),
        }
    }

    /// Sells what is due: its events are in the queue for good when this returns.
    #[inline(never)]
    fn sell(&mut self, buffer: &mut [u8; MAX_FRAME]) -> Result<(), Trouble> {
        let now = self.board.millis();
        if !self
            .person
            .act(&mut self.till, self.catalogue, self.queue.newest(), now)
        {
            return Ok(());
        }
        let Some(seq) = self.queue.next_seq() else {
            return Err(Trouble::NumbersUsedUp);
        };
        let header = Header {
            epoch: self.queue.epoch(),
            seq,
            oldest: self.uplink.window().oldest(),
            // The machine has no clock of the day.
            time_ms: 0,
        };
        let frame = self.till.event(seq, |event| {
            let order = heapless::String::<MAX_ID>::try_from(event.order_id()).unwrap_or_default();
            encode(&header, event, buffer).map(|frame| (frame.len(), event.kind(), order))
        });
        let (len, kind, order) = match frame {
            Some(Ok(kept)) => kept,
            Some(Err(_)) => return Err(Trouble::BeyondWire),
            None => return Ok(()),
        };
        match block_on(self.queue.push(seq, &buffer[..len])) {
            Ok(()) => {
                self.is_full = false;
                self.till.queued(seq);
                self.uplink.sold();
                self.person.kept(self.board.millis());
                self.board
                    .say(format_args!("till: sold {seq} {kind} {order} kept"));
                Ok(())
            }
            // The event waits at the till until there is room.
            Err(QueueError::Full) => {
                self.is_full = true;
                Ok(())
            }
            Err(_) => Err(Trouble::Keep),
        }
    }

    /// A turn while there is no connection: a till sells through any outage.
    fn sell_offline(&mut self, frame: &mut [u8; MAX_FRAME]) -> Result<(), Trouble> {
        let state = if self.is_full { State::Full } else { State::Offline };
        // There is no link that could be made anew.
        let _ = self.turn(state);
        self.sell(frame)
    }

    /// An ack made events safe.
    fn feed(&self) {
        for cell in &self.dogs {
            let mut dog = cell.get();
            dog.feed(self.board.millis());
            cell.set(dog);
        }
    }

    /// Shows the state and feeds the board's watchdog, unless nothing was acked for far too long. Gives whether
    /// the link is to be made anew; its patience then begins again, the board's does not.
    fn turn(&self, state: State) -> bool {
        let (now, unacked) = (self.board.millis(), self.queue.len());
        self.board.show(state);
        let [of_link, of_board] = &self.dogs;
        let mut dog = of_board.get();
        if !dog.expired(now, unacked) {
            self.board.alive();
        }
        of_board.set(dog);
        let mut dog = of_link.get();
        let expired = dog.expired(now, unacked);
        if expired {
            dog.feed(now);
        }
        of_link.set(dog);
        expired
    }

    /// One connection, from its making to its end. `Ok`: all is sold and acked.
    #[inline(never)]
    fn converse<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        session: &mut Session<'_>,
        link: Link<'_>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<(), Interruption> {
        let mut connection = self.connect(net, session, link, frame)?;
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
    ) -> Result<Mqtts<'s, 'm, 'c, 'n, B, D>, Interruption> {
        let (broker, random) = (IpAddress::Ipv4(link.broker), self.random.next_u32());
        let mut sold = Ok(());
        let mut sell = || {
            if sold.is_ok() {
                sold = self.sell_offline(frame);
            }
        };
        let connection = net.connect(broker, link.port, random, CONNECT, &mut sell);
        let connection = connection.map(|connection| net.drive(session.connect(connection), CONNECT, sell));
        sold.map_err(Interruption::Fatal)?;
        let mut connection = connection
            .map_err(|_| Interruption::Link("the MQTT broker is not there"))?
            .ok_or(SILENT)?
            .map_err(|_| Interruption::Link("the MQTT broker refuses the connection"))?;
        net.drive(self.uplink.greet(&mut Mqtt(&mut connection)), STEP, || {})
            .ok_or(SILENT)?
            .map_err(|_| Interruption::Link("the MQTT broker refuses the subscription"))?;
        Ok(connection)
    }

    /// Publishes the next event, if there is one to be published now.
    #[inline(never)]
    fn speak<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        connection: &mut Mqtts<'_, '_, '_, '_, B, D>,
        frame: &mut [u8; MAX_FRAME],
    ) -> Result<(), Interruption> {
        let (now, random, mut mqtt) = (self.board.millis(), self.random.next_u32(), Mqtt(connection));
        let spoke = self.uplink.speak(&mut mqtt, &mut self.queue, now, random, frame);
        match net.drive(spoke, STEP, || {}).ok_or(SILENT)?? {
            Spoke::Published { .. } | Spoke::Nothing => {}
            Spoke::Lost { seq } => self.board.say(format_args!("till: {seq} was damaged on flash")),
        }
        Ok(())
    }

    /// Takes in what arrives within the turn.
    #[inline(never)]
    fn listen<D: phy::Device>(
        &mut self,
        net: &Net<'_, B, D>,
        connection: &mut Mqtts<'_, '_, '_, '_, B, D>,
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
                "till: acked beyond what was sold: was this seed used before?"
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
    fn part<D: phy::Device>(&mut self, net: &Net<'_, B, D>, mut connection: Mqtts<'_, '_, '_, '_, B, D>) {
        let parted = net.drive(self.uplink.part(&mut Mqtt(&mut connection)), STEP, || {});
        let left = net.drive(connection.disconnect(), STEP, || {});
        let _ = (parted, left);
    }
}
