//! Complete tills (till, flash queue, uplink) in a simulated world without clock and network, under seeded faults of all
//! kinds, against a gateway that accepts events in order. No confirmed event is missing, duplicated or out of order.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, VecDeque};

use comptoir_link::{Draft, InboundMessage, LinkError, SendOutcome, Settings, Uplink, Watchdog};
use comptoir_queue::{OpenOutcome, QueueError, RamError, RamFlash, SaleQueue, block_on};
use comptoir_sim::faults::{BitFlips, Dice, Fate, Faults, Kind};
use comptoir_terminal::{Autopilot, Catalogue, Ids, Random, Till};
use comptoir_wire::topic::Name;
use comptoir_wire::{Ack, Currency, MAX_FRAME, decode, set_oldest};
use embedded_svc::mqtt::client::asynch::{Client, Publish};
use embedded_svc::mqtt::client::{ErrorType, MessageId, QoS};

const PAGES: usize = 62;
const LEN: u32 = 64 * 4096;
const PERCENT: u8 = 5;
const SETTINGS: Settings = Settings {
    window: 16,
    resend: 50,
    resend_max: 400,
};
/// A connection is given up after this long without an ack while events wait.
const ACK_TIMEOUT: u64 = 1_000;
/// The usual duration of a hang, and the occasional one, which exceeds the timeout.
const HANG: u64 = 60;
const LONG_HANG: u64 = 2 * ACK_TIMEOUT;

type Flash = RamFlash<Vec<u8>>;
type Queue<'f> = SaleQueue<&'f mut Flash, PAGES>;

#[derive(Debug)]
struct Disconnected;

/// The frame with `oldest` set to 1. `oldest` depends on when the frame is sent, so frames are compared without it.
fn without_oldest(frame: &[u8]) -> Vec<u8> {
    let mut buffer = frame.to_vec();
    set_oldest(&mut buffer, frame.len(), 1).unwrap().to_vec()
}

/// A random bit among those in use.
fn used_bit(flash: &Flash, random: u64) -> u64 {
    const CHUNK: usize = 256;
    let chunks = flash.memory().chunks(CHUNK).enumerate();
    let used = chunks.filter(|(_, chunk)| chunk.iter().any(|&byte| byte != 0xff));
    let used: Vec<usize> = used.map(|(at, _)| at).collect();
    let bits = 8 * CHUNK as u64;
    let chunk = used[usize::try_from(random / bits).unwrap() % used.len()] as u64;
    chunk * bits + random % bits
}

/// A network that drops, duplicates, delays, hangs and breaks, and a gateway at its end.
struct World {
    random: Random,
    dice: Dice,
    now: u64,
    /// Events in transit, each with its time of arrival.
    events: Vec<(u64, Vec<u8>)>,
    acks: VecDeque<(u64, Ack)>,
    /// The connection passes nothing until then.
    hangs_until: u64,
    bit_flips: BitFlips,
    journal: BTreeMap<u32, Vec<u8>>,
    /// The highest number in the journal.
    newest: u32,
    faults: BTreeMap<&'static str, u32>,
}

impl World {
    fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Ends the connection; everything in transit is lost.
    fn disconnect(&mut self) {
        self.events.clear();
        self.acks.clear();
        self.hangs_until = self.now;
    }

    /// Advances the time. The gateway stores the events that have arrived, in order only, and acks them.
    fn turn(&mut self) {
        self.now += 1;
        if self.now < self.hangs_until {
            return;
        }
        let (due, later): (Vec<_>, _) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|(at, _)| *at <= self.now);
        self.events = later;
        for (_, payload) in due {
            let header = decode(&payload).unwrap().header;
            assert!(
                header.oldest <= self.newest + 1,
                "the till deleted an event that the gateway does not have"
            );
            let frame = without_oldest(&payload);
            if header.seq == self.newest + 1 {
                self.newest = header.seq;
                self.journal.insert(header.seq, frame);
            } else if let Some(stored) = self.journal.get(&header.seq) {
                assert_eq!(*stored, frame, "two events have the same name");
            }
            let ack = Ack {
                epoch: header.epoch,
                seq: self.newest,
            };
            if ack.seq > 0 && self.dice.strikes(Kind::Drop) {
                self.count("ack dropped");
            } else if ack.seq > 0 {
                self.acks.push_back((self.now + 2, ack));
            }
        }
    }
}

