//! How far events have been acked, kept outside the journal's file and its WAL.
//!
//! SQLite drops what follows a damaged place in a WAL, and a WAL that is not there, without a word: to it these are
//! transactions that never came to their end. This file knows that they did. It is written at most once a second, by a
//! task that no ack waits for, so it may lag by a second; it is never ahead.
//!
//! # Format
//!
//! Two slots of [`SLOT`] bytes, written in turn, so that a torn write leaves the other one. A slot is text: a line
//! `comptoir-acked 1 COUNT LENGTH CHECKSUM`, then LENGTH bytes of JSON ([`Acked`]), whose BLAKE3 checksum (the first 16
//! hexadecimal digits) it gives. The valid slot with the higher COUNT holds. The file never grows and its blocks are
//! allocated once, so a write changes no metadata.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::stream::Stream;
use super::{Command, Offset, State};
use crate::event::{DeviceId, GATEWAY_EPOCH};

/// Bytes of a slot: a few hundred devices. A multiple of every file system's block.
const SLOT: usize = 16 << 10;
/// Streams that are written, those of the newest events.
pub(super) const MAX_STREAMS: usize = 256;
/// Ranges of each, the newest.
const MAX_RANGES: usize = 16;
/// At most one write in this time.
const EVERY: Duration = Duration::from_secs(1);
const MAGIC: &str = "comptoir-acked 1";

type Ranges = Vec<(u32, u32)>;

/// What one write says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acked {
    /// The journal's uuid, and its run.
    pub journal: String,
    pub run: String,
    /// Offset of the last entry that was committed.
    pub last: u64,
    /// Those of the newest events, newest first.
    pub streams: Vec<AckedStream>,
}

/// The numbers of one device and epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AckedStream {
    /// `store/device`.
    pub device: String,
    /// As the journal's table `device` has it.
    pub encoding: i64,
    pub epoch: u32,
    /// What is settled.
    pub settled: Ranges,
    /// Of that, what the journal never had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Ranges,
}

impl AckedStream {
    pub fn of(device: &DeviceId, encoding: i64, epoch: u32, stream: &Stream) -> Self {
        let newest = |mut ranges: Ranges| ranges.split_off(ranges.len().saturating_sub(MAX_RANGES));
        let mut settled: Ranges = stream.ranges().collect();
        // The first range says which numbers are acked; of the others the newest do.
        let first = match settled.len() > MAX_RANGES {
            true => Some(settled.remove(0)),
            false => None,
        };
        let mut absent: Ranges = stream.gone().iter().chain(stream.lost()).copied().collect();
        absent.sort_unstable();
        let known: u64 = absent.iter().map(|(from, to)| u64::from(to - from) + 1).sum();
        // What the till had settled elsewhere before it came here lies below everything else.
        let before = u32::try_from(stream.elsewhere.saturating_sub(known)).unwrap_or(u32::MAX);
        let before = (before > 0).then_some((1, before));
        Self {
            device: device.to_string(),
            encoding,
            epoch,
            settled: first.into_iter().chain(newest(settled)).collect(),
            absent: before.into_iter().chain(newest(absent)).collect(),
        }
    }

    /// The numbers that were acked and that `here` does not know. The gateway's own begin above `own_floor`.
    pub fn missing(&self, here: Option<&Stream>, own_floor: u32) -> Ranges {
        let mut missing = self.settled.clone();
        for &range in &self.absent {
            missing = without(missing, range);
        }
        for range in here.into_iter().flat_map(Stream::ranges) {
            missing = without(missing, range);
        }
        if self.epoch == GATEWAY_EPOCH && own_floor > 0 {
            missing = without(missing, (1, own_floor));
        }
        missing
    }
}

fn without(ranges: Ranges, (from, to): (u32, u32)) -> Ranges {
    let cut = |(begin, end): (u32, u32)| {
        let before = (begin < from).then(|| (begin, end.min(from - 1)));
        let after = (end > to).then(|| (begin.max(to.saturating_add(1)), end));
        before.into_iter().chain(after)
    };
    ranges.into_iter().flat_map(cut).collect()
}

/// The file.
pub(super) struct AckedFile {
    path: PathBuf,
    /// `None`: it is to be made, or its last write failed.
    open: Option<File>,
    count: u64,
}

impl AckedFile {
    /// Beside the journal: `journal.db` has `journal.db-acked`.
    pub fn beside(journal: &Path) -> Self {
        let mut path = journal.as_os_str().to_owned();
        path.push("-acked");
        Self {
            path: path.into(),
            open: None,
            count: 0,
        }
    }

