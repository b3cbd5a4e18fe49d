//! Simulated tills against a real Mosquitto and a stand-in for the gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::process::{Child, Command};
use std::time::Duration;

use common::{Acker, Faults, Mosquitto, Run, dropping_each, plan, resend_quickly, run, until};
use comptoir_sim::{Sales, SimError};
use comptoir_wire::decode;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sells_exactly_the_requested_number_of_events_and_all_are_acked() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), true);
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(&mosquitto, 7, 0.0, 5_003);
    plan.ledger = Some(directory.path().join("ledger"));
    plan.json_tills = 30;
    let summary = run(plan).await.unwrap();
    assert_eq!((summary.sold, summary.acked, summary.unacked), (5_003, 5_003, 0));
    assert_eq!(acker.total(), 5_003);
    assert_eq!(summary.tills, 7);

    let ledger = std::fs::read_to_string(directory.path().join("ledger")).unwrap();
    let mut names = HashSet::new();
    for line in ledger.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["acked"].as_str() >= line["published"].as_str() && line["published"].is_string(),
            "{line}"
        );
        assert!(line["key"].as_str().unwrap().starts_with("o-paris-1-till-"));
        assert!(names.insert(line["ce_id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(names.len(), 5_003);
    for ((till, epoch), count) in acker.counts() {
        assert!((1..=count).all(|seq| names.contains(&format!("{till}/{epoch}/{seq}"))));
    }
    let json = (1..=7)
        .filter(|n| acker.events(&format!("paris-1/till-{n}"))[0].1[0] == b'{')
        .count();
    assert_eq!(json, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_its_rate_and_its_tills_end_offline() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let summary = run(plan(&mosquitto, 3, 200.0, 400)).await.unwrap();
    assert_eq!((summary.sold, summary.unacked), (400, 0));
    // The 400th event is due after 2 s; on a busy machine it may be later, not earlier.
    assert!(summary.seconds >= 1.9, "{summary:?}");
    let is_offline = || acker.status("paris-1/till-2").as_deref() == Some("offline");
    until("the till to be offline", is_offline).await;
}

/// Except `time_ms` and `oldest`, which depend on the clock and the acks.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_events() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mosquitto = Mosquitto::start();
        let acker = Acker::start(&mosquitto.broker(), Faults::default(), true);
        run(plan(&mosquitto, 2, 0.0, 600)).await.unwrap();
        let events: Vec<String> = acker
            .events("paris-1/till-2")
            .iter()
            .map(|(topic, bytes)| {
                let frame = decode(bytes).unwrap();
                format!(
                    "{topic} {} {} {:?}",
                    frame.header.epoch, frame.header.seq, frame.event
                )
            })
            .map(|event| {
                event
                    .split("estimated_date")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        assert_eq!(events.len(), 300);
        runs.push(events);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_gateway_missed_are_resent() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), dropping_each(53), false);
    let mut plan = plan(&mosquitto, 3, 0.0, 900);
    resend_quickly(&mut plan);
    let summary = run(plan).await.unwrap();
    assert_eq!((summary.acked, summary.unacked, acker.total()), (900, 0, 900));
    assert!(summary.resent > 0);
}

/// The 53rd of 105 events is dropped, and by then the 52 after it are in flight. If those 53 were resent as a whole,
/// the run would have the same period as the loss, and its first event would be dropped each time.
#[tokio::test(flavor = "multi_thread")]
async fn periodic_loss_in_step_with_the_resends_does_not_stall_a_till() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), dropping_each(53), false);
    acker.subscribed().await;
    let mut plan = plan(&mosquitto, 1, 0.0, 105);
    resend_quickly(&mut plan);
    let summary = run(plan).await.unwrap();
    assert_eq!((summary.acked, summary.unacked, acker.total()), (105, 0, 105));
}

