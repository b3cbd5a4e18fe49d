//! The uplink with an MQTT broker that drops, duplicates and refuses, and a gateway that accepts events in order.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashSet, VecDeque};

use comptoir_link::{Draft, InboundMessage, LinkError, SendOutcome, Settings, Uplink};
use comptoir_queue::{RamFlash, SaleQueue, block_on};
use comptoir_wire::topic::Name;
use comptoir_wire::{
    Ack, Command, Currency, Event, Header, MAX_FRAME, Message, Payment, PaymentMethod, PaymentStatus, decode,
    encode,
};
use embedded_svc::mqtt::client::asynch::{Client, Publish};
use embedded_svc::mqtt::client::{ErrorType, MessageId, QoS};
use proptest::prelude::*;

const PAGES: usize = 14;
const LEN: u32 = 16 * 4096;
const EPOCH: u32 = 77;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientError {
    Busy,
    Disconnected,
}

fn is_busy(error: &ClientError) -> bool {
    *error == ClientError::Busy
}

/// An MQTT broker with a gateway behind it; `faults` decides what happens to each event.
#[derive(Default)]
struct World {
    faults: VecDeque<u8>,
    subscribed: Vec<String>,
    status: Option<Vec<u8>>,
    journal: BTreeMap<u32, Vec<u8>>,
    expected: u32,
    acks: VecDeque<Vec<u8>>,
}

impl World {
    fn take(&mut self, payload: &[u8]) {
        let header = decode(payload).unwrap().header;
        let first = self.expected.max(header.oldest - 1);
        if header.seq == first + 1 {
            self.expected = header.seq;
            assert!(self.journal.insert(header.seq, payload.to_vec()).is_none());
        }
        let ack = Ack {
            epoch: EPOCH,
            seq: self.expected,
        };
        let mut buffer = [0; Ack::MAX_BYTES];
        self.acks.push_back(ack.encode(&mut buffer).unwrap().to_vec());
    }
}

impl ErrorType for World {
    type Error = ClientError;
}

impl Client for World {
    async fn subscribe(&mut self, topic: &str, _: QoS) -> Result<MessageId, ClientError> {
        self.subscribed.push(topic.to_owned());
        Ok(1)
    }

    async fn unsubscribe(&mut self, _: &str) -> Result<MessageId, ClientError> {
        Ok(1)
    }
}

impl Publish for World {
    async fn publish(
        &mut self,
        topic: &str,
        qos: QoS,
        retain: bool,
        payload: &[u8],
    ) -> Result<MessageId, ClientError> {
        assert_eq!(qos, QoS::AtLeastOnce);
        if topic.ends_with("/status") {
            assert!(retain);
            self.status = Some(payload.to_vec());
            return Ok(1);
        }
        assert_eq!((topic, retain), ("pos/paris-1/till-1/payments", false));
        match self.faults.pop_front().unwrap_or_default() {
            1 => return Err(ClientError::Disconnected),
            2 => return Err(ClientError::Busy),
            3 => {}
            4 => {
                self.take(payload);
                self.take(payload);
            }
            5 => {
                self.take(payload);
                self.acks.clear();
            }
            _ => self.take(payload),
        }
        Ok(1)
    }
}

