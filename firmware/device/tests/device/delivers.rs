//! It connects, sells, and publishes all in order; what is acked is deleted.

use comptoir_device::{PRODUCTS, State};
use comptoir_wire::{
    Command, Currency, Event, MAX_AMOUNT, MAX_PRICES, MAX_PRODUCT, Price, PriceList, Prices, decode,
};

use crate::cable::Cable;
use crate::machine::{Day, Ended, World, blank, live};

const DAY: Day = Day { events: 60, pace: 20 };

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

#[test]
fn the_largest_price_list_is_taken() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let names: Vec<_> = (0..MAX_PRICES).map(|at| format!("{at:0>MAX_PRODUCT$}")).collect();
    let prices = names.iter().map(|product| Price {
        product,
        unit_price: MAX_AMOUNT,
    });
    let prices: Vec<_> = prices.collect();
    let list = PriceList {
        currency: Currency::EUR,
        prices: Prices::from_slice(&prices),
    };
    let mut buffer = vec![0; Command::MAX_BYTES];
    let command = Command::PriceList(list).encode(&mut buffer).unwrap();
    let mut told_head_office = false;
    let (ended, told) = live(&mut world, &mut flash, DAY, |world, _, _| {
        if world.shop.newest() > 10 && !told_head_office {
            told_head_office = true;
            world.shop.publish("commands", command);
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