    /// What it says. `None` where there is no file, or none that can be read: then nothing is known.
    pub fn read(&mut self) -> Option<Acked> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(%error, path = %self.path.display(), "how far events were acked cannot be read");
                return None;
            }
        };
        let slots = bytes.chunks(SLOT).filter_map(slot);
        let newest = slots.max_by_key(|(count, _)| *count);
        let Some((count, acked)) = newest else {
            warn!(path = %self.path.display(), "how far events were acked is not known: the file is damaged");
            return None;
        };
        self.count = count;
        Some(acked)
    }

    /// Writes and syncs one slot. Blocks.
    ///
    /// # Errors
    ///
    /// The disk does not take it. The other slot still says what it said, and the next write begins a new file.
    pub fn write(&mut self, acked: &Acked) -> io::Result<()> {
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

    /// A new file under another name first, so that there is always a whole one.
    fn create(&mut self, text: &str) -> io::Result<()> {
        let mut new = self.path.as_os_str().to_owned();
        new.push(".new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&new)?;
        // Zeros, not a hole: a later write must find its blocks allocated.
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

/// As much of it as fits into a slot.
fn text(count: u64, acked: &Acked) -> String {
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

/// A valid slot's count and content.
fn slot(bytes: &[u8]) -> Option<(u64, Acked)> {
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

/// Writes how far events are acked, when that has changed, until it is told to stop.
pub(super) async fn keep(
    file: Arc<Mutex<AckedFile>>,
    mut state: watch::Receiver<State>,
    writer: mpsc::WeakSender<Command>,
    stop: CancellationToken,
) {
    let mut written = state.borrow().last;
    let mut failing = false;
    let mut next = async || -> Option<()> {
        state.wait_for(|now| now.last > written || failing).await.ok()?;
        let (reply, acked) = oneshot::channel();
        writer.upgrade()?.send(Command::Acked(reply)).await.ok()?;
        let acked = acked.await.ok()?;
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
                    warn!(%error, "how far events are acked cannot be written beside the journal; it is tried again");
                }
            }
        }
        tokio::time::sleep(EVERY).await;
        Some(())
    };
    while let Some(Some(())) = stop.run_until_cancelled(next()).await {}
}

pub(super) fn lock(file: &Mutex<AckedFile>) -> MutexGuard<'_, AckedFile> {
    // After a panic in a write the checksum says what the slot is worth.
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::stream::Discipline::{AnyOrder, InOrder};
    use super::*;

    fn acked(last: u64) -> Acked {
        Acked {
            journal: "a uuid".to_owned(),
            run: "a run".to_owned(),
            last,
            ..Acked::default()
        }
    }

    fn stream(seqs: impl IntoIterator<Item = u32>) -> Stream {
        let mut stream = Stream::default();
        for seq in seqs {
            stream.admit(seq, 0, AnyOrder);
        }
        stream
    }

    fn of(stream: &Stream, epoch: u32) -> AckedStream {
        AckedStream::of(&DeviceId::new("paris-1", "till-1").unwrap(), 1, epoch, stream)
    }

    #[test]
    fn the_last_write_is_read_and_a_torn_one_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let path = folder.path().join("journal.db-acked");
        let read = || AckedFile::beside(&journal).read().map(|acked| acked.last);
        assert_eq!(read(), None);
        let mut file = AckedFile::beside(&journal);
        for last in 1..=5 {
            file.write(&acked(last)).unwrap();
            assert_eq!(read(), Some(last));
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * SLOT as u64);
        // A restart goes on with the slot that is older.
        let mut file = AckedFile::beside(&journal);
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
    fn a_slot_holds_the_newest_of_too_many_devices() {
        let mut many = acked(1);
        let gone: Ranges = (1..100).map(|n| (n * 10, n * 10 + 3)).collect();
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

    #[test]
    fn what_was_acked_and_is_not_here_is_missing() {
        let (before, after) = (stream(1..=13), stream(1..=30));
        assert_eq!(of(&after, 4).missing(Some(&before), 0), [(14, 30)]);
        assert_eq!(of(&after, 4).missing(None, 0), [(1, 30)]);
        assert_eq!(of(&before, 4).missing(Some(&after), 0), []);
        let holes = stream([1, 2, 5, 8, 9]);
        assert_eq!(of(&holes, 4).missing(Some(&stream([1, 5])), 0), [(2, 2), (8, 9)]);
        let mut lost = before.clone();
        lost.lose(1, 30);
        assert_eq!(of(&after, 4).missing(Some(&lost), 0), [], "it is known");
    }

    #[test]
    fn what_was_never_here_is_not_missing() {
        let mut moved = Stream::default();
        moved.admit(101, 101, InOrder);
        assert_eq!(of(&moved, 4).missing(None, 0), [(101, 101)]);
        let mut forgetful = stream(1..=10);
        forgetful.admit(15, 14, InOrder);
        forgetful.admit(14, 14, InOrder);
        assert_eq!(forgetful.gone(), [(11, 13)]);
        assert_eq!(
            of(&forgetful, 4).missing(Some(&stream(1..=5)), 0),
            [(6, 10), (14, 14)]
        );
        let mut own = stream(1..=10);
        own.number(1 << 24);
        assert_eq!(
            of(&own, 0).missing(Some(&stream(1..=10)), 1 << 24),
            [(1 << 24 | 1, 1 << 24 | 1)]
        );
    }

    #[test]
    fn the_acked_number_and_the_newest_ranges_are_kept() {
        let many = of(&stream((1..200).filter(|n| *n < 4 || n % 2 == 0)), 4);
        assert_eq!(many.settled.len(), MAX_RANGES + 1);
        assert_eq!((many.settled[0], many.settled[MAX_RANGES]), ((1, 4), (198, 198)));
    }
}
