//! It connects, sells, and publishes all in order; what is acked is deleted.

use comptoir_device::State;
use comptoir_wire::{Event, decode};

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
