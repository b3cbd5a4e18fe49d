//! The window, rule by rule, then against links that lose, double and reorder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use comptoir_link::{Millis, Send, Settings, Window};
use comptoir_wire::Ack;
use proptest::collection::vec;
use proptest::prelude::*;

const EPOCH: u32 = 7;
const MIDDLE: u32 = 1 << 31;

fn window(size: u32, sold: u32) -> Window {
    let mut window = Window::new(
        EPOCH,
        Settings {
            window: size,
            ..Settings::default()
        },
    );
    for seq in 1..=sold {
        assert_eq!(window.sell(), Some(seq));
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
fn sends_in_order_up_to_the_window() {
    let mut window = window(3, 5);
    assert_eq!(sent(&mut window, 0), [1, 2, 3]);
    assert_eq!(window.ack(ack(2), 1, MIDDLE), 2);
    assert_eq!(sent(&mut window, 1), [4, 5]);
    assert_eq!((window.oldest(), window.unacked()), (3, 3));
    assert_eq!(window.ack(ack(5), 2, MIDDLE), 3);
    assert_eq!(window.deadline(), None);
}

#[test]
fn only_acks_that_can_be_true_count() {
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
    assert_eq!(window.ack(ack(2), 0, MIDDLE), 0, "acks do not go back");
    assert_eq!(window.oldest(), 4);
}

#[test]
fn goes_back_to_the_oldest_after_a_timeout_ever_more_slowly() {
    let mut window = window(10, 3);
    assert_eq!(sent(&mut window, 0), [1, 2, 3]);
    assert_eq!(window.deadline(), Some(2_000));
    assert!(!window.expire(1_999));
    assert!(window.expire(2_000));
    assert_eq!(sent(&mut window, 2_000), [1], "the others wait for its ack");
    assert_eq!(window.deadline(), Some(6_000), "doubled");
    assert_eq!(window.ack(ack(1), 3_000, MIDDLE), 1);
    assert_eq!(window.send(3_000, MIDDLE), Some(Send { seq: 2, again: true }));
    assert_eq!(window.deadline(), Some(5_000), "progress: the first wait again");
}

#[test]
fn each_acked_event_lets_one_more_be_in_flight_after_a_timeout_up_to_the_window() {
    for go_back in [
        |window: &mut Window| assert!(window.expire(2_000)),
        Window::reconnected,
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

/// Tills share a receiver that overlooks each n-th event, whatever n is and however many events are left: sent again as
/// a whole, a run of n events would lose its first one each time.
#[test]
fn loss_in_step_with_the_resends_does_not_stop_a_till() {
    for tills in [1, 3] {
        for period in 2..=130 {
            for total in [1, 2, period, 2 * period - 1, 2 * period, 150] {
                let mut windows = vec![window(64, total); tills];
                let mut seen = 0;
                let mut now = 0;
                // Each timeout is followed by an acked event, or by one more event seen.
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
                    windows.iter_mut().for_each(|window| _ = window.expire(now));
                }
            }
        }
    }
}

#[test]
fn an_ack_while_going_back_skips_what_it_covers() {
    let mut window = window(10, 6);
    sent(&mut window, 0);
    window.reconnected();
    assert_eq!(window.send(1, MIDDLE), Some(Send { seq: 1, again: true }));
    assert_eq!(window.ack(ack(4), 1, MIDDLE), 4);
    assert_eq!(sent(&mut window, 1), [5, 6]);
}

#[test]
fn what_was_not_sent_after_all_is_not_sent_again() {
    let mut window = window(3, 2);
    let first = window.send(0, MIDDLE).unwrap();
    window.retract(first);
    assert_eq!((window.deadline(), window.ack(ack(1), 0, MIDDLE)), (None, 0));
    assert_eq!(window.send(0, MIDDLE), Some(Send { seq: 1, again: false }));
    window.reconnected();
    let again = window.send(0, MIDDLE).unwrap();
    window.retract(again);
    assert_eq!(window.send(0, MIDDLE), Some(Send { seq: 1, again: true }));
}

#[test]
fn resumes_with_the_next_number_and_believes_acks_for_the_old_ones() {
    let mut window = Window::resume(EPOCH, 3, 6, Settings::default());
    assert_eq!(window.oldest(), 4);
    assert_eq!(
        window.ack(ack(5), 0, MIDDLE),
        2,
        "sent before the restart, acked after it"
    );
    assert_eq!(window.send(0, MIDDLE), Some(Send { seq: 6, again: true }));
    assert_eq!(window.sell(), Some(7));
    assert_eq!(window.send(0, MIDDLE), Some(Send { seq: 7, again: false }));
}

#[test]
fn the_numbers_end() {
    let mut window = Window::resume(EPOCH, u32::MAX - 2, u32::MAX - 2, Settings::default());
    assert_eq!(window.sell(), Some(u32::MAX - 1));
    assert_eq!(window.sell(), None);
    assert_eq!(sent(&mut window, 0), [u32::MAX - 1]);
    assert_eq!(window.ack(ack(u32::MAX - 1), 0, MIDDLE), 1);
    assert_eq!(window.send(0, MIDDLE), None);
}

/// What the link does to one packet.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// After the packets of the next so many steps.
    Late(u8),
    /// The connection breaks: all in flight is lost, both ways.
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

/// Packets under way, each with the step at which it arrives.
struct Link<T> {
    under_way: Vec<(usize, T)>,
}

impl<T: Copy> Link<T> {
    fn put(&mut self, step: usize, packet: T, fate: Fate) {
        match fate {
            Fate::Arrives => self.under_way.push((step, packet)),
            Fate::Lost | Fate::Breaks => {}
            Fate::Twice => self.under_way.extend([(step, packet), (step + 3, packet)]),
            Fate::Late(by) => self.under_way.push((step + usize::from(by), packet)),
        }
    }

    fn arrived(&mut self, step: usize) -> Vec<T> {
        let (now, later) = self.under_way.drain(..).partition(|(at, _)| *at <= step);
        self.under_way = later;
        now.into_iter().map(|(_, packet): (usize, T)| packet).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever the link does for a while, in the end the gateway has taken every event once and in order,
    /// and the terminal knows it; and at no moment does the terminal forget an event the gateway has not
    /// taken.
    #[test]
    fn everything_gets_through_in_order(
        fates in vec(fate(), 1..400),
        size in 1u32..20,
        total in 1u32..60,
        step_ms in 1u64..3_000,
        random in vec(any::<u32>(), 1..20),
    ) {
        let mut window = window(size, 0);
        // Each fault costs at most one wait, with its jitter.
        let patience = 2 * Settings::default().resend_max * (fates.len() as u64 + 2);
        let mut fates = fates.into_iter();
        let mut random = random.into_iter().cycle();
        let mut random = || random.next().unwrap_or(MIDDLE);
        let (mut up, mut down) = (Link { under_way: vec![] }, Link { under_way: vec![] });
        let mut taken = 0;
        let mut deleted = 0;
        let mut now = 0;
        for step in 0.. {
            now += step_ms;
            prop_assert!(now < patience, "no end: {window:?}");
            if window.oldest() + window.unacked() <= total {
                window.sell();
            }
            window.expire(now);
            let mut in_flight_from = None;
            while let Some(send) = window.send(now, random()) {
                let from = *in_flight_from.get_or_insert(send.seq);
                prop_assert!(send.seq - window.oldest() < size, "within the window");
                prop_assert!(send.seq >= from, "in order");
                let fate = fates.next().unwrap_or(Fate::Arrives);
                up.put(step, send.seq, fate);
                if let Fate::Breaks = fate {
                    (up.under_way, down.under_way) = (vec![], vec![]);
                    window.reconnected();
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
                prop_assert!(deleted <= taken, "forgot what the gateway does not have");
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
