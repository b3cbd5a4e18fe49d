//! The main loop: sells, publishes, forgets what is acked, whatever the network does.

use core::cell::Cell;

use comptoir_link::{Backoff, Heard, LinkError, OFFLINE, Settings as Pace, Spoke, Uplink, Watchdog};
use comptoir_queue::{QueueError, SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Catalogue, Ids, Random, Till};
use comptoir_wire::{Command, Currency, Header, MAX_FRAME, MAX_ID, encode};
use minimq::{Buffers as MqttBuffers, ConfigBuilder, Session, Will};
use smoltcp::iface::SocketSet;
use smoltcp::iface::SocketStorage;
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, Ipv4Address};

use crate::flash::{Flash, FlashError, SECTOR};
use crate::machine::millis;
use crate::mqtt::{Mqtt, MqttError};
use crate::net::Net;
use crate::nic::{Buffers as Packets, Nic};
use crate::say;
use crate::settings::{self, Settings};

/// Sectors of the queue: two for its notes, six for events.
const SECTORS: usize = 6;
#[expect(clippy::cast_possible_truncation, reason = "2 MiB")]
const FLASH: core::ops::Range<u32> = 0..((2 + SECTORS) * SECTOR) as u32;
/// QEMU's user network: the host's loopback.
const HOST: IpAddress = IpAddress::Ipv4(Ipv4Address::new(10, 0, 2, 2));
/// minimq keeps eight publishes until their PUBACK.
const PACE: Pace = Pace {
    window: 8,
    resend: 2_000,
    resend_max: 30_000,
};
/// Milliseconds: for a connection, for a step of the client, for acks while events wait.
const CONNECT: u64 = 5_000;
const STEP: u64 = 5_000;
const TURN: u64 = 2;
const PATIENCE: u64 = 120_000;
/// The client's memory: a frame and its topic, with something to spare.
const PACKET: usize = MAX_FRAME + 512;

type Queue = SaleQueue<Flash, SECTORS>;

/// What is too large for the stack.
struct Memory {
    packets: Packets,
    frames: [[u8; MAX_FRAME]; 2],
    receive: [u8; PACKET],
    transmit: [u8; PACKET],
    tcp: [[u8; 4096]; 2],
    settings: [u8; 256],
}

/// The till and all that belongs to it but the network.
struct Device {
    till: Till,
    catalogue: Catalogue<64>,
    autopilot: Autopilot,
    queue: Queue,
    uplink: Uplink,
    random: Random,
    next_sale: u64,
}

/// Runs until all is sold and acked; for ever if the settings say so.
pub fn run() -> Result<(), &'static str> {
    static mut MEMORY: Memory = Memory {
        packets: Packets::new(),
        frames: [[0; MAX_FRAME]; 2],
        receive: [0; PACKET],
        transmit: [0; PACKET],
        tcp: [[0; 4096]; 2],
        settings: [0; 256],
    };
    // SAFETY: `run` is called once, by the entry.
    let memory = unsafe { &mut *(&raw mut MEMORY) };
    // SAFETY: as above, once.
    let mut flash = unsafe { Flash::take() };
    let text =
        block_on(settings::text(&mut flash, &mut memory.settings)).map_err(|_| "the flash cannot be read")?;
    let text = core::str::from_utf8(text).map_err(|_| "settings: not UTF-8")?;
    let settings = Settings::parse(text).map_err(|pair| {
        say!("till: settings: {pair}");
        "settings"
    })?;
    let mut random = Random::new(settings.seed);
    let (queue, opened) =
        block_on(Queue::open(flash, FLASH, random.next_u32())).map_err(|_| "the flash does not open")?;
    say!(
        "till: {}/{} {opened:?}: epoch {:08x}, newest {}, unacked {}",
        settings.store,
        settings.device,
        queue.epoch(),
        queue.newest(),
        queue.len()
    );
    let ids = Ids::new(settings.store, settings.device, queue.epoch());
    let mut catalogue = Catalogue::new(Currency::EUR);
    Autopilot::stock(&mut catalogue);
    let mut device = Device {
        till: Till::new(ids, Currency::EUR),
        catalogue,
        autopilot: Autopilot::new(settings.seed, queue.newest(), settings.long_every),
        uplink: Uplink::new(settings.store, settings.device, &queue, PACE),
        // Another start has other jitter.
        random: Random::new(settings.seed ^ u64::from(queue.newest()) ^ crate::machine::micros()),
        queue,
        next_sale: 0,
    };
    let nic = Nic::find(&mut memory.packets).ok_or("there is no network card")?;
    let [receive, transmit] = &mut memory.tcp;
    let socket = tcp::Socket::new(
        tcp::SocketBuffer::new(&mut receive[..]),
        tcp::SocketBuffer::new(&mut transmit[..]),
    );
    let mut storage = [SocketStorage::EMPTY; 2];
    let net = Net::new(
        &nic,
        device.random.next_u64(),
        SocketSet::new(&mut storage[..]),
        socket,
    );
    let mut backoff = Backoff::new(100, 5_000);
    let watchdog = Cell::new(Watchdog::new(PATIENCE, millis()));
    loop {
        let identity = device.uplink.identity().clone();
        let will = Will::new(&identity.status, OFFLINE, &[]).map_err(|_| "the last will")?;
        let config = ConfigBuilder::new(MqttBuffers::new(&mut memory.receive, &mut memory.transmit))
            .client_id(&identity.client_id)
            .and_then(|config| config.will(will.qos(minimq::QoS::AtLeastOnce).retained()))
            .map_err(|_| "the client's settings")?;
        let mut session = Session::new(config);
        match device.converse(&net, &mut session, &settings, &mut memory.frames, &watchdog) {
            Ok(()) => {
                say!("till: done: newest {}, all acked", device.queue.newest());
                return Ok(());
            }
            Err(Interruption::Fatal(trouble)) => return Err(trouble),
            Err(Interruption::Link(trouble)) => say!("till: {trouble}"),
        }
        let until = millis() + backoff.wait(device.random.next_u32());
        while millis() < until {
            net.poll();
            device.sell(&settings, &mut memory.frames[0])?;
        }
        if device.queue.is_empty() || backoff.failures() > 8 {
            backoff.reset();
        }
    }
}

