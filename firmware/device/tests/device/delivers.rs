//! It connects, sells, and publishes all in order; what is acked is deleted.

use comptoir_device::{PRODUCTS, State};
use comptoir_wire::{
    Command, Currency, Event, MAX_AMOUNT, MAX_PRICES, MAX_PRODUCT, Message, Price, PriceList, Prices, decode,
};

use crate::cable::Cable;
use crate::machine::{Day, Ended, World, blank, live, pull_the_plug};
use crate::shop::Mood;

const DAY: Day = Day {
    events: 60,
    pace: 20,
    long_every: 5,
};

#[test]
fn all_that_is_sold_arrives_in_order_also_orders_of_250_lines() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let (ended, told) = live(&mut world, &mut flash, DAY, |_, _, _| {});
    assert_eq!(ended, Ended::Done);
    assert!(world.shop.journal.keys().copied().eq(1..=60));
    assert_eq!(world.shop.status, ["online", "offline"]);
    assert_eq!((world.shop.connects, told.count("till: connected")), (1, 1));
    let long = world
        .shop
        .journal
        .values()
        .filter(|frame| match decode(frame).unwrap().event {
            Event::Order(order) => order.lines.len() == 250,
            _ => false,
        });
    assert!(long.count() > 0);
    assert_eq!(told.states.borrow().last(), Some(&State::Idle));
}

/// As many articles as one may have, with the longest names.
fn price_list(unit_price: u64) -> Vec<u8> {
    let names: Vec<_> = (0..MAX_PRICES).map(|at| format!("{at:0>MAX_PRODUCT$}")).collect();
    let prices = names.iter().map(|product| Price { product, unit_price });
    let prices: Vec<_> = prices.collect();
    let list = PriceList {
        currency: Currency::EUR,
        prices: Prices::from_slice(&prices),
    };
    let mut buffer = vec![0; Command::MAX_BYTES];
    Command::PriceList(list).encode(&mut buffer).unwrap().to_vec()
}

#[test]
fn the_largest_price_list_is_taken() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let command = price_list(MAX_AMOUNT);
    let mut told_head_office = false;
    let (ended, told) = live(&mut world, &mut flash, DAY, |world, _, _| {
        if world.shop.newest() > 10 && !told_head_office {
            told_head_office = true;
            world.shop.publish("commands", &command);
        }
    });
    assert_eq!((ended, world.shop.newest()), (Ended::Done, 60));
    // The autopilot's articles are in the catalogue already.
    let new = PRODUCTS - 8;
    assert_eq!(
        told.count(&format!("till: {new} new prices")),
        1,
        "{:#?}",
        told.lines.borrow()
    );
}

#[test]
fn the_next_life_goes_on_with_the_next_number() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    for events in [20, 40, 60] {
        let day = Day { events, ..DAY };
        let (ended, _) = live(&mut world, &mut flash, day, |_, _, _| {});
        assert_eq!((ended, world.shop.newest()), (Ended::Done, events));
    }
    assert_eq!(world.shop.connects, 3);
}

/// As on any network but the test's own: long orders fill the client's memory until the first of them has its PUBACK.
#[test]
fn pubacks_that_take_their_time_end_no_connection() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.slow = 200_000;
    let day = Day { long_every: 1, ..DAY };
    let (articles, mut told_head_office) = (price_list(100), false);
    let (ended, told) = live(&mut world, &mut flash, day, |world, _, _| {
        if world.shop.newest() > 0 && !told_head_office {
            told_head_office = true;
            world.shop.publish("commands", &articles);
        }
    });
    assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=60));
    assert_eq!(world.shop.connects, 1, "{:#?}", told.lines.borrow());
}

#[test]
fn a_broker_without_retained_messages_is_used_from_the_second_connection_on() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.retains = false;
    let (ended, told) = live(&mut world, &mut flash, DAY, |_, _, _| {});
    assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=60));
    assert_eq!(world.shop.status, ["online", "offline"]);
    assert_eq!((world.shop.connects, told.count("till: connected")), (2, 1));
}

#[test]
fn an_event_that_the_flash_lost_is_not_waited_for() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(Mood::NoGateway);
    let (ended, _) = live(&mut world, &mut flash, DAY, |_, told, _| {
        if told.count("till: sold") == 10 {
            pull_the_plug();
        }
    });
    assert_eq!(ended, Ended::Bitten(0));
    // Of the newest: no later ack makes it safe. One bit is corrected, and so are two.
    let names = flash.memory().windows(7).rposition(|bytes| bytes == b"paris-1");
    let bit = 8 * names.unwrap() as u64;
    [bit, bit + 9, bit + 18]
        .into_iter()
        .for_each(|bit| flash.flip_bit(bit));
    world.shop.set(Mood::Well);
    world.shop.gaps = true;
    let day = Day { events: 10, ..DAY };
    let (ended, told) = live(&mut world, &mut flash, day, |_, _, _| {});
    assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=9));
    assert_eq!(told.count("till: 10 was damaged on flash"), 1);
    assert_eq!(
        (world.shop.connects, told.states.borrow().last()),
        (2, Some(&State::Idle))
    );
}

fn message(text: &str) -> Vec<u8> {
    let mut buffer = vec![0; Command::MAX_BYTES];
    let message = Message { text };
    Command::Message(message).encode(&mut buffer).unwrap().to_vec()
}

/// They wait for it at the MQTT broker.
#[test]
fn commands_that_were_sent_while_it_was_away_or_switched_off_are_carried_out() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let day = Day { events: 0, ..DAY };
    let mut sent = false;
    live(&mut world, &mut flash, day, |world, told, _| {
        if !sent && told.count("till: acked") > 5 {
            world.shop.set(Mood::Away);
            world.shop.command(&message("Bonjour"));
            sent = true;
        } else if told.states.borrow().last() == Some(&State::Offline) {
            world.shop.set(Mood::Well);
        } else if told.count("till: message: Bonjour") > 0 {
            world.shop.set(Mood::Away);
            pull_the_plug();
        }
    });
    assert_eq!(world.shop.connects, 2);
    world.shop.command(&message("Bonsoir"));
    world.shop.set(Mood::Well);
    let (ended, told) = live(&mut world, &mut flash, DAY, |_, _, _| {});
    assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
    assert_eq!(told.count("till: message: Bonsoir"), 1);
}
