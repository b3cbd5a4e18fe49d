//! A record of how far events have been acked, in a file next to the journal and its WAL.
//!
//! SQLite silently ignores everything after a damaged frame in a WAL, and a missing WAL: it treats the lost
//! transactions as never completed. This file records that they were. A task writes it at most once a second, and no
//! ack waits for it. So the record may be up to a second old, but it is never ahead of the journal.
//!
//! # Format
//!
//! Two slots of [`SLOT`] bytes are written in turn, so that a torn write leaves the other one intact. A slot is text: a
//! line `comptoir-acked 1 COUNT LENGTH CHECKSUM`, then LENGTH bytes of JSON ([`AckSnapshot`]). CHECKSUM is the BLAKE3
//! hash of the JSON, as the first 16 hexadecimal digits. The valid slot with the higher COUNT counts. The file never
//! grows and its blocks are allocated once, so a write changes no metadata.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ack_snapshot::AckSnapshot;
use super::{Command, Offset, State};

/// Bytes per slot, enough for a few hundred devices. A multiple of the block size of every common file system.
const SLOT: usize = 16 << 10;
/// Minimum time between two writes.
const INTERVAL: Duration = Duration::from_secs(1);
const MAGIC: &str = "comptoir-acked 1";

pub(super) struct AckFile {
    path: PathBuf,
    /// `None` until the file is created, and after a failed write.
    open: Option<File>,
    count: u64,
}

impl AckFile {
    /// For the journal `journal.db`, the file `journal.db-acked`.
    pub fn beside(journal: &Path) -> Self {
        let mut path = journal.as_os_str().to_owned();
        path.push("-acked");
        Self {
            path: path.into(),
            open: None,
            count: 0,
        }
    }

    /// Reads the newest valid slot. `None` if there is none; then it is unknown how far events were acked.
    pub fn read(&mut self) -> Option<AckSnapshot> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(%error, path = %self.path.display(), "the record of acked events cannot be read; lost events would not be noticed");
                return None;
            }
        };
        let slots = bytes.chunks(SLOT).filter_map(slot);
        let newest = slots.max_by_key(|(count, _)| *count);
        let Some((count, acked)) = newest else {
            warn!(path = %self.path.display(), "the record of acked events is damaged; lost events would not be noticed");
            return None;
        };
        self.count = count;
        Some(acked)
    }

    /// Writes and syncs one slot. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be written. The other slot is still valid, and the next write creates a new file.
    pub fn write(&mut self, acked: &AckSnapshot) -> io::Result<()> {
        self.count += 1;
        let text = text(self.count, acked);
        let written = match &self.open {
            Some(file) => file
                .write_all_at(text.as_bytes(), offset(self.count))
                .and_then(|()| file.sync_data()),
            None => self.create(&text),
        };
        if written.is_err() {
            self.open = None;
        }
        written
    }

    /// Creates the file under a temporary name first, so that a complete file exists at any time.
    fn create(&mut self, text: &str) -> io::Result<()> {
        let mut new = self.path.as_os_str().to_owned();
        new.push(".new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&new)?;
        // Writes zeros instead of making a sparse file, so that later writes find their blocks allocated.
        file.write_all(&[0; 2 * SLOT])?;
        file.write_all_at(text.as_bytes(), offset(self.count))?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.open = Some(file);
        Ok(())
    }
}

fn offset(count: u64) -> u64 {
    count % 2 * SLOT as u64
}

/// The text of a slot, with as many streams as fit.
fn text(count: u64, acked: &AckSnapshot) -> String {
    let mut acked = acked.clone();
    loop {
        let json = serde_json::json!(acked).to_string();
        let text = format!("{MAGIC} {count} {} {}\n{json}\n", json.len(), checksum(&json));
        if text.len() <= SLOT {
            return text;
        }
        acked.streams.truncate(acked.streams.len() * 3 / 4);
    }
}

fn checksum(json: &str) -> String {
    let mut hex = blake3::hash(json.as_bytes()).to_hex().to_string();
    hex.truncate(16);
    hex
}

