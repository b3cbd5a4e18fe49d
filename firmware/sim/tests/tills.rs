//! Simulated tills against a real Mosquitto and a stand-in for the gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Acker, Faults, Mosquitto, Run, run, run_within, until};
use comptoir_sim::{End, Plan, Sales, SimError, faults};
use comptoir_wire::decode;

fn plan(mosquitto: &Mosquitto, devices: u32, rate: f64, events: u64) -> Plan {
    let mut plan = Plan::new(mosquitto.broker(), "paris-1", devices, rate);
    plan.seed = 42;
    plan.end = End::Events(events);
    plan
}

fn dropping_each(count: u64) -> Faults {
    Faults {
        drop_each: count,
        ..Faults::default()
    }
}

fn resend_quickly(plan: &mut Plan) {
    plan.link.resend = 200;
    plan.link.resend_max = 1_000;
}

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
async fn a_queue_on_disk_continues_after_a_kill() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    acker.subscribed().await;
    let directory = tempfile::tempdir().unwrap();
    let (queue, ledger) = (directory.path().join("queue"), directory.path().join("ledger"));
    let pos_sim = |rate: &str, events: &str, seed: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pos-sim"));
        let address = format!("mqtt://127.0.0.1:{}", mosquitto.broker().port());
        command.args([
            "--broker",
            &address,
            "--store",
            "paris-1",
            "--devices",
            "3",
            "--rate",
            rate,
        ]);
        command
            .args(["--events", events, "--seed", seed])
            .arg("--queue")
            .arg(&queue)
            .arg("--ledger")
            .arg(&ledger)
            .stderr(Stdio::null());
        command
    };
    let mut before = 0;
    for seed in ["1", "2", "3"] {
        let mut killed = pos_sim("600", "1000000", seed).spawn().unwrap();
        until("another 100 events", || acker.total() > before + 100).await;
        killed.kill().unwrap();
        killed.wait().unwrap();
        before = acker.total();
    }
    let tills = acker.counts();
    assert_eq!(tills.len(), 3, "the epochs stay the same under other seeds");

    let summary = directory.path().join("summary");
    let status = pos_sim("0", "300", "4")
        .arg("--summary")
        .arg(&summary)
        .status()
        .unwrap();
    assert!(status.success());
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    assert_eq!(
        (summary["sold"].as_u64(), summary["unacked"].as_u64()),
        (Some(300), Some(0))
    );
    // Every acked event is in the ledger, no matter in which run it was acked.
    let ledger = std::fs::read_to_string(ledger).unwrap();
    let acked: HashSet<String> = ledger
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["acked"].is_string())
        .filter_map(|line| Some(line["ce_id"].as_str()?.to_owned()))
        .collect();
    for ((till, epoch), count) in acker.counts() {
        for seq in 1..=count {
            let name = format!("{till}/{epoch}/{seq}");
            assert!(acked.contains(&name), "{name} is not in the ledger");
        }
    }
    // The acker accepts only consecutive numbers, so there are no holes.
    assert!(acker.total() >= before + 300);
    assert_eq!(
        acker.counts().keys().collect::<HashSet<_>>(),
        tills.keys().collect()
    );
}

/// The gateway has events under the same names, and acks more than this run has sold. So the run takes another epoch.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_with_the_same_seed_takes_another_epoch() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let directory = tempfile::tempdir().unwrap();
    run(plan(&mosquitto, 2, 0.0, 500)).await.unwrap();
    for time in 1..=2 {
        let mut again = plan(&mosquitto, 2, 0.0, 300);
        resend_quickly(&mut again);
        again.ledger = Some(directory.path().join("ledger"));
        let summary = run(again).await.unwrap();
        assert_eq!(
            (summary.sold, summary.acked, summary.unacked, summary.lost),
            (300, 300, 0, 0)
        );
        assert_eq!(acker.total(), 500 + time * 300);
        let ledger = std::fs::read_to_string(directory.path().join("ledger")).unwrap();
        let names: HashSet<String> = ledger
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["ce_id"].to_string())
            .collect();
        assert_eq!(names.len(), 300);
    }
}

/// With fewer events than the window holds, as many, and more.
#[tokio::test(flavor = "multi_thread")]
async fn acks_of_an_earlier_run_delete_no_events_of_the_same_run_repeated() {
    for events in [40, 100, 300] {
        let mosquitto = Mosquitto::start();
        let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
        for time in 1..=2 {
            let mut plan = plan(&mosquitto, 1, 0.0, events);
            resend_quickly(&mut plan);
            let summary = run(plan).await.unwrap();
            assert_eq!((summary.acked, summary.unacked), (events, 0));
            assert_eq!(acker.total(), time * events);
        }
    }
}

/// Uses only a few tills: most of the time goes into the search for bit flips in writes that a power cut has torn.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_with_the_same_seed_loses_nothing_under_power_cuts() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    for time in 1..=2 {
        let mut plan = plan(&mosquitto, 10, 0.0, 1_000);
        resend_quickly(&mut plan);
        plan.faults = faults::Faults::default().with(faults::Kind::Power, 50);
        let summary = run(plan).await.unwrap();
        assert_eq!((summary.acked, summary.unacked, summary.lost), (1_000, 0, 0));
        assert_eq!(acker.total(), time * 1_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_all_kinds_lose_and_duplicate_nothing() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), true);
    let mut plan = plan(&mosquitto, 20, 0.0, 2_000);
    resend_quickly(&mut plan);
    plan.json_tills = 20;
    // Lower rates, because a pause follows each broken connection, and long hangs take minutes.
    let rare = faults::Faults::all(5).with(faults::Kind::Break, 2);
    plan.faults = rare.with(faults::Kind::Hang, 1);
    // Leaves time for several long hangs, one after the other.
    let limit = Duration::from_secs(400);
    let summary = run_within(limit, plan).await.unwrap();
    assert_eq!(
        (summary.sold, summary.acked, summary.unacked, summary.lost),
        (2_000, 2_000, 0, 0)
    );
    assert_eq!(acker.total(), 2_000);
    assert_eq!(summary.faults.len(), 8, "{:?}", summary.faults);
    assert!(
        summary.faults.values().all(|&count| count > 10),
        "{:?}",
        summary.faults
    );
}

/// At the highest rate that the queue can correct, and with more bit flips than restarts.
#[tokio::test(flavor = "multi_thread")]
async fn bit_flips_on_flash_lose_no_events() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let mut plan = plan(&mosquitto, 10, 0.0, 2_000);
    resend_quickly(&mut plan);
    plan.faults = faults::Faults::default()
        .with(faults::Kind::Flash, 30)
        .with(faults::Kind::Power, 10);
    let summary = run(plan).await.unwrap();
    assert_eq!(
        (summary.sold, summary.acked, summary.unacked, summary.lost),
        (2_000, 2_000, 0, 0)
    );
    assert_eq!(acker.total(), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_tills_flash_is_refused_and_not_modified() {
    let mosquitto = Mosquitto::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("paris-1_till-1.queue");
    std::fs::write(&file, "my holiday notes").unwrap();
    let mut plan = plan(&mosquitto, 1, 0.0, 10);
    plan.queue = Some(directory.path().to_owned());
    let error = run(plan).await.unwrap_err().to_string();
    assert!(error.contains("paris-1_till-1.queue is not"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "my holiday notes");
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
