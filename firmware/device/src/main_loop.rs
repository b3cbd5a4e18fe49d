//! The main loop: sells, publishes, and deletes what is acked, whatever the network does.

use core::fmt::{self, Write};
use core::ops::Range;

use comptoir_link::{Backoff, Identity, Millis, OFFLINE};
use comptoir_queue::{OpenOutcome, SaleQueue, block_on};
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
use crate::{Board, Operator};

/// Maximum number of articles in the catalogue.
pub const PRODUCTS: usize = 64;
/// The MQTT client's buffers: the largest command or frame, its topic, and some spare bytes. The client announces its
/// maximum packet size to the MQTT broker.
const RECEIVE: usize = Command::MAX_BYTES + 256;
const TRANSMIT: usize = MAX_FRAME + 512;
/// TCP buffers in each direction: more than a segment on Ethernet.
const TCP: usize = 1536;

/// Maximum length of the MQTT user name `{store}/{device}`.
const USER: usize = 2 * 32 + 1;
/// A connection that lasted longer than this many milliseconds resets the backoff.
const STABLE: Millis = 5_000;

/// Buffers that are too large for the stack.
pub struct Memory {
    frame: [u8; MAX_FRAME],
    receive: [u8; RECEIVE],
    transmit: [u8; TRANSMIT],
    tcp: [[u8; TCP]; 2],
    catalogue: Option<Catalogue<PRODUCTS>>,
}

impl Memory {
    /// Empty buffers.
    #[expect(
        clippy::new_without_default,
        reason = "a default would be constructed on the stack"
    )]
    pub const fn new() -> Self {
        Self {
            frame: [0; MAX_FRAME],
            receive: [0; RECEIVE],
            transmit: [0; TRANSMIT],
            tcp: [[0; TCP]; 2],
            // A catalogue contains a currency, which is not zero, so the whole static would be stored in flash.
            catalogue: None,
        }
    }
}

/// Why the till cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The queue cannot be opened.
    Open,
    /// An acked event cannot be deleted.
    Delete,
    /// An event cannot be stored.
    Store,
    /// The queue cannot be read.
    Read,
    /// The epoch has no numbers left.
    EpochExhausted,
    /// An event is outside the wire's bounds.
    Encode,
    /// The MQTT client rejects its configuration.
    ClientConfig,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "cannot open the queue",
            Self::Delete => "cannot delete from flash",
            Self::Store => "cannot write to flash",
            Self::Read => "cannot read the queue",
            Self::EpochExhausted => "no numbers left",
            Self::Encode => "event out of bounds",
            Self::ClientConfig => "MQTT settings too long",
        })
    }
}

impl core::error::Error for DeviceError {}

/// The till's names, and the address of its MQTT broker.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    /// The store.
    pub store: Name<'a>,
    /// The till.
    pub device: Name<'a>,
    /// Password of the MQTT user `{store}/{device}`; empty to connect without authentication.
    pub password: &'a str,
    /// The MQTT broker's address.
    pub broker: Ipv4Address,
    /// The MQTT broker's port.
    pub port: u16,
    /// The network card's MAC address.
    pub mac: [u8; 6],
}

/// Opens the queue on `range` of the flash and logs what it holds. `epoch` is a random number that a new queue gets.
///
/// # Errors
/// The range is unsuitable, or the flash fails.
// Not inlined, so that the main loop gets the stack space back.
#[inline(never)]
pub fn open<B: Board, F: MultiwriteNorFlash, const PAGES: usize>(
    board: &B,
    flash: F,
    range: Range<u32>,
    epoch: u32,
    (store, device): (Name<'_>, Name<'_>),
) -> Result<(SaleQueue<F, PAGES>, OpenOutcome), DeviceError> {
    let (queue, opened) = block_on(SaleQueue::open(flash, range, epoch)).map_err(|_| DeviceError::Open)?;
    let outcome = match opened {
        OpenOutcome::Found => "Found",
        OpenOutcome::Formatted => "Formatted",
    };
    board.log(format_args!(
        "till: {store}/{device} {outcome}: epoch {:08x}, newest {}, unacked {}",
        queue.epoch(),
        queue.newest(),
        queue.len()
    ));
    Ok((queue, opened))
}

/// Constructs the catalogue in place. Not inlined, because a moved catalogue would be on the stack twice.
#[inline(never)]
fn fill_catalogue(place: &mut Option<Catalogue<PRODUCTS>>) -> &mut Catalogue<PRODUCTS> {
    let catalogue = place.insert(Catalogue::new(Currency::EUR));
    Autopilot::fill(catalogue);
    catalogue
}

/// The MQTT session of that till, with its last will, which is retained unless the MQTT broker refuses that. Not inlined,
/// because the configuration takes stack space that the main loop needs.
#[inline(never)]
fn session<'m>(
    identity: &Identity,
    (user, password): (&'m str, &'m str),
    buffers: MqttBuffers<'m>,
    broker_retains: bool,
) -> Option<Session<'m>> {
    let will = Will::new(&identity.status, OFFLINE, &[]).ok()?;
    let will = if broker_retains { will.retained() } else { will };
    let config = ConfigBuilder::new(buffers).client_id(&identity.client_id).ok()?;
    let config = config.session_expiry_interval(SESSION_EXPIRY);
    let config = config.will(will.qos(minimq::QoS::AtLeastOnce)).ok()?;
    let config = match password {
        "" => config,
        _ => config.auth(user, password.as_bytes()).ok()?,
    };
    Some(Session::new(config))
}

/// Runs until no more sales will come and everything is acked; for ever if sales never end.
///
/// # Errors
/// The flash fails, or the epoch has no numbers left. A person has to look at the till.
pub fn run<B, D, P, F, const PAGES: usize>(
    board: &B,
    card: D,
    link: Link<'_>,
    queue: SaleQueue<F, PAGES>,
    operator: P,
    mut random: Random,
    memory: &mut Memory,
) -> Result<(), DeviceError>
where
    B: Board,
    D: phy::Device,
    P: Operator,
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
    let catalogue = fill_catalogue(&mut memory.catalogue);
    let mut device = Device::new(board, operator, link, catalogue, queue, random);
    let mut user = String::<USER>::new();
    // Two names and a slash fit.
    let _ = write!(user, "{}/{}", link.store, link.device);
    let mut backoff = Backoff::new(100, 5_000);
    loop {
        let buffers = MqttBuffers::new(&mut memory.receive, &mut memory.transmit);
        let login = (user.as_str(), link.password);
        let mut session = session(device.uplink.identity(), login, buffers, device.broker_retains)
            .ok_or(DeviceError::ClientConfig)?;
        let acked = device.queue.acked();
        match device.converse(&net, &mut session, link, &mut memory.frame) {
            Ok(()) => {
                board.log(format_args!(
                    "till: done: newest {}, all acked",
                    device.queue.newest()
                ));
                return Ok(());
            }
            Err(Interruption::Fatal(error)) => return Err(error),
            Err(Interruption::Link(reason)) => board.log(format_args!("till: {reason}")),
        }
        // A broker that disconnects the till at once is tried less and less often, unless events get through.
        let lasted = device.connected_at.map_or(0, |since| board.millis() - since);
        if lasted > STABLE || device.queue.acked() > acked {
            backoff.reset();
        }
        let until = board.millis() + backoff.next_delay(device.random.next_u32());
        while board.millis() < until {
            net.poll();
            device.sell_offline(&mut memory.frame)?;
        }
    }
}
