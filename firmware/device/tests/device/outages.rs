//! Outages: the till sells through any outage and delivers afterwards. If the link hangs for too long, the board is reset.

use std::collections::HashMap;

use comptoir_device::State;
use comptoir_wire::Event;

use crate::cable::Cable;
use crate::machine::{Day, Flash, Outcome, WATCHDOG, World, blank, cut_power, held, run_till};
use crate::shop::Condition;

const DAY: Day = Day {
    events: 120,
    pace: 500,
    long_every: 5,
};
const ENDLESS: Day = Day {
    events: 0,
    pace: 20_000,
    long_every: 5,
};
/// Milliseconds without an ack until the till no longer feeds the hardware watchdog.
const RESET_TIMEOUT: u64 = 600_000;

/// Runs a day with an outage from the tenth to the fortieth second. All events arrive, once and in order, and the till sells
/// during the outage.
fn assert_survives(mut set_outage: impl FnMut(&mut World<'_>, bool)) {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    let (mut was_out, mut sold_during_outage) = (false, 0);
    let (outcome, log) = run_till(&mut world, &mut flash, DAY, |world, log, now| {
        let is_out = (10_000..40_000).contains(&now);
        if is_out != was_out {
            was_out = is_out;
            set_outage(world, is_out);
            sold_during_outage = log.count("till: sold") - sold_during_outage;
        }
    });
    assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=DAY.events));
    assert!(
        sold_during_outage >= 55,
        "only {sold_during_outage} events were sold"
    );
    assert!(log.states.borrow().contains(&State::Offline) || world.shop.connects == 1);
}

#[test]
fn the_till_survives_an_unplugged_cable() {
    assert_survives(|world, is_out| world.cable.set_unplugged(is_out));
}

#[test]
fn the_till_survives_an_unreachable_mqtt_broker() {
    assert_survives(|world, is_out| {
        world.shop.set(if is_out {
            Condition::Unreachable
        } else {
            Condition::Working
        })
    });
}

#[test]
fn the_till_survives_a_hanging_mqtt_broker() {
    assert_survives(|world, is_out| {
        world.shop.set(if is_out {
            Condition::Hanging
        } else {
            Condition::Working
        })
    });
}

#[test]
fn the_till_survives_an_unreachable_gateway() {
    assert_survives(|world, is_out| {
        world.shop.set(if is_out {
            Condition::NoGateway
        } else {
            Condition::Working
        })
    });
}

#[test]
fn a_full_queue_is_shown_and_selling_resumes_once_there_is_room() {
    for condition in [Condition::NoGateway, Condition::Unreachable] {
        let (cable, mut flash) = (Cable::default(), blank());
        let mut world = World::new(&cable);
        world.shop.set(condition);
        let day = Day {
            events: 900,
            pace: 0,
            long_every: 5,
        };
        let mut sold = 0;
        let (outcome, log) = run_till(&mut world, &mut flash, day, |world, log, _| {
            if sold == 0 && log.states.borrow().contains(&State::Full) {
                sold = log.count("till: sold");
                world.shop.set(Condition::Working);
            }
        });
        assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
        assert!(
            sold > 0 && sold < 900,
            "{sold} were sold until the queue was full"
        );
        assert!(world.shop.journal.keys().copied().eq(1..=day.events));
        assert_eq!(log.states.borrow().last(), Some(&State::Idle));
    }
}

/// The status histories of the unfinished orders on the flash.
fn unfinished_orders(flash: &mut Flash) -> Vec<Vec<String>> {
    let mut histories = HashMap::<String, Vec<String>>::new();
    held(flash, |event| {
        let word = match event {
            Event::Order(order) => order.status.to_string(),
            Event::Payment(payment) => payment.status.to_string(),
            Event::Delivery(delivery) => delivery.status.to_string(),
        };
        histories
            .entry(event.order_id().to_owned())
            .or_default()
            .push(word);
    });
    assert!(histories.len() > 5, "{histories:#?}");
    let ends = ["Completed", "Cancelled"];
    let is_unfinished = |history: &Vec<String>| !ends.contains(&history.last().unwrap().as_str());
    histories.into_values().filter(is_unfinished).collect()
}

