//! The main loop: sells, publishes, forgets what is acked, whatever the network does.

use core::fmt::{self, Write};
use core::ops::Range;

use comptoir_link::{Backoff, Identity, Millis, OFFLINE};
use comptoir_queue::{Opened, SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Catalogue, Random};
use comptoir_wire::topic::Name;
use comptoir_wire::{Command, Currency, MAX_FRAME};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use heapless::String;
use minimq::{Buffers as MqttBuffers, ConfigBuilder, Session, Will};
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::phy;
use smoltcp::socket::tcp;
use smoltcp::wire::Ipv4Address;

use crate::conversation::Interruption;
use crate::device::Device;
use crate::net::Net;
use crate::resume::SESSION_EXPIRY;
use crate::{Board, Person};

/// What a till can sell.
pub const PRODUCTS: usize = 64;
/// The client's memory: a command, or a frame, and its topic, with something to spare. The client tells the MQTT
/// broker the largest packet that it takes.
const RECEIVE: usize = Command::MAX_BYTES + 256;
const TRANSMIT: usize = MAX_FRAME + 512;
/// Bytes on their way to the MQTT broker, and from it: more than a segment of Ethernet's size each.
const TCP: usize = 1536;

/// Bytes of a user's name, at most.
const USER: usize = 2 * 32 + 1;
/// Milliseconds of a connection after which the next attempt is made soon.
const HELD: Millis = 5_000;

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
#[derive(Clone, Copy)]
pub struct Link<'a> {
    /// The shop.
    pub store: Name<'a>,
    /// The terminal.
    pub device: Name<'a>,
    /// For the MQTT broker, as the user `{store}/{device}`; empty: it asks nobody who he is.
    pub password: &'a str,
    /// The MQTT broker.
    pub broker: Ipv4Address,
    /// Its port.
    pub port: u16,
    /// The network card's address.
    pub mac: [u8; 6],
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

/// A client for that terminal, with its last will, which is retained where the MQTT broker does that. Its settings take some of the stack as long as this runs.
#[inline(never)]
fn session<'m>(
    identity: &Identity,
    (user, password): (&'m str, &'m str),
    buffers: MqttBuffers<'m>,
    retains: bool,
) -> Option<Session<'m>> {
    let will = Will::new(&identity.status, OFFLINE, &[]).ok()?;
    let will = if retains { will.retained() } else { will };
    let config = ConfigBuilder::new(buffers).client_id(&identity.client_id).ok()?;
    let config = config.session_expiry_interval(SESSION_EXPIRY);
    let config = config.will(will.qos(minimq::QoS::AtLeastOnce)).ok()?;
    let config = match password {
        "" => config,
        _ => config.auth(user, password.as_bytes()).ok()?,
    };
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
    let mut user = String::<USER>::new();
    // Two names and what stands between them.
    let _ = write!(user, "{}/{}", link.store, link.device);
    let mut backoff = Backoff::new(100, 5_000);
    loop {
        let buffers = MqttBuffers::new(&mut memory.receive, &mut memory.transmit);
        let login = (user.as_str(), link.password);
        let mut session =
            session(device.uplink.identity(), login, buffers, device.retains).ok_or(Trouble::Client)?;
        let acked = device.queue.acked();
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
        // Who throws the till off at once is not asked all the time, unless something gets through.
        let held = device.connected.map_or(0, |since| board.millis() - since);
        if held > HELD || device.queue.acked() > acked {
            backoff.reset();
        }
        let until = board.millis() + backoff.wait(device.random.next_u32());
        while board.millis() < until {
            net.poll();
            device.sell_offline(&mut memory.frame)?;
        }
    }
}