fn with_payment<T>(seq: u32, then: impl FnOnce(&Event<'_>) -> T) -> T {
    then(&Event::Payment(Payment {
        payment_id: &format!("p-{seq}"),
        order_id: "o",
        currency: Currency::EUR,
        amount: u64::from(seq),
        method: PaymentMethod::Cash,
        status: PaymentStatus::Success,
    }))
}

fn frame(seq: u32) -> Vec<u8> {
    let header = Header {
        epoch: EPOCH,
        seq,
        oldest: 1,
        time_ms: 0,
    };
    with_payment(seq, |event| {
        encode(&header, event, &mut [0; MAX_FRAME]).unwrap().to_vec()
    })
}

/// Stores and releases that many payments.
fn sell(queue: &mut Queue<'_>, uplink: &mut Uplink, sales: u32) {
    let mut buffer = [0; MAX_FRAME];
    for _ in 0..sales {
        let draft = Draft::new(queue, uplink).unwrap();
        let encoded = with_payment(draft.seq(), |event| draft.encode(event, 0, &mut buffer)).unwrap();
        uplink.release(block_on(encoded.push(queue)).unwrap());
    }
}

type Queue<'f> = SaleQueue<&'f mut RamFlash<Vec<u8>>, PAGES>;

fn link(queue: &Queue<'_>) -> Uplink {
    let settings = Settings {
        window: 8,
        resend: 100,
        resend_max: 1000,
    };
    Uplink::new(
        Name::new("paris-1").unwrap(),
        Name::new("till-1").unwrap(),
        queue,
        settings,
    )
}

/// Drives the uplink until everything is acked. Returns how often it connected, and the numbers of the damaged events.
fn deliver(uplink: &mut Uplink, queue: &mut Queue<'_>, world: &mut World) -> (u32, Vec<u32>) {
    let mut buffer = Box::new([0; MAX_FRAME]);
    let (mut now, mut connects, mut lost) = (0, 1, Vec::new());
    block_on(uplink.announce_online(world)).unwrap();
    while uplink.window().unacked() > 0 {
        now += 20;
        assert!(now < 1_000_000, "it hangs at {}", uplink.window().oldest());
        loop {
            match block_on(uplink.send_next(world, is_busy, queue, now, 1 << 31, &mut buffer)) {
                Ok(SendOutcome::Idle) => break,
                Ok(SendOutcome::Published { .. }) => {}
                Ok(SendOutcome::Damaged { seq }) => lost.push(seq),
                Err(LinkError::Mqtt(ClientError::Disconnected)) => {
                    world.acks.clear();
                    connects += 1;
                    block_on(uplink.announce_online(world)).unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(ack) = world.acks.pop_front() {
            match uplink.receive("pos/paris-1/till-1/ack", &ack, now, 1 << 31) {
                InboundMessage::Acked(seq) => _ = block_on(queue.delete_through(seq)).unwrap(),
                message => assert_eq!(message, InboundMessage::StaleAck),
            }
        }
    }
    (connects, lost)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_event_arrives_once_and_in_order(faults in prop::collection::vec(0..6u8, 0..200), sales in 1..120u32) {
        let mut flash = RamFlash::new(vec![0xff; LEN as usize]);
        let (mut queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, EPOCH)).unwrap();
        let mut uplink = link(&queue);
        sell(&mut queue, &mut uplink, sales);
        let mut world = World { faults: faults.into(), ..World::default() };
        let (connects, lost) = deliver(&mut uplink, &mut queue, &mut world);
        prop_assert_eq!((lost, queue.is_empty()), (vec![], true));
        prop_assert_eq!(world.journal.into_keys().collect::<Vec<_>>(), (1..=sales).collect::<Vec<_>>());
        prop_assert_eq!(world.subscribed.len(), 2 * connects as usize);
        prop_assert_eq!(world.status.as_deref(), Some(&b"online"[..]));
    }
}

/// Topics and payloads of all kinds, among them acks of other epochs, and acks beyond everything that was sent.
fn message() -> impl Strategy<Value = (String, Vec<u8>)> {
    let topic = prop_oneof![
        Just("pos/paris-1/till-1/ack".to_owned()),
        Just("pos/paris-1/till-1/commands".to_owned()),
        any::<String>(),
    ];
    let json = prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(epoch, seq)| format!(r#"{{"epoch":{epoch},"seq":{seq}}}"#)),
        any::<String>().prop_map(|text| format!("{{{text:?}:{text:?}}}")),
    ];
    let ack = (prop_oneof![Just(EPOCH), 1..=u32::MAX], 1_000..=u32::MAX).prop_map(|(epoch, seq)| {
        let mut buffer = [0; Ack::MAX_BYTES];
        Ack { epoch, seq }.encode(&mut buffer).unwrap().to_vec()
    });
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|mut bytes| {
            bytes.insert(0, 1);
            bytes
        }),
        json.prop_map(String::into_bytes),
        ack,
    ];
    (topic, payload)
}

proptest! {
    #[test]
    fn only_an_ack_for_sent_events_of_this_epoch_makes_them_safe(
        messages in prop::collection::vec(message(), 1..20), sales in 0..20u32, sent in 0..20u32,
    ) {
        let mut flash = RamFlash::new(vec![0xff; LEN as usize]);
        let (mut queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, EPOCH)).unwrap();
        let mut uplink = link(&queue);
        sell(&mut queue, &mut uplink, sales);
        let (mut world, mut buffer) = (World::default(), Box::new([0; MAX_FRAME]));
        for _ in 0..sent {
            block_on(uplink.send_next(&mut world, is_busy, &mut queue, 0, 0, &mut buffer)).unwrap();
        }
        for (topic, payload) in &messages {
            let message = uplink.receive(topic, payload, 1, 0);
            prop_assert!(!matches!(message, InboundMessage::Acked(_)), "{:?}", message);
        }
        prop_assert_eq!(uplink.window().unacked(), sales);
        world.acks.clear();
        let (_, lost) = deliver(&mut uplink, &mut queue, &mut world);
        prop_assert_eq!((lost, queue.is_empty()), (vec![], true));
    }
}

#[test]
fn an_event_damaged_on_flash_does_not_hold_up_the_others() {
    let mut flash = RamFlash::new(vec![0xff; LEN as usize]);
    let (mut queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, EPOCH)).unwrap();
    for seq in 1..=20 {
        block_on(queue.push(seq, &frame(seq))).unwrap();
    }
    let bit = 8 * flash
        .memory()
        .windows(3)
        .position(|bytes| bytes == b"p-7")
        .unwrap() as u64;
    // Two flipped bits would be corrected.
    [bit, bit + 9, bit + 18]
        .into_iter()
        .for_each(|bit| flash.flip_bit(bit));
    let (mut queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, 1)).unwrap();
    let mut uplink = link(&queue);
    let mut world = World::default();
    let (_, lost) = deliver(&mut uplink, &mut queue, &mut world);
    assert_eq!(lost, [7]);
    assert_eq!(
        world.journal.into_keys().collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    );
}