/// The till detects a full queue before a sale, so an order that has begun can be finished even without a gateway.
#[test]
fn a_full_queue_leaves_no_order_unfinished() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(Condition::NoGateway);
    let day = Day {
        events: 0,
        pace: 0,
        long_every: 5,
    };
    let mut full_at = None;
    run_till(&mut world, &mut flash, day, |_, log, now| {
        if log.states.borrow().last() == Some(&State::Full) {
            full_at.get_or_insert(now);
        }
        if full_at.is_some_and(|at| now > at + 60_000) {
            cut_power();
        }
    });
    assert!(full_at.is_some());
    assert_eq!(unfinished_orders(&mut flash), Vec::<Vec<String>>::new());
}

/// The board is reset although the link is busy with connecting, pinging, publishing and receiving PUBACKs.
fn assert_reset(condition: Condition, unplugged: bool) {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(condition);
    cable.set_unplugged(unplugged);
    let (outcome, log) = run_till(&mut world, &mut flash, ENDLESS, |_, _, _| {});
    let Outcome::Reset(at) = outcome else {
        panic!("{outcome:?}: {:#?}", log.lines.borrow());
    };
    // The first sale is in the first seconds, and one step of the link may take five. A sale or a delivery in progress delays
    // the reset until it is finished.
    let due = RESET_TIMEOUT + WATCHDOG;
    assert!((due - 5_000..due + 600_000).contains(&at), "{at}");
    assert_eq!(unfinished_orders(&mut flash), Vec::<Vec<String>>::new());
    assert!(world.shop.journal.is_empty());
    // The next run delivers everything sold before.
    let sold = log.count("till: sold");
    world.shop.set(Condition::Working);
    cable.set_unplugged(false);
    let events = u32::try_from(sold).unwrap() + 10;
    let day = Day {
        events,
        pace: 20,
        long_every: 5,
    };
    let (outcome, log) = run_till(&mut world, &mut flash, day, |_, _, _| {});
    assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
    assert!(world.shop.journal.keys().copied().eq(1..=events));
}

#[test]
fn after_ten_minutes_without_a_network_the_board_is_reset_and_loses_nothing() {
    assert_reset(Condition::Working, true);
}

#[test]
fn a_hanging_mqtt_broker_does_not_feed_the_watchdog() {
    assert_reset(Condition::Hanging, false);
}

#[test]
fn an_mqtt_broker_without_a_gateway_does_not_feed_the_watchdog() {
    assert_reset(Condition::NoGateway, false);
}

#[test]
fn a_till_without_unacked_events_is_never_reset() {
    let (cable, mut flash) = (Cable::default(), blank());
    let mut world = World::new(&cable);
    world.shop.set(Condition::Unreachable);
    let never = Day {
        events: 1,
        pace: 0,
        long_every: 5,
    };
    // The only event is sold and acked first. Then the broker is unreachable for twice the timeout.
    let (outcome, _) = run_till(&mut world, &mut flash, never, |world, _, _| {
        world.shop.set(Condition::Working)
    });
    assert_eq!(outcome, Outcome::Done);
    let (mut connected_at, before) = (None, cable.attempts());
    let (outcome, log) = run_till(&mut world, &mut flash, never, |world, _, now| {
        let condition = if now < 2 * RESET_TIMEOUT {
            Condition::Unreachable
        } else {
            Condition::Working
        };
        world.shop.set(condition);
        if world.shop.connects == 2 {
            connected_at.get_or_insert(now);
        }
    });
    assert_eq!(outcome, Outcome::Done, "{:#?}", log.lines.borrow());
    assert!(connected_at.unwrap() >= 2 * RESET_TIMEOUT);
    // At most one attempt every five seconds, except for the first few.
    let attempts = cable.attempts() - before;
    assert!((100..350).contains(&attempts), "{attempts} attempts");
}
