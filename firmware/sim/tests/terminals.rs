//! Terminals against a real Mosquitto, and a stand-in for the gateway that acks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Acker, Faults, Mosquitto, run, run_until, run_within, until};
use comptoir_sim::{End, Plan, Sales, SimError, faults};
use comptoir_wire::decode;
use tokio_util::sync::CancellationToken;

fn plan(mosquitto: &Mosquitto, devices: u32, rate: f64, events: u64) -> Plan {
    let mut plan = Plan::new(mosquitto.broker(), "paris-1", devices, rate);
    plan.seed = 42;
    plan.end = End::Events(events);
    plan
}

fn quick(plan: &mut Plan) {
    plan.link.resend = 200;
    plan.link.resend_max = 1_000;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_as_many_events_as_asked_for_all_acked() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), true);
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(&mosquitto, 7, 0.0, 5_003);
    plan.ledger = Some(directory.path().join("ledger"));
    plan.json_terminals = 30;
    let summary = run(plan).await.unwrap();
    assert_eq!((summary.sold, summary.acked, summary.unacked), (5_003, 5_003, 0));
    assert_eq!(acker.total(), 5_003);
    assert_eq!(summary.terminals, 7);

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
    for ((terminal, epoch), count) in acker.counts() {
        assert!((1..=count).all(|seq| names.contains(&format!("{terminal}/{epoch}/{seq}"))));
    }
    let json = (1..=7)
        .filter(|n| acker.events(&format!("paris-1/till-{n}"))[0].1[0] == b'{')
        .count();
    assert_eq!(json, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_its_rate_and_ends_offline() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let summary = run(plan(&mosquitto, 3, 200.0, 400)).await.unwrap();
    assert_eq!((summary.sold, summary.unacked), (400, 0));
    // The 400th is due after 2 s; a machine that is busy may only be later.
    assert!(summary.seconds >= 1.9, "{summary:?}");
    let is_offline = || acker.status("paris-1/till-2").as_deref() == Some("offline");
    until("the till to be offline", is_offline).await;
}

/// Bytes apart from the moment: `time_ms` and `oldest` follow the clock and the acks.
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
async fn sends_again_what_was_overlooked() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(
        &mosquitto.broker(),
        Faults {
            overlook_each: 53,
            ..Faults::default()
        },
        false,
    );
    let mut plan = plan(&mosquitto, 3, 0.0, 900);
    quick(&mut plan);
    let summary = run(plan).await.unwrap();
    assert_eq!((summary.acked, summary.unacked, acker.total()), (900, 0, 900));
    assert!(summary.resent > 0);
}

/// Of 105 events the 53rd is overlooked, and all 52 behind it are in flight by then: sent again as a whole, the run has
/// the acker's period, and its first event is overlooked each time.
#[tokio::test(flavor = "multi_thread")]
async fn loss_in_step_with_the_resends_does_not_stop_a_till() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(
        &mosquitto.broker(),
        Faults {
            overlook_each: 53,
            ..Faults::default()
        },
        false,
    );
    acker.listens().await;
    let mut plan = plan(&mosquitto, 1, 0.0, 105);
    quick(&mut plan);
    let summary = run(plan).await.unwrap();
    assert_eq!((summary.acked, summary.unacked, acker.total()), (105, 0, 105));
}

#[tokio::test(flavor = "multi_thread")]
async fn outlives_restarts_of_the_mqtt_broker() {
    let mut mosquitto = Mosquitto::start();
    let acker = Acker::start(
        &mosquitto.broker(),
        Faults {
            overlook_each: 211,
            ..Faults::default()
        },
        false,
    );
    let mut plan = plan(&mosquitto, 5, 400.0, 1_600);
    quick(&mut plan);
    let running = tokio::spawn(run(plan));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        mosquitto.restart();
    }
    let summary = running.await.unwrap().unwrap();
    assert_eq!((summary.sold, summary.acked, summary.unacked), (1_600, 1_600, 0));
    assert_eq!(acker.total(), 1_600);
    assert!(summary.connects > 5, "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_an_mqtt_broker_that_is_not_there_yet_and_sells_meanwhile() {
    let mut mosquitto = Mosquitto::start();
    mosquitto.stop();
    let running = tokio::spawn(run(plan(&mosquitto, 2, 200.0, 200)));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!running.is_finished());
    mosquitto.restart();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    assert_eq!(running.await.unwrap().unwrap().acked, 200);
    assert_eq!(acker.total(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_it_drains_and_tells_what_is_left() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(
        &mosquitto.broker(),
        Faults {
            ack_at_most: Some(5),
            ..Faults::default()
        },
        false,
    );
    acker.listens().await;
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(&mosquitto, 2, 50.0, 1_000_000);
    plan.ledger = Some(directory.path().join("ledger"));
    plan.drain = Duration::from_millis(500);
    let stop = CancellationToken::new();
    let running = tokio::spawn(run_until(plan, stop.clone()));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    stop.cancel();
    let summary = running.await.unwrap().unwrap();
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
async fn a_queue_on_disk_goes_on_after_a_kill() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    acker.listens().await;
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
    let terminals = acker.counts();
    assert_eq!(terminals.len(), 3, "the same epochs, though the seeds are others");

    let summary = directory.path().join("summary");
    let ended = pos_sim("0", "300", "4")
        .arg("--summary")
        .arg(&summary)
        .status()
        .unwrap();
    assert!(ended.success());
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    assert_eq!(
        (summary["sold"].as_u64(), summary["unacked"].as_u64()),
        (Some(300), Some(0))
    );
    // What was acked stands in the ledger, whichever of the runs it was acked in.
    let ledger = std::fs::read_to_string(ledger).unwrap();
    let acked: HashSet<String> = ledger
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["acked"].is_string())
        .filter_map(|line| Some(line["ce_id"].as_str()?.to_owned()))
        .collect();
    for ((terminal, epoch), count) in acker.counts() {
        for seq in 1..=count {
            let name = format!("{terminal}/{epoch}/{seq}");
            assert!(acked.contains(&name), "{name} is not in the ledger");
        }
    }
    // Without holes from 1 on: the acker takes no others.
    assert!(acker.total() >= before + 300);
    assert_eq!(
        acker.counts().keys().collect::<HashSet<_>>(),
        terminals.keys().collect()
    );
}