#[tokio::test(flavor = "multi_thread")]
async fn tills_survive_restarts_of_the_mqtt_broker() {
    let mut mosquitto = Mosquitto::start();
    let acker = Acker::start(
        &mosquitto.broker(),
        Faults {
            drop_each: 211,
            ..Faults::default()
        },
        false,
    );
    let mut plan = plan(&mosquitto, 5, 400.0, 1_600);
    resend_quickly(&mut plan);
    let mut run = Run::start(plan);
    let mut acked = 0;
    for _ in 0..3 {
        let progress = run
            .until("another 200 acked events", |progress| {
                progress.acked > acked + 200
            })
            .await;
        acked = progress.acked;
        mosquitto.restart();
    }
    let summary = run.end().await.unwrap();
    assert_eq!((summary.sold, summary.acked, summary.unacked), (1_600, 1_600, 0));
    assert_eq!(acker.total(), 1_600);
    assert!(summary.connects > 5, "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tills_sell_while_they_wait_for_an_unreachable_mqtt_broker() {
    let mut mosquitto = Mosquitto::start();
    mosquitto.stop();
    let mut run = Run::start(plan(&mosquitto, 2, 200.0, 200));
    let progress = run
        .until("all events to be sold", |progress| progress.sold == 200)
        .await;
    assert_eq!((progress.connected_tills, progress.unacked), (0, 200));
    assert!(!run.is_finished());
    mosquitto.restart();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    assert_eq!(run.end().await.unwrap().acked, 200);
    assert_eq!(acker.total(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_waits_for_acks_and_reports_the_unacked_events() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(
        &mosquitto.broker(),
        Faults {
            ack_at_most: Some(5),
            ..Faults::default()
        },
        false,
    );
    acker.subscribed().await;
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(&mosquitto, 2, 50.0, 1_000_000);
    plan.ledger = Some(directory.path().join("ledger"));
    plan.drain = Duration::from_millis(500);
    let mut run = Run::start(plan);
    run.until("ten acked and some unacked events", |progress| {
        progress.acked == 10 && progress.unacked > 5
    })
    .await;
    run.stop();
    let summary = run.end().await.unwrap();
    assert_eq!(summary.acked, 10);
    assert_eq!(summary.unacked, summary.sold - 10);
    assert!(summary.unacked > 5);
    let ledger = std::fs::read_to_string(directory.path().join("ledger")).unwrap();
    assert_eq!(ledger.lines().count() as u64, summary.sold);
    assert_eq!(
        ledger
            .lines()
            .filter(|line| line.ends_with(r#""acked":null}"#))
            .count() as u64,
        summary.unacked
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_ctrl_c_waits_for_acks_and_the_second_ends_at_once() {
    let mosquitto = Mosquitto::start();
    let address = format!("mqtt://127.0.0.1:{}", mosquitto.broker().port());
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let pos_sim = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pos-sim"));
        command
            .args(["--broker", &address, "--store", "paris-1", "--rate", "100"])
            .stderr(std::fs::File::create(&log).unwrap());
        command.spawn().unwrap()
    };
    use rustix::process::Signal;
    let send = |child: &Child, signal| {
        let id = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(id, signal).unwrap();
    };
    let never_acks = Faults {
        ack_at_most: Some(0),
        ..Faults::default()
    };
    let acker = Acker::start(&mosquitto.broker(), never_acks, false);
    let mut unacked = pos_sim();
    until("an event", || acker.total() > 0).await;
    send(&unacked, Signal::INT);
    let is_draining = || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("waiting for the last acks")
    };
    until("the selling to stop", is_draining).await;
    assert_eq!(unacked.try_wait().unwrap(), None, "it waits for acks");
    send(&unacked, Signal::INT);
    assert_eq!(unacked.wait().unwrap().code(), Some(1));
    drop(acker);

    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    for signal in [Signal::INT, Signal::TERM] {
        let before = acker.total();
        let mut acked = pos_sim();
        until("another ten events", || acker.total() > before + 10).await;
        send(&acked, signal);
        assert_eq!(acked.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn invalid_arguments_end_with_exit_code_2_and_name_the_argument() {
    let pos_sim = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_pos-sim"))
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, hint) in [
        (&["--broker", "localhost", "--store", "s"][..], "mqtt://"),
        (&["--broker", "mqtt://localhost"][..], "--store"),
        (&[][..], "--store"),
        (
            &["till", "--broker", "mqtt://localhost", "--store", "s"][..],
            "needs a terminal",
        ),
        (
            &[
                "--broker",
                "mqtt://localhost",
                "--store",
                "s",
                "--faults",
                "fire=1",
            ][..],
            "one of power",
        ),
        (
            &["--broker", "mqtt://localhost", "--store", "S"][..],
            "lower-case",
        ),
        (
            &["--broker", "mqtt://localhost", "--replay", "/nowhere.csv"][..],
            "/nowhere.csv",
        ),
        (
            &[
                "--broker",
                "mqtt://localhost",
                "--store",
                "s",
                "--duration",
                "soon",
            ][..],
            "soon",
        ),
    ] {
        let (code, stderr) = pos_sim(arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(hint), "{stderr}");
    }
}

#[tokio::test]
async fn an_invalid_plan_is_refused() {
    let mosquitto = Mosquitto::start();
    let mut wrong = plan(&mosquitto, 0, 0.0, 1);
    assert!(matches!(run(wrong.clone()).await, Err(SimError::Plan(_))));
    wrong.sales = Sales::Invented {
        store: "Paris".to_owned(),
        devices: 1,
        rate: 0.0,
    };
    assert!(
        run(wrong)
            .await
            .unwrap_err()
            .to_string()
            .contains("'P' is not a lower-case letter")
    );
}
