//! The ledger: one JSON line per event, to audit what arrived in Kafka.
//!
//! The line of an event is written when the event is acked end to end. Lines with `"acked":null` follow for events that
//! the flash lost and, when a run is stopped, for unacked events. An event with `acked` must be in Kafka; one without
//! it may or may not be.
//!
//! The run keeps the contents of a line from the sale on, because a power cut makes the till forget them.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use comptoir_wire::Event;
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

/// The ledger's file.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
}

/// An event that was sold and is not acked.
#[derive(Debug)]
pub struct PendingEvent {
    pub seq: u32,
    pub kind: Kind,
    /// The order's id; empty if there is no ledger.
    pub key: Box<str>,
    /// When it was first published, in microseconds of the clock; 0: not yet.
    pub published: u64,
}

impl PendingEvent {
    /// An event that was not published yet.
    pub fn new(seq: u32, event: &Event<'_>, has_ledger: bool) -> Self {
        let key = if has_ledger { event.order_id() } else { "" };
        Self {
            seq,
            kind: event.kind(),
            key: key.into(),
            published: 0,
        }
    }
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
    /// Opens the ledger. With `append` an existing ledger is continued, otherwise it is overwritten. A run that continues
    /// with the tills' flash must continue the ledger too: events that an earlier run sold and had acked are only there.
    ///
    /// # Errors
    /// The file cannot be opened or created.
    pub fn open(path: &Path, append: bool) -> Result<Self, LedgerError> {
        let mut options = File::options();
        if append {
            options.create(true).read(true).append(true);
        } else {
            options.create(true).write(true).truncate(true);
        }
        let mut file = options.open(path).map_err(|source| failed(path, source))?;
        if append {
            end_line(&mut file).map_err(|source| failed(path, source))?;
        }
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(BufWriter::with_capacity(1 << 18, file)),
        })
    }

    /// Writes one line per event of `till` (`{store}/{device}`) and epoch. `acked` is in microseconds of the clock.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write<'a>(
        &self,
        till: &str,
        epoch: u32,
        clock: &Clock,
        events: impl Iterator<Item = &'a PendingEvent>,
        acked: Option<u64>,
    ) -> Result<(), LedgerError> {
        let at = |micros| time(clock.unix_ms(micros));
        let acked = acked.map(at);
        let mut lines = Vec::new();
        for event in events {
            let line = Line {
                ce_id: format!("{till}/{epoch}/{}", event.seq),
                topic: event.kind.as_str(),
                key: &event.key,
                published: (event.published > 0).then(|| at(event.published)),
                acked: acked.clone(),
            };
            serde_json::to_writer(&mut lines, &line).map_err(|error| failed(&self.path, error.into()))?;
            lines.push(b'\n');
        }
        self.file()
            .write_all(&lines)
            .map_err(|source| failed(&self.path, source))
    }

    /// Passes all buffered lines to the operating system.
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

/// Ends the last line, which a kill may have cut off.
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
