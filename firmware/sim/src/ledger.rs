//! The ledger: one JSON line per event, for whoever wants to audit what arrived in Kafka.
//!
//! An event's line is written when it is acked end to end; when a run is broken off, those not acked follow
//! with `"acked":null`, and so do those whose flash lost them, when that is found out. An event without `acked` may or
//! may not be in Kafka; one with it must be.
//!
//! What a line says is kept here from the sale on, not in the terminal: that one forgets it with its power.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use comptoir_wire::topic::Kind;
use jiff::Timestamp;
use serde::Serialize;

use crate::tally::Clock;

/// The ledger cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("write the ledger {path}: {source}")]
pub struct LedgerError {
    path: String,
    source: io::Error,
}

/// The file, open.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
}

/// An event that was sold and is not acked.
#[derive(Debug)]
pub struct Sold {
    pub seq: u32,
    pub kind: Kind,
    /// Its order; nothing if there is no ledger.
    pub key: Box<str>,
    /// When it was first published, in microseconds of the clock; 0: not yet.
    pub published: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    ce_id: String,
    topic: &'static str,
    key: &'a str,
    published: Option<String>,
    acked: Option<String>,
}

impl Ledger {
    /// Begins a new ledger; an old one of that name is overwritten, or gone on with: what is in the flash of an older run
    /// and was acked then stands in its ledger only.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(path: &Path, goes_on: bool) -> Result<Self, LedgerError> {
        let mut options = File::options();
        if goes_on {
            options.create(true).read(true).append(true);
        } else {
            options.create(true).write(true).truncate(true);
        }
        let mut file = options.open(path).map_err(|source| failed(path, source))?;
        if goes_on {
            end_line(&mut file).map_err(|source| failed(path, source))?;
        }
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(BufWriter::with_capacity(1 << 18, file)),
        })
    }

    /// Writes one line per event of `terminal` (`{store}/{device}`) and epoch; `acked` in microseconds of the clock.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write<'a>(
        &self,
        terminal: &str,
        epoch: u32,
        clock: &Clock,
        events: impl Iterator<Item = &'a Sold>,
        acked: Option<u64>,
    ) -> Result<(), LedgerError> {
        let at = |micros| time(clock.unix_ms(micros));
        let acked = acked.map(at);
        let mut lines = Vec::new();
        for sold in events {
            let line = Line {
                ce_id: format!("{terminal}/{epoch}/{}", sold.seq),
                topic: sold.kind.as_str(),
                key: &sold.key,
                published: (sold.published > 0).then(|| at(sold.published)),
                acked: acked.clone(),
            };
            serde_json::to_writer(&mut lines, &line).map_err(|error| failed(&self.path, error.into()))?;
            lines.push(b'\n');
        }
        self.file()
            .write_all(&lines)
            .map_err(|source| failed(&self.path, source))
    }

    /// Hands all lines to the operating system.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&self) -> Result<(), LedgerError> {
        self.file().flush().map_err(|source| failed(&self.path, source))
    }

    fn file(&self) -> std::sync::MutexGuard<'_, BufWriter<File>> {
        self.file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A kill may have cut off the last line.
fn end_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> LedgerError {
    LedgerError {
        path: path.display().to_string(),
        source,
    }
}

/// RFC 3339 with milliseconds.
fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or_default())
}
