//! A few seconds of each fuzz target: the committed corpus, and deterministic mutations of it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use comptoir_fuzz_targets::{bounded, queue_model, wire_decode};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

#[test]
fn any_bytes_decode_or_are_refused_and_decoded_values_round_trip() {
    assert!(bounded::run(wire_decode, &corpus("wire_decode"), 30_000) > 30_000);
}

#[test]
fn the_flash_queue_holds_what_a_model_holds_under_power_cuts() {
    assert!(bounded::run(queue_model, &corpus("queue_model"), 80) > 80);
}

/// The positive control: a run finds an input that violates a property.
#[test]
fn a_bounded_run_finds_a_violated_property() {
    fn rejects_odd_lengths(bytes: &[u8]) {
        assert!(bytes.len().is_multiple_of(2), "odd length");
    }
    let run = || bounded::run(rejects_odd_lengths, &corpus("wire_decode"), 100);
    assert!(catch_unwind(run).is_err());
}