/// The count and the content of a slot, if it is valid.
fn slot(bytes: &[u8]) -> Option<(u64, AckSnapshot)> {
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&bytes[..line]).ok()?;
    let mut words = header.strip_prefix(MAGIC)?.split_ascii_whitespace();
    let count = words.next()?.parse().ok()?;
    let length: usize = words.next()?.parse().ok()?;
    let json = bytes.get(line + 1..line.checked_add(1)?.checked_add(length)?)?;
    let json = std::str::from_utf8(json).ok()?;
    (words.next()? == checksum(json)).then_some(())?;
    Some((count, serde_json::from_str(json).ok()?))
}

/// Writes a snapshot after commits, until `stop`.
pub(super) async fn keep_current(
    file: Arc<Mutex<AckFile>>,
    mut state: watch::Receiver<State>,
    writer: mpsc::WeakSender<Command>,
    stop: CancellationToken,
) {
    let mut written = state.borrow().last;
    let mut failing = false;
    let mut next = async || -> Option<()> {
        state.wait_for(|now| now.last > written || failing).await.ok()?;
        let (reply, snapshot) = oneshot::channel();
        writer.upgrade()?.send(Command::SnapshotAcks(reply)).await.ok()?;
        let acked = snapshot.await.ok()?;
        let last = Offset(acked.last);
        let into = Arc::clone(&file);
        let write = tokio::task::spawn_blocking(move || lock(&into).write(&acked));
        match write.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(()) => {
                failing = false;
                written = last;
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "the record of acked events cannot be written beside the journal; retrying");
                }
            }
        }
        tokio::time::sleep(INTERVAL).await;
        Some(())
    };
    while let Some(Some(())) = stop.run_until_cancelled(next()).await {}
}

pub(super) fn lock(file: &Mutex<AckFile>) -> MutexGuard<'_, AckFile> {
    // After a panic during a write, the checksum shows whether the slot is valid.
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::ack_snapshot::{AckedStream, MAX_STREAMS};
    use super::super::stream::SeqRange;
    use super::*;

    fn acked(last: u64) -> AckSnapshot {
        AckSnapshot {
            journal: "a uuid".to_owned(),
            run: "a run".to_owned(),
            last,
            ..AckSnapshot::default()
        }
    }

    #[test]
    fn a_torn_write_leaves_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let path = folder.path().join("journal.db-acked");
        let read = || AckFile::beside(&journal).read().map(|acked| acked.last);
        assert_eq!(read(), None);
        let mut file = AckFile::beside(&journal);
        for last in 1..=5 {
            file.write(&acked(last)).unwrap();
            assert_eq!(read(), Some(last));
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * SLOT as u64);
        // A restart continues with the older slot.
        let mut file = AckFile::beside(&journal);
        file.read().unwrap();
        file.write(&acked(6)).unwrap();
        file.write(&acked(7)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let newest = usize::try_from(offset(7)).unwrap();
        for damage in [newest, newest + 30, newest + 80] {
            let mut bytes = whole.clone();
            bytes[damage] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(), Some(6), "byte {damage}");
        }
        std::fs::write(&path, [0xa5; 100]).unwrap();
        assert_eq!(read(), None);
    }

    #[test]
    fn a_slot_keeps_the_newest_devices_if_not_all_fit() {
        let mut many = acked(1);
        let gone: Vec<SeqRange> = (1..100).map(|n| (n * 10, n * 10 + 3)).collect();
        many.streams = (0..MAX_STREAMS as u32)
            .map(|epoch| AckedStream {
                device: format!("{}/{}", "s".repeat(32), "d".repeat(32)),
                epoch: u32::MAX - epoch,
                settled: gone.clone(),
                ..AckedStream::default()
            })
            .collect();
        let text = text(1, &many);
        let (_, read) = slot(text.as_bytes()).unwrap();
        assert!(!read.streams.is_empty() && read.streams.len() < many.streams.len());
        assert_eq!(read.streams[..], many.streams[..read.streams.len()]);
    }
}
