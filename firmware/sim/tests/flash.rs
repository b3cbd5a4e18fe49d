//! What tills keep in their flash outlasts kills, power cuts, bit flips and repeated runs, against a real Mosquitto and a
//! stand-in for the gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Acker, Faults, Mosquitto, plan, resend_quickly, run, run_within, until};
use comptoir_sim::faults;

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
