//! It sells through any outage of the network, and delivers when that is over. What hangs for too long ends in a reset.

use std::collections::HashMap;

use comptoir_device::State;
use comptoir_wire::Event;

use crate::cable::Cable;
use crate::machine::{BITES, Day, Ended, Flash, World, blank, held, live, pull_the_plug};
use crate::shop::Mood;

const DAY: Day = Day {
    events: 120,
    pace: 500,
    long_every: 5,
};
const WITHOUT_END: Day = Day {
    events: 0,
    pace: 20_000,
    long_every: 5,
};
/// Milliseconds without an ack until the till no longer feeds the board's watchdog.
const LAST_PATIENCE: u64 = 600_000;

/// From the tenth second to the fortieth something is wrong, over and over. All arrives, once and in order, and what
/// was sold meanwhile is most of the day.
fn survives(mut wrong: impl FnMut(&mut World<'_>, bool)) {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let (mut was_wrong, mut sold_meanwhile) = (false, 0);
    let (ended, told) = live(&mut world, &mut flash, DAY, |world, told, now| {
        let is_wrong = (10_000..40_000).contains(&now);
        if is_wrong != was_wrong {
            was_wrong = is_wrong;
            wrong(world, is_wrong);
            sold_meanwhile = told.count("till: sold") - sold_meanwhile;
        }
    });
    assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=DAY.events));
    assert!(sold_meanwhile >= 55, "only {sold_meanwhile} were sold");
    assert!(told.states.borrow().contains(&State::Offline) || world.shop.connects == 1);
}

#[test]
fn the_cable_is_pulled() {
    survives(|world, pulled| world.cable.pull(pulled));
}

#[test]
fn the_mqtt_broker_is_away() {
    survives(|world, away| world.shop.set(if away { Mood::Away } else { Mood::Well }));
}

#[test]
fn the_mqtt_broker_hangs() {
    survives(|world, deaf| world.shop.set(if deaf { Mood::Deaf } else { Mood::Well }));
}

#[test]
fn the_gateway_is_away() {
    survives(|world, alone| world.shop.set(if alone { Mood::NoGateway } else { Mood::Well }));
}

#[test]
fn a_full_queue_is_shown_and_filled_again_once_there_is_room() {
    for mood in [Mood::NoGateway, Mood::Away] {
        let (cable, mut flash) = (Cable::default(), blank());
        let mut world = World::new(&cable);
        world.shop.set(mood);
        let day = Day {
            events: 900,
            pace: 0,
            long_every: 5,
        };
        let mut sold = 0;
        let (ended, told) = live(&mut world, &mut flash, day, |world, told, _| {
            if sold == 0 && told.states.borrow().contains(&State::Full) {
                sold = told.count("till: sold");
                world.shop.set(Mood::Well);
            }
        });
        assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
        assert!(
            sold > 0 && sold < 900,
            "{sold} were sold until the queue was full"
        );
        assert!(world.shop.journal.keys().copied().eq(1..=day.events));
        assert_eq!(told.states.borrow().last(), Some(&State::Idle));
    }
}

/// The lives of the orders on the flash that have not come to an end.
fn half(flash: &mut Flash) -> Vec<Vec<String>> {
    let mut lives = HashMap::<String, Vec<String>>::new();
    held(flash, |event| {
        let word = match event {
            Event::Order(order) => order.status.to_string(),
            Event::Payment(payment) => payment.status.to_string(),
            Event::Delivery(delivery) => delivery.status.to_string(),
        };
        lives.entry(event.order_id().to_owned()).or_default().push(word);
    });
    assert!(lives.len() > 5, "{lives:#?}");
    let ends = ["Completed", "Cancelled"];
    let is_half = |life: &Vec<String>| !ends.contains(&life.last().unwrap().as_str());
    lives.into_values().filter(is_half).collect()
}

/// Full is told before a sale: whoever has begun to pay ends it, whatever the gateway does.
#[test]
fn a_full_queue_leaves_no_order_half_paid() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(Mood::NoGateway);
    let day = Day {
        events: 0,
        pace: 0,
        long_every: 5,
    };
    let mut full_at = None;
    live(&mut world, &mut flash, day, |_, told, now| {
        if told.states.borrow().last() == Some(&State::Full) {
            full_at.get_or_insert(now);
        }
        if full_at.is_some_and(|at| now > at + 60_000) {
            pull_the_plug();
        }
    });
    assert!(full_at.is_some());
    assert_eq!(half(&mut flash), Vec::<Vec<String>>::new());
}

/// However busy the link is meanwhile: connecting, pinging, publishing, taking PUBACKs.
fn is_reset(mood: Mood, unplugged: bool) {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(mood);
    cable.pull(unplugged);
    let (ended, told) = live(&mut world, &mut flash, WITHOUT_END, |_, _, _| {});
    let Ended::Bitten(at) = ended else {
        panic!("{ended:?}: {:#?}", told.lines.borrow());
    };
    // The first sale is in the first seconds, a step of the link may take five; and the next reset is due when the sale or
    // the delivery that is under way then is over.
    let due = LAST_PATIENCE + BITES;
    assert!((due - 5_000..due + 600_000).contains(&at), "{at}");
    assert_eq!(half(&mut flash), Vec::<Vec<String>>::new());
    assert!(world.shop.journal.is_empty());
    // The next life has all that was sold before.
    let sold = told.count("till: sold");
    world.shop.set(Mood::Well);
    cable.pull(false);
    let events = u32::try_from(sold).unwrap() + 10;
    let day = Day {
        events,
        pace: 20,
        long_every: 5,
    };
    let (ended, told) = live(&mut world, &mut flash, day, |_, _, _| {});
    assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=events));
}

#[test]
fn without_a_network_for_ten_minutes_the_board_is_reset_and_loses_nothing() {
    is_reset(Mood::Well, true);
}

#[test]
fn a_hanging_mqtt_broker_feeds_no_watchdog() {
    is_reset(Mood::Deaf, false);
}

#[test]
fn an_mqtt_broker_without_a_gateway_feeds_no_watchdog() {
    is_reset(Mood::NoGateway, false);
}

#[test]
fn a_till_that_sells_nothing_waits_for_ever() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(Mood::Away);
    let never = Day {
        events: 1,
        pace: 0,
        long_every: 5,
    };
    // It is back after twice the patience; the event of this day is sold before, and acked at once.
    let (ended, _) = live(&mut world, &mut flash, never, |world, _, _| {
        world.shop.set(Mood::Well)
    });
    assert_eq!(ended, Ended::Done);
    let (mut connected_at, before) = (None, cable.attempts());
    let (ended, told) = live(&mut world, &mut flash, never, |world, _, now| {
        let mood = if now < 2 * LAST_PATIENCE {
            Mood::Away
        } else {
            Mood::Well
        };
        world.shop.set(mood);
        if world.shop.connects == 2 {
            connected_at.get_or_insert(now);
        }
    });
    assert_eq!(ended, Ended::Done, "{:#?}", told.lines.borrow());
    assert!(connected_at.unwrap() >= 2 * LAST_PATIENCE);
    // Every five seconds at most, but for the first few.
    let attempts = cable.attempts() - before;
    assert!((100..350).contains(&attempts), "{attempts} attempts");
}
