//! Whole terminals (till, flash queue, link) in a world of their own, without clock or network, under seeded faults of
//! every kind, against a gateway that takes events in order: nothing confirmed is missing, nothing is double, nothing is
//! out of order.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, VecDeque};

use comptoir_link::{Heard, LinkError, Settings, Spoke, Uplink, Watchdog};
use comptoir_queue::{Opened, QueueError, RamError, RamFlash, SaleQueue, block_on};
use comptoir_sim::faults::{Dice, Fate, Faults, Kind, Turned};
use comptoir_terminal::{Autopilot, Catalogue, Ids, Random, Till};
use comptoir_wire::topic::Name;
use comptoir_wire::{Ack, Currency, Header, MAX_FRAME, decode, encode, set_oldest};
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
/// A connection without an ack for so long, while events wait, is given up.
const PATIENCE: u64 = 1_000;
/// How long a connection hangs, mostly and sometimes: beyond the patience.
const HANG: u64 = 60;
const LONG_HANG: u64 = 2 * PATIENCE;

type Flash = RamFlash<Vec<u8>>;
type Queue<'f> = SaleQueue<&'f mut Flash, PAGES>;

#[derive(Debug)]
struct Gone;

/// A frame as if nothing had been acked yet: what it says of that is of the moment it is sent.
fn first_sent(frame: &[u8]) -> Vec<u8> {
    let mut buffer = frame.to_vec();
    set_oldest(&mut buffer, frame.len(), 1).unwrap().to_vec()
}

/// One bit among those in use.
fn used_bit(flash: &Flash, random: u64) -> u64 {
    const CHUNK: usize = 256;
    let chunks = flash.memory().chunks(CHUNK).enumerate();
    let used = chunks.filter(|(_, chunk)| chunk.iter().any(|&byte| byte != 0xff));
    let used: Vec<usize> = used.map(|(at, _)| at).collect();
    let bits = 8 * CHUNK as u64;
    let chunk = used[usize::try_from(random / bits).unwrap() % used.len()] as u64;
    chunk * bits + random % bits
}

/// A link that drops, doubles, delays, hangs and breaks, and a gateway at its end.
struct World {
    random: Random,
    dice: Dice,
    now: u64,
    /// What arrives, and when.
    events: Vec<(u64, Vec<u8>)>,
    acks: VecDeque<(u64, Ack)>,
    /// Nothing passes until then.
    hangs: u64,
    turned: Turned,
    journal: BTreeMap<u32, Vec<u8>>,
    upto: u32,
    faults: BTreeMap<&'static str, u32>,
}

impl World {
    fn struck(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// The connection is gone, with all that was on its way.
    fn disconnect(&mut self) {
        self.events.clear();
        self.acks.clear();
        self.hangs = self.now;
    }

    /// What has arrived by now is journalled, in order only, and acked.
    fn turn(&mut self) {
        self.now += 1;
        if self.now < self.hangs {
            return;
        }
        let (due, later): (Vec<_>, _) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|(at, _)| *at <= self.now);
        self.events = later;
        for (_, payload) in due {
            let header = decode(&payload).unwrap().header;
            assert!(
                header.oldest <= self.upto + 1,
                "an event was given up that no gateway has"
            );
            let whole = first_sent(&payload);
            if header.seq == self.upto + 1 {
                self.upto = header.seq;
                self.journal.insert(header.seq, whole);
            } else if let Some(known) = self.journal.get(&header.seq) {
                assert_eq!(*known, whole, "one name for two events");
            }
            let ack = Ack {
                epoch: header.epoch,
                seq: self.upto,
            };
            if ack.seq > 0 && self.dice.strikes(Kind::Drop) {
                self.struck("ack dropped");
            } else if ack.seq > 0 {
                self.acks.push_back((self.now + 2, ack));
            }
        }
    }
}

impl ErrorType for World {
    type Error = Gone;
}

impl Client for World {
    async fn subscribe(&mut self, _: &str, _: QoS) -> Result<MessageId, Gone> {
        Ok(0)
    }

    async fn unsubscribe(&mut self, _: &str) -> Result<MessageId, Gone> {
        Ok(0)
    }
}

impl Publish for World {
    async fn publish(&mut self, topic: &str, _: QoS, _: bool, payload: &[u8]) -> Result<MessageId, Gone> {
        if topic.ends_with("/status") {
            return Ok(0);
        }
        let arrives = (self.now + 1, payload.to_vec());
        match self.dice.fate() {
            Fate::Arrives => self.events.push(arrives),
            Fate::Lost => self.struck("dropped"),
            Fate::Twice => {
                self.struck("doubled");
                self.events.extend([arrives, (self.now + 7, payload.to_vec())]);
            }
            Fate::Late => {
                self.struck("delayed");
                self.events.push((self.now + 30, payload.to_vec()));
            }
            Fate::Hangs => {
                let hang = self.dice.hang(HANG, LONG_HANG);
                self.struck(if hang > HANG { "hung for long" } else { "hung" });
                self.hangs = self.now + hang;
            }
            Fate::Breaks => {
                self.struck("broken");
                return Err(Gone);
            }
        }
        Ok(0)
    }
}

