//! Nothing that comes over the cable makes it panic, stop or forget: not frames, not an MQTT broker's bytes, not messages.

use comptoir_device::State;
use comptoir_wire::{Ack, Command, Currency, MAX_AMOUNT, MAX_PRICES, Message, Price, PriceList, Prices};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cable::Cable;
use crate::machine::{Day, EPOCH, Ended, World, blank, live};

const DAY: Day = Day {
    events: 12,
    pace: 300,
    long_every: 5,
};
/// Until then the world is hostile.
const PEACE: u64 = 6_000;

/// Something that is said to the till.
#[derive(Clone, Debug)]
enum Said {
    /// On the TCP connection, in the midst of whatever is there.
    Bytes(Vec<u8>),
    /// An MQTT packet of that kind: its length is right.
    Packet(u8, Vec<u8>),
    /// A message on a topic of the till's.
    Message(&'static str, Vec<u8>),
    /// An Ethernet frame to the till's address, of that EtherType.
    Frame(u16, Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
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
    // Of other epochs, and of this one beyond all that will be sold: by an ack that is true it may delete.
    let ack = (prop_oneof![Just(EPOCH), 1..EPOCH], DAY.events + 1..).prop_map(|(epoch, seq)| {
        let mut buffer = [0; Ack::MAX_BYTES];
        Ack { epoch, seq }.encode(&mut buffer).unwrap().to_vec()
    });
    let leaf = prop::sample::select(vec!["ack", "commands", "status", "orders", ""]);
    // The first byte of a payload is the version: often one that there is.
    let payload = (0..3u8, bytes()).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    });
    prop_oneof![
        bytes().prop_map(Said::Bytes),
        (any::<u8>(), vec(any::<u8>(), 0..120)).prop_map(|(kind, body)| Said::Packet(kind, body)),
        (leaf, payload).prop_map(|(leaf, payload)| Said::Message(leaf, payload)),
        prop_oneof![prices, text].prop_map(|command| Said::Message("commands", command)),
        ack.prop_map(|ack| Said::Message("ack", ack)),
        (prop::sample::select(vec![0x0800, 0x0806, 0x86dd]), bytes())
            .prop_map(|(kind, body)| Said::Frame(kind, body)),
    ]
}

fn say(world: &mut World<'_>, said: &Said) {
    match said {
        Said::Bytes(bytes) => world.shop.say(bytes),
        Said::Packet(kind, body) => {
            // One byte holds the length.
            let len = u8::try_from(body.len()).unwrap();
            world.shop.say(&[*kind, len]);
            world.shop.say(body);
        }
        Said::Message(leaf, payload) => world.shop.publish(leaf, payload),
        Said::Frame(kind, body) => {
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
    fn whatever_is_said_to_it_all_arrives_once_there_is_peace(
        script in vec((0..PEACE, said()), 1..40),
    ) {
        let (cable, mut flash) = (Cable::default(), blank());
        let mut world = World::new(&cable);
        let mut script = script;
        script.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let (ended, told) = live(&mut world, &mut flash, DAY, |world, _, now| {
            while script.last().is_some_and(|(at, _)| *at <= now) {
                let (_, said) = script.pop().unwrap();
                say(world, &said);
            }
        });
        prop_assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
        prop_assert!(world.shop.journal.keys().copied().eq(1..=DAY.events));
        let last = told.states.borrow().last().copied();
        prop_assert_eq!(last, Some(State::Idle));
    }
}
