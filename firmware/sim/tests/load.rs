//! Measures speed and cost. Run it by hand, in a release build, on an idle machine.
//!
//! `LOAD="--devices 50 --rate 0 --events 300000" cargo test --release -p comptoir-sim --test load -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::process::Command;

use common::{Acker, Faults, Mosquitto};

/// User and system time, in seconds, of the child processes that have ended.
fn children_seconds() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Fields 16 and 17 of proc(5), in ticks of 10 ms. The first element here is field 3.
    let ticks = |field: usize| fields[field - 3].parse::<f64>().unwrap() / 100.0;
    (ticks(16), ticks(17))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn load() {
    let load = std::env::var("LOAD").unwrap_or_else(|_| "--devices 50 --rate 0 --events 300000".to_owned());
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let address = format!("mqtt://127.0.0.1:{}", mosquitto.broker().port());
    let before = children_seconds();
    let mut command = Command::new("/usr/bin/env");
    command.args([env!("CARGO_BIN_EXE_pos-sim"), "--broker", &address]);
    if !load.contains("--replay") {
        command.args(["--store", "paris-1"]);
    }
    command.args(load.split_whitespace());
    let mut child = command.spawn().unwrap();
    let id = child.id();
    let peak_memory = tokio::task::spawn_blocking(move || {
        let mut peak = String::new();
        loop {
            if let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status"))
                && let Some(line) = status.lines().find(|line| line.starts_with("VmHWM"))
            {
                peak = line.to_owned();
            }
            if let Some(status) = child.try_wait().unwrap() {
                return (status, peak);
            }
            // The sampling interval: the peak can only be read while the process runs.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    let (status, peak) = peak_memory.await.unwrap();
    let (user, system) = children_seconds();
    assert!(status.success());
    #[expect(clippy::cast_precision_loss)]
    let events = acker.total() as f64;
    let (user, system) = (user - before.0, system - before.1);
    eprintln!(
        "{events} events, CPU {user:.2} s user, {system:.2} s system, {:.1} µs per event; {peak}",
        (user + system) / events * 1e6
    );
}
