//! `gateway archive` and `gateway verify`: a signed copy of some days of the journal, and the proof that it is unchanged.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::civil::Date;

use super::arguments::ConfigArguments;
use crate::archive::verify::{Proof, verify};
use crate::archive::write::{Range, Request, write};
use crate::platform::closing_key::{ClosingKey, PublicKey};
use crate::platform::shop_secret;

/// Archives the days from `from` to `to`, even while a gateway runs.
///
/// # Errors
/// The journal cannot be read or has nothing of these days, the shop's secret is missing, or `file` exists or cannot be
/// written.
pub async fn run(arguments: &ConfigArguments, from: Date, to: Date, file: &Path) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let journal = &config.journal.path;
    let secret = shop_secret::path_of(journal);
    let secret = shop_secret::read(&secret)?.with_context(|| {
        format!(
            "{} does not exist, and an archive is signed with it. The gateway creates it at its first start",
            secret.display()
        )
    })?;
    let is_terminal = std::io::stderr().is_terminal();
    let request = Request {
        journal,
        store: &config.store,
        range: Range::Days { from, to },
        time_zone: config.time_zone(),
        key: &ClosingKey::of(&secret.secret),
        file,
    };
    let progress = |written: u64, total: u64| {
        if is_terminal {
            eprint!("\rgateway: {written} of {total} entries ");
            // A progress that is not shown does not matter.
            let _ = std::io::stderr().flush();
        }
    };
    let manifest = write(&request, progress).await?;
    if is_terminal {
        eprint!("\r\x1b[K");
    }
    println!(
        "archived {} and {} of {} in {}",
        count(manifest.entries, "entry", "entries"),
        count(manifest.closings, "closing", "closings"),
        days(from, to),
        file.display()
    );
    if !manifest.complete {
        eprintln!(
            "gateway: older entries were pruned from the journal before, and may have belonged to these days. Set \
             `journal.max_bytes` higher, or archive more often"
        );
    }
    println!("signed by the key {}", manifest.key);
    Ok(ExitCode::SUCCESS)
}

/// Verifies the archive or journal `file`. `key` must have signed it.
///
/// # Errors
/// Something was changed, removed or inserted, or the file cannot be read.
pub async fn run_verify(file: &Path, key: Option<PublicKey>) -> anyhow::Result<ExitCode> {
    let proof = match verify(file, key).await {
        Ok(proof) => proof,
        Err(error) => {
            eprintln!("gateway: {}: {error}", file.display());
            return Ok(ExitCode::FAILURE);
        }
    };
    print(file, &proof, key.is_some());
    Ok(ExitCode::SUCCESS)
}

fn print(file: &Path, proof: &Proof, is_key_checked: bool) {
    match &proof.manifest {
        Some(manifest) => println!(
            "{}: archive of {}, {}",
            file.display(),
            // The signature is valid, but anybody can sign with a key of their own.
            manifest.store.escape_debug(),
            days(manifest.from, manifest.to)
        ),
        None => println!("{}: a journal", file.display()),
    }
    let walk = &proof.walk;
    println!(
        "hash chain: {}, up to entry {}",
        count(walk.chained, "entry", "entries"),
        walk.head().offset.0
    );
    if walk.unchained > 0 {
        let before = count(walk.unchained, "entry", "entries");
        println!("{before} before the chain, of an earlier version: proven by nothing");
    }
    if walk.erased > 0 {
        let erased = count(walk.erased, "entry", "entries");
        println!("personal data was erased from {erased}: place, name and time are proven, not the content");
    }
    let closings = &proof.closings;
    if let (Some(first), Some(last)) = (closings.first, closings.last()) {
        let unsigned = match closings.unsigned {
            0 => String::new(),
            unsigned => format!(", {unsigned} of them without a signature"),
        };
        println!(
            "closings: {}, numbers {first} to {last}{unsigned}",
            count(closings.count, "closing", "closings")
        );
    }
    if proof.manifest.as_ref().is_some_and(|manifest| !manifest.complete) {
        println!("entries before the first one were no longer in the journal when the archive was made");
    }
    for key in &closings.keys {
        println!("signed by the key {key}");
    }
    match proof.manifest {
        None => println!("last hash: {}", walk.head().hash),
        Some(_) if is_key_checked => {}
        Some(_) => println!("compare the key with `key` in the topic `closings`, or give it with --key"),
    }
}

/// `1 entry`, `2 entries`
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn days(from: Date, to: Date) -> String {
    match from == to {
        true => from.to_string(),
        false => format!("{from} to {to}"),
    }
}