/// What ends a connection.
enum Interruption {
    /// Another is to be made.
    Link(&'static str),
    /// The till cannot go on.
    Fatal(&'static str),
}

impl From<LinkError<MqttError, FlashError>> for Interruption {
    fn from(error: LinkError<MqttError, FlashError>) -> Self {
        match error {
            LinkError::Mqtt(_) => Self::Link("the connection is lost"),
            LinkError::Queue(_) => Self::Fatal("the queue cannot be read"),
        }
    }
}

impl Device {
    /// Sells what is due: its events are in the queue for good when this returns.
    fn sell(&mut self, settings: &Settings<'_>, buffer: &mut [u8; MAX_FRAME]) -> Result<(), &'static str> {
        let over = settings.events > 0 && self.queue.newest() >= settings.events;
        if over || millis() < self.next_sale {
            return Ok(());
        }
        self.autopilot.act(&mut self.till, &self.catalogue);
        let Some(seq) = self.queue.next_seq() else {
            return Err("the epoch's numbers are used up");
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
            Some(Err(_)) => return Err("an event is beyond the wire's bounds"),
            None => return Ok(()),
        };
        match block_on(self.queue.push(seq, &buffer[..len])) {
            Ok(()) => {
                self.till.queued(seq);
                self.uplink.sold();
                self.next_sale = millis() + settings.pace;
                say!("till: sold {seq} {kind} {order} kept");
                Ok(())
            }
            // The event waits at the till until there is room.
            Err(QueueError::Full) => Ok(()),
            Err(_) => Err("the flash does not take events"),
        }
    }

    /// One connection, from its making to its end. `Ok`: all is sold and acked.
    fn converse(
        &mut self,
        net: &Net<'_>,
        session: &mut Session<'_>,
        settings: &Settings<'_>,
        frames: &mut [[u8; MAX_FRAME]; 2],
        watchdog: &Cell<Watchdog>,
    ) -> Result<(), Interruption> {
        let silent = || Interruption::Link("the MQTT broker is silent");
        let connection = net
            .connect(HOST, settings.port, self.random.next_u32(), CONNECT)
            .map_err(|_| Interruption::Link("the MQTT broker is not there"))?;
        let mut connection = net
            .drive(session.connect(connection), CONNECT)
            .ok_or_else(silent)?
            .map_err(|_| Interruption::Link("the MQTT broker refuses the connection"))?;
        net.drive(self.uplink.greet(&mut Mqtt(&mut connection)), STEP)
            .ok_or_else(silent)?
            .map_err(|_| Interruption::Link("the MQTT broker refuses the subscription"))?;
        say!("till: connected");
        loop {
            self.sell(settings, &mut frames[0]).map_err(Interruption::Fatal)?;
            let mut mqtt = Mqtt(&mut connection);
            let random = self.random.next_u32();
            let spoke = self
                .uplink
                .speak(&mut mqtt, &mut self.queue, millis(), random, frames);
            match net.drive(spoke, STEP).ok_or_else(silent)?? {
                Spoke::Published { .. } | Spoke::Nothing => {}
                Spoke::Lost { seq } => say!("till: {seq} was damaged on flash"),
            }
            // What arrives within the turn; the client's reading may be broken off.
            let received = match net.drive(connection.poll(), TURN) {
                None => None,
                Some(Ok(received)) => received,
                Some(Err(_)) => return Err(Interruption::Link("the connection is lost")),
            };
            if let Some(message) = received {
                let random = self.random.next_u32();
                match self
                    .uplink
                    .hear(message.topic(), message.payload(), millis(), random)
                {
                    Heard::Safe(seq) => {
                        let mut dog = watchdog.get();
                        dog.feed(millis());
                        watchdog.set(dog);
                        block_on(self.queue.delete_through(seq))
                            .map_err(|_| Interruption::Fatal("the flash does not delete"))?;
                        say!("till: acked {seq}");
                    }
                    Heard::Command(Command::PriceList(list)) => match self.catalogue.take(&list) {
                        Ok(taken) => say!("till: {taken} new prices"),
                        Err(_) => say!("till: prices in another currency"),
                    },
                    Heard::Command(Command::Message(message)) => say!("till: message: {}", message.text),
                    Heard::Command(Command::OrderStatus(change)) => {
                        say!("till: order {} is {}", change.order_id, change.status);
                    }
                    Heard::ForeignAck => say!("till: acked beyond what was sold: was this seed used before?"),
                    Heard::Garbled(_) => say!("till: a message that is not understood"),
                    Heard::OldAck | Heard::Other => {}
                }
            }
            let mut dog = watchdog.get();
            if dog.expired(millis(), self.queue.len()) {
                dog.feed(millis());
                watchdog.set(dog);
                return Err(Interruption::Link(
                    "no ack for too long: once more from the start",
                ));
            }
            watchdog.set(dog);
            if settings.events > 0 && self.queue.newest() >= settings.events && self.queue.is_empty() {
                let parted = net.drive(self.uplink.part(&mut Mqtt(&mut connection)), STEP);
                let left = net.drive(connection.disconnect(), STEP);
                // All that mattered is acked.
                drop((parted, left));
                return Ok(());
            }
        }
    }
}
