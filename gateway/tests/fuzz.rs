//! A few seconds of the fuzz target `decode`: the committed corpus, and deterministic mutations of it. See
//! `gateway/fuzz/README.md`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use comptoir_core::sale::Currency;
use comptoir_gateway::ingest::decode::Decoder;
use comptoir_journal::EntryKind;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../fuzz/decode.rs"]
mod decode;

/// Mutated inputs of one run.
const CASES: u32 = 40_000;
/// Maximum length of a mutated input, in bytes.
const MAX_LEN: usize = 2_048;
const SEED: u64 = 20_261_129;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The committed inputs of a folder, sorted by name, which makes the run deterministic.
fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder().join(name).join("decode")).unwrap();
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

/// The fragments in libFuzzer's dictionary format: quoted, with `\\`, `\"` and `\xAB` as escapes.
fn dictionary() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder().join("json.dict")).unwrap();
    let quoted = text
        .lines()
        .filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

fn unescaped(quoted: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), quoted.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [b'x', hex @ ..]) => {
                let digits = std::str::from_utf8(&hex[..2]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &hex[2..];
            }
            (b'\\', [escaped, after @ ..]) => {
                bytes.push(*escaped);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

/// A random JSON value in the input: from after a colon up to the next comma or brace.
fn value(input: &[u8], random: &mut StdRng) -> Option<Range<usize>> {
    let colons = input.iter().enumerate().filter(|(_, byte)| **byte == b':');
    let begin = colons.map(|(at, _)| at + 1).choose(random)?;
    let length = input[begin..]
        .iter()
        .position(|byte| matches!(byte, b',' | b'}'))?;
    Some(begin..begin + length)
}

/// Changes an input of the corpus. Half of the changes replace a whole JSON value, so that many results are still events; the
/// others change single bytes, insert fragments, and splice in parts of other inputs.
fn mutate(corpus: &[(String, Vec<u8>)], dictionary: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = corpus[random.random_range(0..corpus.len())].1.clone();
    for _ in 0..random.random_range(1..=3) {
        let at = random.random_range(0..=input.len());
        let fragment = &dictionary[random.random_range(0..dictionary.len())];
        let other = &corpus[random.random_range(0..corpus.len())].1;
        match random.random_range(0..12) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 if at < input.len() => input[at] = random.random(),
            2 => input.insert(at, random.random()),
            3 => {
                let end = input.len().min(at + random.random_range(1..=8));
                input.drain(at..end);
            }
            4 => _ = input.splice(at..at, fragment.iter().copied()),
            5 => {
                input.truncate(at);
                input.extend_from_slice(&other[random.random_range(0..=other.len())..]);
            }
            kind => {
                let (Some(old), Some(new)) = (value(&input, random), value(other, random)) else {
                    continue;
                };
                let new = if kind < 9 { fragment } else { &other[new] };
                input.splice(old, new.iter().copied());
            }
        }
    }
    input.truncate(MAX_LEN);
    input
}

fn run_one(input: &[u8], name: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| decode::decode(input))) {
        eprintln!("the fuzz target failed on {name}: {}", input.escape_ascii());
        resume_unwind(panic);
    }
}

fn is_event(input: &[u8]) -> bool {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return false;
    };
    let decoder = Decoder {
        store: "paris-1".to_owned(),
        currency: Currency::EUR,
    };
    let submission = decoder.decode(&input[..end], &input[end + 1..], Timestamp::UNIX_EPOCH);
    matches!(submission.kind, EntryKind::Event(_))
}

#[test]
fn any_publish_is_an_event_that_decodes_again_or_a_dead_letter() {
    let (corpus, dictionary) = (inputs("corpus"), dictionary());
    for (name, input) in &corpus {
        run_one(input, name);
    }
    let mut random = StdRng::seed_from_u64(SEED);
    let mut events = 0;
    for case in 0..CASES {
        let input = mutate(&corpus, &dictionary, &mut random);
        run_one(&input, &format!("case {case}"));
        events += u32::from(is_event(&input));
    }
    println!("{events} of {CASES} mutated inputs are events");
    // Otherwise the mutations would test refusals only.
    assert!(
        events > CASES / 20,
        "{events} of {CASES} mutated inputs are events"
    );
}

/// The corpus covers both outcomes: inputs named `dead-…` are dead letters, all others with a topic are events.
#[test]
fn each_input_of_the_corpus_is_what_its_name_says() {
    let corpus = inputs("corpus");
    assert!(corpus.len() >= 15, "only {} inputs", corpus.len());
    for (name, input) in corpus.iter().filter(|(_, input)| !input.is_empty()) {
        assert_eq!(is_event(input), !name.starts_with("dead-"), "{name}");
    }
}

#[test]
fn the_dictionary_is_parsed_as_libfuzzer_does() {
    assert_eq!(unescaped(r#"a\"\\u\xffb"#), b"a\"\\u\xffb");
    assert!(dictionary().contains(&br"\ud83d".to_vec()));
}
