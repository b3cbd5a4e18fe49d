//! A panic on a thread of a library ends the process. The test starts itself again as the process that panics.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use comptoir_gateway::platform::panics;

/// What the child process does.
const ROLE: &str = "COMPTOIR_TEST_PANICS_ON";

fn run_as(role: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_process_panics_as_it_is_told", "--nocapture"])
        .env(ROLE, role)
        .output()
        .unwrap()
}

/// Only does something as a child process of the other tests.
#[test]
fn the_child_process_panics_as_it_is_told() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    panics::install_hook();
    let is_own = role == "own";
    let thread = std::thread::Builder::new().name("router-0".to_owned());
    let panicking = thread.spawn(move || {
        if is_own {
            panics::mark_own_thread();
        }
        panic!("byte index 1 is not a char boundary");
    });
    let began = Instant::now();
    while !panicking.as_ref().unwrap().is_finished() && began.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    println!("the process goes on");
    std::process::exit(7);
}

#[test]
fn a_panic_on_a_thread_of_a_library_ends_the_process_with_exit_code_1_and_one_log_line() {
    let output = run_as("library");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{log}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for words in ["a thread of a library panicked", "router-0", "char boundary"] {
        assert!(lines[0].contains(words), "{log}");
    }
}

#[test]
fn a_panic_on_one_of_our_own_threads_unwinds() {
    let output = run_as("own");
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("the process goes on"));
}