/// One life of a terminal, from power to no power. `Ok`: all is sold and acked.
fn live(
    flash: &mut Flash,
    world: &mut World,
    confirmed: &mut BTreeMap<u32, Vec<u8>>,
    device: &str,
    events: u32,
) -> Result<(), QueueError<RamError>> {
    let (store, device) = (Name::new("paris-1").unwrap(), Name::new(device).unwrap());
    let epoch = world.random.next_u32();
    let (mut queue, opened): (Queue<'_>, _) = block_on(SaleQueue::open(flash, 0..LEN, epoch))?;
    assert!(opened == Opened::Found || confirmed.is_empty());
    let mut catalogue = Catalogue::<16>::new(Currency::EUR);
    Autopilot::stock(&mut catalogue);
    let mut till = Till::new(Ids::new(store, device, queue.epoch()), Currency::EUR);
    let mut autopilot = Autopilot::new(world.random.next_u64(), queue.newest(), 40);
    let mut uplink = Uplink::new(store, device, &queue, SETTINGS);
    let mut buffer = Box::new([0; MAX_FRAME]);
    loop {
        world.disconnect();
        let _ = block_on(uplink.greet(world));
        let mut watchdog = Watchdog::new(PATIENCE, world.now);
        'connected: loop {
            world.turn();
            assert!(world.now < 4_000_000, "it hangs: {:?}", uplink.window());
            if queue.newest() < events {
                let has_room = block_on(queue.has_room_for_all(till.frames_ahead()))?;
                autopilot.act(&mut till, &catalogue, has_room);
                let seq = queue.next_seq().unwrap();
                let time_ms = world.dice.clock(world.now).unwrap_or(world.now);
                let header = Header {
                    epoch: queue.epoch(),
                    seq,
                    oldest: uplink.window().oldest(),
                    time_ms,
                };
                let frame = till.event(seq, |event| {
                    encode(&header, event, &mut *buffer).unwrap().to_vec()
                });
                if let Some(frame) = frame {
                    match block_on(queue.push(seq, &frame)) {
                        Ok(()) => {
                            let whole = first_sent(&frame);
                            assert!(confirmed.insert(seq, whole).is_none(), "a number was given twice");
                            till.queued(seq);
                            uplink.sold();
                            if world.dice.strikes(Kind::Flash) {
                                let bit = used_bit(queue.flash(), world.dice.draw());
                                if world.turned.bears(bit, queue.acked(), queue.newest()) {
                                    world.struck("bit turned");
                                    queue.flash().flip_bit(bit);
                                }
                            }
                        }
                        Err(error) => return Err(error),
                    }
                }
            } else if queue.is_empty() {
                return Ok(());
            }
            loop {
                let random = world.random.next_u32();
                let now = world.now;
                match block_on(uplink.speak(world, |Gone| false, &mut queue, now, random, &mut buffer)) {
                    Ok(Spoke::Nothing) => break,
                    Ok(Spoke::Published { .. }) => {}
                    Ok(Spoke::Lost { seq }) => panic!("{seq} was lost"),
                    Err(LinkError::Mqtt(Gone)) => break 'connected,
                    Err(LinkError::Queue(error)) => return Err(error),
                }
            }
            while world.acks.front().is_some_and(|(at, _)| *at <= world.now) {
                let Some((_, ack)) = world.acks.pop_front() else {
                    break;
                };
                let payload = ack.encode(&mut [0; Ack::MAX_BYTES]).unwrap().to_vec();
                let topic = format!("pos/{store}/{device}/ack");
                if let Heard::Safe(seq) = uplink.hear(&topic, &payload, world.now, 1 << 31) {
                    watchdog.feed(world.now);
                    block_on(queue.delete_through(seq))?;
                }
            }
            if watchdog.expired(world.now, queue.len()) {
                world.struck("given up");
                break;
            }
        }
    }
}

fn run(terminals: u32, events: u32, seed: u64) {
    let mut all = BTreeMap::<&str, u32>::new();
    for number in 0..terminals {
        let mut world = World {
            random: Random::new(seed ^ (u64::from(number) << 40)),
            dice: Dice::new(Faults::all(PERCENT), seed ^ (u64::from(number) << 20)),
            now: 0,
            events: Vec::new(),
            acks: VecDeque::new(),
            hangs: 0,
            turned: Turned::default(),
            journal: BTreeMap::new(),
            upto: 0,
            faults: BTreeMap::new(),
        };
        let (mut flash, mut confirmed) = (Flash::new(vec![0xff; LEN as usize]), BTreeMap::new());
        let device = format!("till-{number}");
        loop {
            // The next cut is many events away.
            let mut cut = (0..u32::MAX)
                .find_map(|events| Some((events, world.dice.power_cut()?)))
                .unwrap();
            cut.1.after += 8 * cut.0;
            flash.cut_power(cut.1);
            match live(&mut flash, &mut world, &mut confirmed, &device, events) {
                Ok(()) => break,
                Err(error) => assert_eq!(error, QueueError::Flash(RamError::NoPower)),
            }
            assert!(flash.restore_power());
            *world.faults.entry("power cut").or_default() += 1;
        }
        // The last sale before a cut may be kept without having been confirmed, and only it.
        let missing = confirmed
            .iter()
            .filter(|(seq, frame)| world.journal.get(seq) != Some(frame));
        assert_eq!(missing.count(), 0, "terminal {number}");
        assert!(world.journal.keys().copied().eq(1..=world.upto) && world.upto >= events);
        for (fault, count) in world.faults {
            *all.entry(fault).or_default() += count;
        }
    }
    println!("{terminals} terminals, {} events: {all:?}", terminals * events);
    // Long hangs are rare, and each is given up on.
    let rare = ["hung for long", "given up"];
    let often = all.iter().filter(|(fault, _)| !rare.contains(fault));
    assert!(
        often.clone().count() == 8 && often.clone().all(|(_, &count)| count > 10),
        "{all:?}"
    );
}

#[test]
fn terminals_under_faults_lose_and_double_nothing() {
    run(20, 100, 1);
}

#[test]
#[ignore = "100,000 events: cargo test --release -p comptoir-sim --test faults -- --ignored"]
fn five_hundred_terminals_under_faults_lose_and_double_nothing() {
    run(500, 200, 2);
}
