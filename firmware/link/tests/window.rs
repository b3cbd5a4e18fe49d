//! The window: its rules one by one, then under loss, duplication and reordering.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use comptoir_link::{Millis, Settings, Transmission, Window};
use comptoir_wire::Ack;
use proptest::collection::vec;
use proptest::prelude::*;

const EPOCH: u32 = 7;
const MIDDLE: u32 = 1 << 31;

fn window(size: u32, events: u32) -> Window {
    let mut window = Window::new(
        EPOCH,
        Settings {
            window: size,
            ..Settings::default()
        },
    );
    for seq in 1..=events {
        assert_eq!(window.extend(), Some(seq));
    }
    window
}

fn sent(window: &mut Window, now: Millis) -> Vec<u32> {
    std::iter::from_fn(|| window.send(now, MIDDLE))
        .map(|send| send.seq)
        .collect()
}

fn ack(seq: u32) -> Ack {
    Ack { epoch: EPOCH, seq }
}

#[test]
fn events_are_sent_in_order_up_to_the_window() {
    let mut window = window(3, 5);
    assert_eq!(sent(&mut window, 0), [1, 2, 3]);
    assert_eq!(window.ack(ack(2), 1, MIDDLE), 2);
    assert_eq!(sent(&mut window, 1), [4, 5]);
    assert_eq!((window.oldest(), window.unacked()), (3, 3));
    assert_eq!(window.ack(ack(5), 2, MIDDLE), 3);
    assert_eq!(window.deadline(), None);
}

#[test]
fn acks_for_another_epoch_or_unsent_events_are_ignored() {
    let mut window = window(3, 5);
    assert_eq!(window.ack(ack(1), 0, MIDDLE), 0, "nothing was sent yet");
    sent(&mut window, 0);
    assert_eq!(
        window.ack(
            Ack {
                epoch: EPOCH + 1,
                seq: 3
            },
            0,
            MIDDLE
        ),
        0,
        "another epoch"
    );
    assert_eq!(window.ack(ack(4), 0, MIDDLE), 0, "never sent");
    assert_eq!(window.ack(ack(3), 0, MIDDLE), 3);
    assert_eq!(window.ack(ack(2), 0, MIDDLE), 0, "an old ack");
    assert_eq!(window.oldest(), 4);
}

#[test]
fn a_timeout_goes_back_to_the_oldest_event_and_doubles_the_next_timeout() {
    let mut window = window(10, 3);
    assert_eq!(sent(&mut window, 0), [1, 2, 3]);
    assert_eq!(window.deadline(), Some(2_000));
    assert!(!window.check_timeout(1_999));
    assert!(window.check_timeout(2_000));
    assert_eq!(sent(&mut window, 2_000), [1], "the others wait for its ack");
    assert_eq!(window.deadline(), Some(6_000), "doubled");
    assert_eq!(window.ack(ack(1), 3_000, MIDDLE), 1);
    assert_eq!(
        window.send(3_000, MIDDLE),
        Some(Transmission {
            seq: 2,
            is_resend: true
        })
    );
    assert_eq!(window.deadline(), Some(5_000), "progress resets the timeout");
}

#[test]
fn after_a_timeout_each_acked_event_allows_one_more_in_flight_up_to_the_window() {
    for go_back in [
        |window: &mut Window| assert!(window.check_timeout(2_000)),
        Window::on_reconnect,
    ] {
        let mut window = window(6, 100);
        assert_eq!(sent(&mut window, 0), [1, 2, 3, 4, 5, 6]);
        go_back(&mut window);
        assert_eq!(sent(&mut window, 2_000), [1]);
        for (acked, then) in [(1, vec![2, 3]), (3, vec![4, 5, 6, 7]), (7, (8..=13).collect())] {
            window.ack(ack(acked), 2_000, MIDDLE);
            assert_eq!(sent(&mut window, 2_000), then);
        }
    }
}

/// Several tills share a receiver that drops every n-th event, for many n and many lengths of the queue. If a run of n
/// events were resent as a whole, its first event would be dropped each time.
#[test]
fn periodic_loss_in_step_with_the_resends_does_not_stall_a_till() {
    for tills in [1, 3] {
        for period in 2..=130 {
            for total in [1, 2, period, 2 * period - 1, 2 * period, 150] {
                let mut windows = vec![window(64, total); tills];
                let mut seen = 0;
                let mut now = 0;
                // Each timeout is followed by an acked event, or by one more event that the receiver has seen.
                for round in 0.. {
                    assert!(
                        round < 10 * total + 100,
                        "{tills} tills, 1 of {period}, {total} events"
                    );
                    let mut is_done = true;
                    for window in &mut windows {
                        let mut taken = window.oldest() - 1;
                        while let Some(send) = window.send(now, MIDDLE) {
                            seen += 1;
                            if seen % period != 0 && send.seq == taken + 1 {
                                taken = send.seq;
                            }
                        }
                        window.ack(ack(taken), now, MIDDLE);
                        is_done &= window.unacked() == 0;
                    }
                    if is_done {
                        break;
                    }
                    if windows.iter().any(Window::can_send) {
                        continue;
                    }
                    now = windows.iter().filter_map(Window::deadline).min().unwrap();
                    windows
                        .iter_mut()
                        .for_each(|window| _ = window.check_timeout(now));
                }
            }
        }
    }
}

#[test]
fn an_ack_during_a_resend_skips_what_it_covers() {
    let mut window = window(10, 6);
    sent(&mut window, 0);
    window.on_reconnect();
    assert_eq!(
        window.send(1, MIDDLE),
        Some(Transmission {
            seq: 1,
            is_resend: true
        })
    );
    assert_eq!(window.ack(ack(4), 1, MIDDLE), 4);
    assert_eq!(sent(&mut window, 1), [5, 6]);
}

