//! A bounded, deterministic run of a fuzz target: the committed corpus, then mutations of it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use comptoir_terminal::Random;

/// Maximum length of a mutated input, in bytes.
const MAX_LEN: usize = 1024;

/// Runs `target` on every file in `corpus`, then on `cases` mutated inputs. The same corpus gives the same inputs. Returns the
/// number of inputs.
///
/// # Panics
/// If the corpus cannot be read or is empty, or if the target panics; then the input is printed in hexadecimal.
pub fn run(target: fn(&[u8]), corpus: &Path, cases: u32) -> usize {
    let seeds = read_corpus(corpus);
    assert!(!seeds.is_empty(), "no inputs in {}", corpus.display());
    for (name, seed) in &seeds {
        run_one(target, seed, name);
    }
    let mut random = Random::new(0x00c0_ffee);
    for case in 0..cases {
        let input = mutate(&seeds, &mut random);
        run_one(target, &input, &format!("case {case}"));
    }
    seeds.len() + cases as usize
}

/// The files of the corpus in the order of their names, which makes the run deterministic.
fn read_corpus(corpus: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("the corpus is readable");
            let bytes = fs::read(entry.path()).expect("the input is readable");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    seeds.sort();
    seeds
}

fn run_one(target: fn(&[u8]), input: &[u8], name: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("the fuzz target failed on {name}: {hex}");
        resume_unwind(panic);
    }
}

/// Begins with an input of the corpus or with noise, and changes a few bytes.
fn mutate(seeds: &[(String, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut below = |bound: usize| random.below(u32::try_from(bound).unwrap_or(u32::MAX)) as usize;
    let mut input = match below(8) {
        0 => (0..below(MAX_LEN)).map(|_| 0).collect(),
        _ => seeds[below(seeds.len())].1.clone(),
    };
    for _ in 0..1 + below(6) {
        let len = input.len();
        match below(6) {
            0 if len > 0 => input[below(len)] ^= 1 << below(8),
            1 if len > 0 => input[below(len)] = below(256) as u8,
            2 if len > 0 => input.truncate(below(len + 1)),
            3 => input.insert(below(len + 1), below(256) as u8),
            4 if len > 0 => _ = input.remove(below(len)),
            // Splices the tail of another input.
            _ => {
                let other = &seeds[below(seeds.len())].1;
                let from = below(other.len() + 1);
                input.truncate(below(len + 1));
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    if input.iter().all(|&byte| byte == 0) {
        input.iter_mut().for_each(|byte| *byte = below(256) as u8);
    }
    input.truncate(MAX_LEN);
    input
}
