//! Normal operation: the till connects, sells, publishes in order, and deletes acked events.

use comptoir_device::{PRODUCTS, State};
use comptoir_wire::{
    Command, Currency, Event, MAX_AMOUNT, MAX_PRICES, MAX_PRODUCT, Message, Price, PriceList, Prices, decode,
};

use crate::cable::Cable;
use crate::machine::{Day, Outcome, World, blank, cut_power, run_till};
use crate::shop::Condition;

const DAY: Day = Day {
    events: 60,
    pace: 20,
    long_every: 5,
};

#[test]
fn all_events_arrive_in_order_including_orders_of_250_lines() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let (outcome, log) = run_till(&mut world, &mut flash, DAY, |_, _, _| {});
    assert_eq!(outcome, Outcome::Done);
    assert!(world.shop.journal.keys().copied().eq(1..=60));
    assert_eq!(world.shop.status, ["online", "offline"]);
    assert_eq!((world.shop.connects, log.count("till: connected")), (1, 1));
    let long = world
        .shop
        .journal
        .values()
        .filter(|frame| match decode(frame).unwrap().event {
            Event::Order(order) => order.lines.len() == 250,
            _ => false,
        });
    assert!(long.count() > 0);
    assert_eq!(log.states.borrow().last(), Some(&State::Idle));
}

/// The maximum number of articles, with the longest names.
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
fn the_largest_price_list_is_applied() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let command = price_list(MAX_AMOUNT);
    let mut told_head_office = false;
    let (outcome, log) = run_till(&mut world, &mut flash, DAY, |world, _, _| {
        if world.shop.newest() > 10 && !told_head_office {
            told_head_office = true;
            world.shop.publish("commands", &command);
        }
    });
    assert_eq!((outcome, world.shop.newest()), (Outcome::Done, 60));
    // The catalogue already has the autopilot's eight articles.
    let new = PRODUCTS - 8;
    assert_eq!(
        log.count(&format!("till: {new} new prices")),
        1,
        "{:#?}",
        log.lines.borrow()
    );
}

#[test]
fn numbering_continues_after_a_restart() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    for events in [20, 40, 60] {
        let day = Day { events, ..DAY };
        let (outcome, _) = run_till(&mut world, &mut flash, day, |_, _, _| {});
        assert_eq!((outcome, world.shop.newest()), (Outcome::Done, events));
    }
    assert_eq!(world.shop.connects, 3);
}

/// Long orders fill the client's memory until the first of them has its PUBACK, as on any real network.
#[test]
fn late_pubacks_do_not_end_the_connection() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.puback_delay = 200_000;
    let day = Day { long_every: 1, ..DAY };
    let (articles, mut told_head_office) = (price_list(100), false);
    let (outcome, log) = run_till(&mut world, &mut flash, day, |world, _, _| {
        if world.shop.newest() > 0 && !told_head_office {
            told_head_office = true;
            world.shop.publish("commands", &articles);
        }
    });
    assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=60));
    assert_eq!(world.shop.connects, 1, "{:#?}", log.lines.borrow());
}

#[test]
fn a_broker_without_retained_messages_is_used_from_the_second_connection_on() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.retains = false;
    let (outcome, log) = run_till(&mut world, &mut flash, DAY, |_, _, _| {});
    assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=60));
    assert_eq!(world.shop.status, ["online", "offline"]);
    assert_eq!((world.shop.connects, log.count("till: connected")), (2, 1));
}

#[test]
fn the_till_does_not_wait_for_an_event_that_is_damaged_on_flash() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(Condition::NoGateway);
    let (outcome, _) = run_till(&mut world, &mut flash, DAY, |_, log, _| {
        if log.count("till: sold") == 10 {
            cut_power();
        }
    });
    assert_eq!(outcome, Outcome::Reset(0));
    // In the newest event, so that no later ack covers it. Three bits, because two would be corrected.
    let names = flash.memory().windows(7).rposition(|bytes| bytes == b"paris-1");
    let bit = 8 * names.unwrap() as u64;
    [bit, bit + 9, bit + 18]
        .into_iter()
        .for_each(|bit| flash.flip_bit(bit));
    world.shop.set(Condition::Working);
    world.shop.allows_gaps = true;
    let day = Day { events: 10, ..DAY };
    let (outcome, log) = run_till(&mut world, &mut flash, day, |_, _, _| {});
    assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=9));
    assert_eq!(log.count("till: 10 was damaged on flash"), 1);
    assert_eq!(
        (world.shop.connects, log.states.borrow().last()),
        (2, Some(&State::Idle))
    );
}

fn message(text: &str) -> Vec<u8> {
    let mut buffer = vec![0; Command::MAX_BYTES];
    let message = Message { text };
    Command::Message(message).encode(&mut buffer).unwrap().to_vec()
}

/// The MQTT broker keeps them in the till's session.
#[test]
fn commands_sent_while_the_till_was_disconnected_or_off_are_carried_out() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let day = Day { events: 0, ..DAY };
    let mut sent = false;
    run_till(&mut world, &mut flash, day, |world, log, _| {
        if !sent && log.count("till: acked") > 5 {
            world.shop.set(Condition::Unreachable);
            world.shop.command(&message("Bonjour"));
            sent = true;
        } else if log.states.borrow().last() == Some(&State::Offline) {
            world.shop.set(Condition::Working);
        } else if log.count("till: message: Bonjour") > 0 {
            world.shop.set(Condition::Unreachable);
            cut_power();
        }
    });
    assert_eq!(world.shop.connects, 2);
    world.shop.command(&message("Bonsoir"));
    world.shop.set(Condition::Working);
    let (outcome, log) = run_till(&mut world, &mut flash, DAY, |_, _, _| {});
    assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
    assert_eq!(log.count("till: message: Bonsoir"), 1);
}