impl ErrorType for World {
    type Error = Disconnected;
}

impl Client for World {
    async fn subscribe(&mut self, _: &str, _: QoS) -> Result<MessageId, Disconnected> {
        Ok(0)
    }

    async fn unsubscribe(&mut self, _: &str) -> Result<MessageId, Disconnected> {
        Ok(0)
    }
}

impl Publish for World {
    async fn publish(
        &mut self,
        topic: &str,
        _: QoS,
        _: bool,
        payload: &[u8],
    ) -> Result<MessageId, Disconnected> {
        if topic.ends_with("/status") {
            return Ok(0);
        }
        let arrives = (self.now + 1, payload.to_vec());
        match self.dice.fate() {
            Fate::Arrives => self.events.push(arrives),
            Fate::Lost => self.count("dropped"),
            Fate::Twice => {
                self.count("doubled");
                self.events.extend([arrives, (self.now + 7, payload.to_vec())]);
            }
            Fate::Late => {
                self.count("delayed");
                self.events.push((self.now + 30, payload.to_vec()));
            }
            Fate::Hangs => {
                let hang = self.dice.hang(HANG, LONG_HANG);
                self.count(if hang > HANG { "hung for long" } else { "hung" });
                self.hangs_until = self.now + hang;
            }
            Fate::Breaks => {
                self.count("broken");
                return Err(Disconnected);
            }
        }
        Ok(0)
    }
}

/// Runs a till until its power is cut. Returns `Ok` once everything is sold and acked.
fn run_until_power_cut(
    flash: &mut Flash,
    world: &mut World,
    confirmed: &mut BTreeMap<u32, Vec<u8>>,
    device: &str,
    events: u32,
) -> Result<(), QueueError<RamError>> {
    let (store, device) = (Name::new("paris-1").unwrap(), Name::new(device).unwrap());
    let epoch = world.random.next_u32();
    let (mut queue, outcome): (Queue<'_>, _) = block_on(SaleQueue::open(flash, 0..LEN, epoch))?;
    assert!(outcome == OpenOutcome::Found || confirmed.is_empty());
    let mut catalogue = Catalogue::<16>::new(Currency::EUR);
    Autopilot::fill(&mut catalogue);
    let mut till = Till::new(Ids::new(store, device, queue.epoch()), Currency::EUR);
    let mut autopilot = Autopilot::new(world.random.next_u64(), queue.newest(), 40);
    let mut uplink = Uplink::new(store, device, &queue, SETTINGS);
    let mut buffer = Box::new([0; MAX_FRAME]);
    loop {
        world.disconnect();
        let _ = block_on(uplink.announce_online(world));
        let mut watchdog = Watchdog::new(ACK_TIMEOUT, world.now);
        'connected: loop {
            world.turn();
            assert!(world.now < 4_000_000, "no progress: {:?}", uplink.window());
            if queue.newest() < events {
                let has_room = block_on(queue.has_room_for_all(till.max_frame_sizes()))?;
                autopilot.act(&mut till, &catalogue, has_room);
                let time_ms = world.dice.clock(world.now).unwrap_or(world.now);
                let draft = Draft::new(&queue, &uplink).unwrap();
                let stored = till.store_next(draft.seq(), |event| {
                    let encoded = draft.encode(event, time_ms, &mut *buffer).unwrap();
                    let frame = without_oldest(encoded.frame());
                    block_on(encoded.push(&mut queue)).map(|stored| (stored, frame))
                });
                if let Some((stored, frame)) = stored.transpose()? {
                    let previous = confirmed.insert(stored.seq(), frame);
                    assert!(previous.is_none(), "a number was given twice");
                    uplink.release(stored);
                    if world.dice.strikes(Kind::Flash) {
                        let bit = used_bit(queue.flash(), world.dice.draw());
                        if world.bit_flips.admits(bit, queue.acked(), queue.newest()) {
                            world.count("bit flipped");
                            queue.flash().flip_bit(bit);
                        }
                    }
                }
            } else if queue.is_empty() {
                return Ok(());
            }
            loop {
                let random = world.random.next_u32();
                let now = world.now;
                match block_on(uplink.send_next(
                    world,
                    |Disconnected| false,
                    &mut queue,
                    now,
                    random,
                    &mut buffer,
                )) {
                    Ok(SendOutcome::Idle) => break,
                    Ok(SendOutcome::Published { .. }) => {}
                    Ok(SendOutcome::Damaged { seq }) => panic!("{seq} was lost"),
                    Err(LinkError::Mqtt(Disconnected)) => break 'connected,
                    Err(LinkError::Queue(error)) => return Err(error),
                }
            }
            while world.acks.front().is_some_and(|(at, _)| *at <= world.now) {
                let Some((_, ack)) = world.acks.pop_front() else {
                    break;
                };
                let payload = ack.encode(&mut [0; Ack::MAX_BYTES]).unwrap().to_vec();
                let topic = format!("pos/{store}/{device}/ack");
                if let InboundMessage::Acked(seq) = uplink.receive(&topic, &payload, world.now, 1 << 31) {
                    watchdog.feed(world.now);
                    block_on(queue.delete_through(seq))?;
                }
            }
            if watchdog.has_expired(world.now, queue.len()) {
                world.count("given up");
                break;
            }
        }
    }
}