#[test]
fn a_retracted_event_does_not_count_as_a_resend() {
    let mut window = window(3, 2);
    let first = window.send(0, MIDDLE).unwrap();
    window.retract(first);
    assert_eq!((window.deadline(), window.ack(ack(1), 0, MIDDLE)), (None, 0));
    assert_eq!(
        window.send(0, MIDDLE),
        Some(Transmission {
            seq: 1,
            is_resend: false
        })
    );
    window.on_reconnect();
    let again = window.send(0, MIDDLE).unwrap();
    window.retract(again);
    assert_eq!(
        window.send(0, MIDDLE),
        Some(Transmission {
            seq: 1,
            is_resend: true
        })
    );
}

#[test]
fn after_a_restart_numbering_continues_and_acks_for_earlier_events_count() {
    let mut window = Window::resume(EPOCH, 3, 6, Settings::default());
    assert_eq!(window.oldest(), 4);
    assert_eq!(
        window.ack(ack(5), 0, MIDDLE),
        2,
        "sent before the restart, acked after it"
    );
    assert_eq!(
        window.send(0, MIDDLE),
        Some(Transmission {
            seq: 6,
            is_resend: true
        })
    );
    assert_eq!(window.extend(), Some(7));
    assert_eq!(
        window.send(0, MIDDLE),
        Some(Transmission {
            seq: 7,
            is_resend: false
        })
    );
}

#[test]
fn an_epoch_ends_before_its_last_number() {
    let mut window = Window::resume(EPOCH, u32::MAX - 2, u32::MAX - 2, Settings::default());
    assert_eq!(window.extend(), Some(u32::MAX - 1));
    assert_eq!(window.extend(), None);
    assert_eq!(sent(&mut window, 0), [u32::MAX - 1]);
    assert_eq!(window.ack(ack(u32::MAX - 1), 0, MIDDLE), 1);
    assert_eq!(window.send(0, MIDDLE), None);
}

/// What happens to one packet.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Arrives after the packets of so many later steps.
    Late(u8),
    /// The connection breaks: everything in flight is lost, in both directions.
    Breaks,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => (1u8..12).prop_map(Fate::Late),
        1 => Just(Fate::Breaks),
    ]
}

/// Packets in transit, each with the step at which it arrives.
struct Link<T> {
    in_transit: Vec<(usize, T)>,
}

impl<T: Copy> Link<T> {
    fn put(&mut self, step: usize, packet: T, fate: Fate) {
        match fate {
            Fate::Arrives => self.in_transit.push((step, packet)),
            Fate::Lost | Fate::Breaks => {}
            Fate::Twice => self.in_transit.extend([(step, packet), (step + 3, packet)]),
            Fate::Late(by) => self.in_transit.push((step + usize::from(by), packet)),
        }
    }

    fn arrived(&mut self, step: usize) -> Vec<T> {
        let (now, later) = self.in_transit.drain(..).partition(|(at, _)| *at <= step);
        self.in_transit = later;
        now.into_iter().map(|(_, packet): (usize, T)| packet).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// After any sequence of faults the gateway has accepted every event once and in order, and the till knows it; and
    /// the till never forgets an event that the gateway has not accepted.
    #[test]
    fn every_event_arrives_once_and_in_order_after_any_faults(
        fates in vec(fate(), 1..400),
        size in 1u32..20,
        total in 1u32..60,
        step_ms in 1u64..3_000,
        random in vec(any::<u32>(), 1..20),
    ) {
        let mut window = window(size, 0);
        // Each fault costs at most one timeout with its jitter.
        let limit = 2 * Settings::default().resend_max * (fates.len() as u64 + 2);
        let mut fates = fates.into_iter();
        let mut random = random.into_iter().cycle();
        let mut random = || random.next().unwrap_or(MIDDLE);
        let (mut up, mut down) = (Link { in_transit: vec![] }, Link { in_transit: vec![] });
        let mut taken = 0;
        let mut deleted = 0;
        let mut now = 0;
        for step in 0.. {
            now += step_ms;
            prop_assert!(now < limit, "no end: {window:?}");
            if window.oldest() + window.unacked() <= total {
                window.extend();
            }
            window.check_timeout(now);
            let mut in_flight_from = None;
            while let Some(send) = window.send(now, random()) {
                let from = *in_flight_from.get_or_insert(send.seq);
                prop_assert!(send.seq - window.oldest() < size, "within the window");
                prop_assert!(send.seq >= from, "in order");
                let fate = fates.next().unwrap_or(Fate::Arrives);
                up.put(step, send.seq, fate);
                if let Fate::Breaks = fate {
                    (up.in_transit, down.in_transit) = (vec![], vec![]);
                    window.on_reconnect();
                    in_flight_from = None;
                }
            }
            for seq in up.arrived(step) {
                if seq == taken + 1 {
                    taken = seq;
                }
                down.put(step, taken, fates.next().unwrap_or(Fate::Arrives));
            }
            for seq in down.arrived(step) {
                if seq > 0 {
                    deleted += window.ack(ack(seq), now, random());
                }
                prop_assert!(deleted <= taken, "the till forgot an event that the gateway does not have");
                prop_assert_eq!(window.oldest(), deleted + 1);
            }
            if deleted == total {
                break;
            }
        }
        prop_assert_eq!(taken, total);
        prop_assert_eq!(window.unacked(), 0);
        prop_assert_eq!(window.deadline(), None);
    }
}
