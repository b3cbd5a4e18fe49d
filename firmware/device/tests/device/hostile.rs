//! Hostile input over the cable (Ethernet frames, bytes on the MQTT connection, messages) never makes the till panic, stop or
//! lose events.

use comptoir_device::State;
use comptoir_wire::{Ack, Command, Currency, MAX_AMOUNT, MAX_PRICES, Message, Price, PriceList, Prices};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cable::Cable;
use crate::machine::{Day, EPOCH, Outcome, World, blank, run_till};

const DAY: Day = Day {
    events: 12,
    pace: 300,
    long_every: 5,
};
/// Milliseconds for which hostile input arrives.
const HOSTILE_UNTIL: u64 = 6_000;

/// A hostile input.
#[derive(Clone, Debug)]
enum Input {
    /// Bytes on the TCP connection, in the middle of any packet.
    Bytes(Vec<u8>),
    /// An MQTT packet of that type, with the right length.
    Packet(u8, Vec<u8>),
    /// A message on one of the till's topics.
    Message(&'static str, Vec<u8>),
    /// An Ethernet frame to the till's address, with that EtherType.
    Frame(u16, Vec<u8>),
}

fn input() -> impl Strategy<Value = Input> {
    let bytes = || vec(any::<u8>(), 0..200);
    let price = ("\\PC{0,16}", 0..=MAX_AMOUNT);
    let prices = vec(price, 0..=MAX_PRICES).prop_map(|prices| {
        let prices: Vec<_> = prices
            .iter()
            .map(|&(ref product, unit_price)| Price { product, unit_price })
            .collect();
        let list = PriceList {
            currency: Currency::EUR,
            prices: Prices::from_slice(&prices),
        };
        let mut buffer = vec![0; Command::MAX_BYTES];
        Command::PriceList(list).encode(&mut buffer).unwrap().to_vec()
    });
    let text = "\\PC{0,60}".prop_map(|text| {
        let mut buffer = vec![0; Command::MAX_BYTES];
        let message = Message { text: &text };
        Command::Message(message).encode(&mut buffer).unwrap().to_vec()
    });
    // Acks of other epochs, and acks of this epoch beyond everything that will be sold: a plausible ack would delete events.
    let ack = (prop_oneof![Just(EPOCH), 1..EPOCH], DAY.events + 1..).prop_map(|(epoch, seq)| {
        let mut buffer = [0; Ack::MAX_BYTES];
        Ack { epoch, seq }.encode(&mut buffer).unwrap().to_vec()
    });
    let leaf = prop::sample::select(vec!["ack", "commands", "status", "orders", ""]);
    // The first byte of a payload is the version; a valid one is likely here.
    let payload = (0..3u8, bytes()).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    });
    prop_oneof![
        bytes().prop_map(Input::Bytes),
        (any::<u8>(), vec(any::<u8>(), 0..120)).prop_map(|(kind, body)| Input::Packet(kind, body)),
        (leaf, payload).prop_map(|(leaf, payload)| Input::Message(leaf, payload)),
        prop_oneof![prices, text].prop_map(|command| Input::Message("commands", command)),
        ack.prop_map(|ack| Input::Message("ack", ack)),
        (prop::sample::select(vec![0x0800, 0x0806, 0x86dd]), bytes())
            .prop_map(|(kind, body)| Input::Frame(kind, body)),
    ]
}

fn send(world: &mut World<'_>, input: &Input) {
    match input {
        Input::Bytes(bytes) => world.shop.send_bytes(bytes),
        Input::Packet(kind, body) => {
            // At most 120 bytes, so the length is one byte.
            let len = u8::try_from(body.len()).unwrap();
            world.shop.send_bytes(&[*kind, len]);
            world.shop.send_bytes(body);
        }
        Input::Message(leaf, payload) => world.shop.publish(leaf, payload),
        Input::Frame(kind, body) => {
            let mut frame = vec![2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 2];
            frame.extend_from_slice(&kind.to_be_bytes());
            frame.extend_from_slice(body);
            world.cable.inject(&frame);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_events_arrive_after_any_hostile_input(
        script in vec((0..HOSTILE_UNTIL, input()), 1..40),
    ) {
        let (cable, mut flash) = (Cable::default(), blank());
        let mut world = World::new(&cable);
        let mut script = script;
        script.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let (outcome, log) = run_till(&mut world, &mut flash, DAY, |world, _, now| {
            while script.last().is_some_and(|(at, _)| *at <= now) {
                let (_, input) = script.pop().unwrap();
                send(world, &input);
            }
        });
        prop_assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
        prop_assert!(world.shop.journal.keys().copied().eq(1..=DAY.events));
        let last = log.states.borrow().last().copied();
        prop_assert_eq!(last, Some(State::Idle));
    }
}