fn run(tills: u32, events: u32, seed: u64) {
    let mut all = BTreeMap::<&str, u32>::new();
    for number in 0..tills {
        let mut world = World {
            random: Random::new(seed ^ (u64::from(number) << 40)),
            dice: Dice::new(Faults::all(PERCENT), seed ^ (u64::from(number) << 20)),
            now: 0,
            events: Vec::new(),
            acks: VecDeque::new(),
            hangs_until: 0,
            bit_flips: BitFlips::default(),
            journal: BTreeMap::new(),
            newest: 0,
            faults: BTreeMap::new(),
        };
        let (mut flash, mut confirmed) = (Flash::new(vec![0xff; LEN as usize]), BTreeMap::new());
        let device = format!("till-{number}");
        loop {
            // Draw for many events in advance: the flash takes only one planned power cut.
            let mut cut = (0..u32::MAX)
                .find_map(|events| Some((events, world.dice.power_cut()?)))
                .unwrap();
            cut.1.after += 8 * cut.0;
            flash.cut_power(cut.1);
            match run_until_power_cut(&mut flash, &mut world, &mut confirmed, &device, events) {
                Ok(()) => break,
                Err(error) => assert_eq!(error, QueueError::Flash(RamError::NoPower)),
            }
            assert!(flash.restore_power());
            *world.faults.entry("power cut").or_default() += 1;
        }
        // Only the last sale before a power cut may be stored without having been confirmed.
        let missing = confirmed
            .iter()
            .filter(|(seq, frame)| world.journal.get(seq) != Some(frame));
        assert_eq!(missing.count(), 0, "till {number}");
        assert!(world.journal.keys().copied().eq(1..=world.newest) && world.newest >= events);
        for (fault, count) in world.faults {
            *all.entry(fault).or_default() += count;
        }
    }
    println!("{tills} tills, {} events: {all:?}", tills * events);
    // Long hangs are rare, and each ends in a timeout.
    let rare = ["hung for long", "given up"];
    let often = all.iter().filter(|(fault, _)| !rare.contains(fault));
    assert!(
        often.clone().count() == 8 && often.clone().all(|(_, &count)| count > 10),
        "{all:?}"
    );
}

#[test]
fn tills_under_faults_lose_and_duplicate_nothing() {
    run(20, 100, 1);
}

#[test]
#[ignore = "100,000 events: cargo test --release -p comptoir-sim --test faults -- --ignored"]
fn five_hundred_tills_under_faults_lose_and_duplicate_nothing() {
    run(500, 200, 2);
}