/// The names are taken: the gateway acks more than this run has sold. So it takes others, and what it sold arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_seed_used_before_takes_other_names() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let directory = tempfile::tempdir().unwrap();
    run(plan(&mosquitto, 2, 0.0, 500)).await.unwrap();
    for time in 1..=2 {
        let mut again = plan(&mosquitto, 2, 0.0, 300);
        quick(&mut again);
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

/// As many events as the window holds, fewer, and more: acks of the run before make none of this one's safe.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_run_again_arrives_again() {
    for events in [40, 100, 300] {
        let mosquitto = Mosquitto::start();
        let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
        for time in 1..=2 {
            let mut plan = plan(&mosquitto, 1, 0.0, events);
            quick(&mut plan);
            let summary = run(plan).await.unwrap();
            assert_eq!((summary.acked, summary.unacked), (events, 0));
            assert_eq!(acker.total(), time * events);
        }
    }
}

/// Also of terminals whose power is about to go. Few: to look for turned bits in what a cut has torn takes most of the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_seed_used_before_takes_other_names_under_power_cuts() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    for time in 1..=2 {
        let mut plan = plan(&mosquitto, 10, 0.0, 1_000);
        quick(&mut plan);
        plan.faults = faults::Faults::default().with(faults::Kind::Power, 50);
        let summary = run(plan).await.unwrap();
        assert_eq!((summary.acked, summary.unacked, summary.lost), (1_000, 0, 0));
        assert_eq!(acker.total(), time * 1_000);
    }
}

/// Of every kind at once.
#[tokio::test(flavor = "multi_thread")]
async fn faults_lose_and_double_nothing() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), true);
    let mut plan = plan(&mosquitto, 20, 0.0, 2_000);
    quick(&mut plan);
    plan.json_terminals = 20;
    // Each broken connection is followed by a pause, and long hangs take minutes.
    let rare = faults::Faults::all(5).with(faults::Kind::Break, 2);
    plan.faults = rare.with(faults::Kind::Hang, 1);
    // Time for some of the long ones, one after the other.
    let limit = Duration::from_secs(400);
    let summary = run_within(limit, plan, CancellationToken::new()).await.unwrap();
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

/// As often as can be, and more often than a terminal starts anew.
#[tokio::test(flavor = "multi_thread")]
async fn bits_of_the_flash_that_turn_cost_nothing() {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let mut plan = plan(&mosquitto, 10, 0.0, 2_000);
    quick(&mut plan);
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
async fn a_file_that_is_no_queue_is_refused() {
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
async fn ctrl_c_drains_and_a_second_one_does_not() {
    let mosquitto = Mosquitto::start();
    let address = format!("mqtt://127.0.0.1:{}", mosquitto.broker().port());
    let pos_sim = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pos-sim"));
        command
            .args(["--broker", &address, "--store", "paris-1", "--rate", "100"])
            .stderr(Stdio::null());
        command.spawn().unwrap()
    };
    use rustix::process::Signal;
    let send = |child: &Child, signal| {
        let id = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(id, signal).unwrap();
    };
    let mut hopeless = pos_sim();
    tokio::time::sleep(Duration::from_millis(700)).await;
    send(&hopeless, Signal::INT);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(hopeless.try_wait().unwrap(), None, "nobody acks, so it waits");
    send(&hopeless, Signal::INT);
    assert_eq!(hopeless.wait().unwrap().code(), Some(1));

    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    for signal in [Signal::INT, Signal::TERM] {
        let before = acker.total();
        let mut drained = pos_sim();
        until("an event", || acker.total() > before + 10).await;
        send(&drained, signal);
        assert_eq!(drained.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_command_line_refuses_nonsense_with_exit_code_2() {
    let pos_sim = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_pos-sim"))
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, told) in [
        (&["--broker", "localhost", "--store", "s"][..], "mqtt://"),
        (&["--broker", "mqtt://localhost"][..], "--store"),
        (&[][..], "--store"),
        (
            &["till", "--broker", "mqtt://localhost", "--store", "s"][..],
            "no terminal",
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
            "none of power",
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
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
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