/// The retained ack from the earlier use arrives before or after the first event is sent.
#[test]
fn acks_from_an_earlier_use_of_the_epoch_delete_nothing() {
    let cases = [(40, false), (40, true), (100, false), (100, true), (300, true)];
    for ((old, is_late), restarts) in cases.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let mut flash = RamFlash::new(vec![0xff; LEN as usize]);
        let (mut queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, EPOCH)).unwrap();
        let mut uplink = link(&queue);
        sell(&mut queue, &mut uplink, 64);
        if restarts {
            uplink = link(&queue);
        }
        let (mut world, mut buffer) = (World::default(), Box::new([0; MAX_FRAME]));
        block_on(uplink.announce_online(&mut world)).unwrap();
        let mut send_all = |uplink: &mut Uplink| {
            (0..20)
                .map(|_| {
                    block_on(uplink.send_next(&mut world, is_busy, &mut queue, 0, 0, &mut buffer)).unwrap()
                })
                .filter(|outcome| *outcome != SendOutcome::Idle)
                .count()
        };
        if is_late {
            assert_eq!(send_all(&mut uplink), 1, "more than one event went ahead");
        }
        let mut bytes = [0; Ack::MAX_BYTES];
        let retained = Ack {
            epoch: EPOCH,
            seq: old,
        }
        .encode(&mut bytes)
        .unwrap();
        assert_eq!(
            uplink.receive("pos/paris-1/till-1/ack", retained, 1, 0),
            InboundMessage::ForeignAck
        );
        assert_eq!(uplink.window().unacked(), 64);
    }
}

/// A client with an error type of its own.
struct OtherClient;

impl ErrorType for OtherClient {
    type Error = std::num::TryFromIntError;
}

impl Publish for OtherClient {
    async fn publish(&mut self, _: &str, _: QoS, _: bool, _: &[u8]) -> Result<MessageId, Self::Error> {
        u8::try_from(256).map(MessageId::from)
    }
}

#[test]
fn any_client_that_implements_the_traits_works() {
    let mut flash = RamFlash::new(vec![0xff; LEN as usize]);
    let (mut queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, EPOCH)).unwrap();
    let mut uplink = link(&queue);
    sell(&mut queue, &mut uplink, 1);
    let mut buffer = Box::new([0; MAX_FRAME]);
    let busy = block_on(uplink.send_next(&mut OtherClient, |_| true, &mut queue, 0, 0, &mut buffer));
    assert_eq!(busy, Ok(SendOutcome::Idle));
    let lost = block_on(uplink.send_next(&mut OtherClient, |_| false, &mut queue, 0, 0, &mut buffer));
    assert!(matches!(lost, Err(LinkError::Mqtt(_))));
}

#[test]
fn no_two_tills_have_the_same_client_id() {
    let mut flash = RamFlash::new(vec![0xff; LEN as usize]);
    let (queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, EPOCH)).unwrap();
    let id = |store: &str, device: &str| {
        let names = (Name::new(store).unwrap(), Name::new(device).unwrap());
        let uplink = Uplink::new(names.0, names.1, &queue, Settings::default());
        uplink.identity().client_id.to_string()
    };
    let long = "x".repeat(32);
    let ids = [
        id("north", "east-till-1"),
        id("north-east", "till-1"),
        id(&long, &long),
        id(&long, &long[1..]),
        id(&long[1..], &long),
    ];
    assert!(ids.iter().all(|id| id.len() <= 64));
    assert_eq!(HashSet::from(ids).len(), 5);
}

#[test]
fn each_received_message_is_interpreted_by_topic_and_payload() {
    let mut flash = RamFlash::new(vec![0xff; LEN as usize]);
    let (queue, _): (Queue<'_>, _) = block_on(SaleQueue::open(&mut flash, 0..LEN, EPOCH)).unwrap();
    let mut uplink = link(&queue);
    assert_eq!(uplink.identity().client_id, "paris-1_till-1");
    let mut buffer = [0; 64];
    let beyond = Ack { epoch: EPOCH, seq: 9 }.encode(&mut buffer).unwrap().to_vec();
    assert_eq!(
        uplink.receive("pos/paris-1/till-1/ack", &beyond, 0, 0),
        InboundMessage::ForeignAck
    );
    let other = Ack { epoch: 3, seq: 9 }.encode(&mut buffer).unwrap().to_vec();
    assert_eq!(
        uplink.receive("pos/paris-1/till-1/ack", &other, 0, 0),
        InboundMessage::StaleAck
    );
    assert!(matches!(
        uplink.receive("pos/paris-1/till-1/ack", b"\x09", 0, 0),
        InboundMessage::Malformed(_)
    ));
    assert_eq!(
        uplink.receive("pos/paris-1/till-2/ack", &beyond, 0, 0),
        InboundMessage::OtherTopic
    );
    let command = Command::Message(Message {
        text: "closing at six",
    });
    let bytes = command.encode(&mut buffer).unwrap().to_vec();
    assert_eq!(
        uplink.receive("pos/paris-1/till-1/commands", &bytes, 0, 0),
        InboundMessage::Command(command)
    );
}
