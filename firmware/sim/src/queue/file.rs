//! The file of a terminal's queue.
//!
//! ```text
//! file    magic(8) epoch(4) crc32 of the 12 bytes before(4), then records
//! record  length(4) crc32 of kind and body(4) kind(1) body(length)
//! kind 1  the frame of the next event
//! kind 2  acked: all up to this seq(4) are safe
//! ```
//!
//! Numbers are little-endian. The file is only appended to; a sale is synced before it counts. What a kill
//! leaves behind the last sync is a torn tail: from the first record that is cut or whose checksum is wrong,
//! the file is cut off at the next opening. Nothing in there had been sold. When most of a large file is
//! acked, it is written anew beside the old one and renamed over it, so that at each moment one whole file
//! has the name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use comptoir_wire::decode;
use comptoir_wire::topic::Kind;

use super::QueueError;

const MAGIC: &[u8; 8] = b"TILLQ\0\0\x01";
const HEADER: usize = 16;
const RECORD: usize = 9;
const EVENT: u8 = 1;
const ACKED: u8 = 2;
/// A file below this is never written anew.
const SMALL: u64 = 1 << 20;

#[derive(Debug)]
pub struct QueueFile {
    path: PathBuf,
    epoch: u32,
    file: Arc<File>,
    /// Bytes in the file.
    len: u64,
    /// Records to be written.
    pending: Vec<u8>,
}

/// What a file holds: the open file, its epoch, the highest acked seq, and the frames above it.
type Opened = (QueueFile, u32, u32, Vec<(Kind, Bytes)>);

impl QueueFile {
    pub fn open(path: PathBuf, epoch: u32) -> Result<Opened, QueueError> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = Self::write_anew(&path, epoch, &[])?;
                let queue = Self {
                    file: Arc::new(file),
                    len: HEADER as u64,
                    pending: Vec::new(),
                    epoch,
                    path,
                };
                return Ok((queue, epoch, 0, Vec::new()));
            }
            Err(source) => return Err(io_error("read", &path, source)),
        };
        let epoch = read_header(&bytes).ok_or_else(|| QueueError::Foreign {
            path: path.display().to_string(),
        })?;
        let Records { acked, frames, whole } =
            read_records(&bytes, epoch).map_err(|(at, what)| QueueError::Damaged {
                path: path.display().to_string(),
                at: at as u64,
                what,
            })?;
        let cut_and_seek = || {
            let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
            if whole < bytes.len() {
                file.set_len(whole as u64)?;
                file.sync_all()?;
            }
            file.seek(SeekFrom::Start(whole as u64))?;
            Ok(file)
        };
        let file = cut_and_seek().map_err(|source| io_error("open", &path, source))?;
        Ok((
            Self {
                file: Arc::new(file),
                len: whole as u64,
                pending: Vec::new(),
                epoch,
                path,
            },
            epoch,
            acked,
            frames,
        ))
    }

    pub fn append(&mut self, frame: &[u8]) {
        put_record(&mut self.pending, EVENT, frame);
    }

    /// Writes and syncs what was appended.
    pub async fn sync(&mut self) -> Result<(), QueueError> {
        let pending = std::mem::take(&mut self.pending);
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || {
            (&*file).write_all(&pending)?;
            file.sync_data()?;
            Ok(pending)
        });
        let mut pending = joined(written)
            .await
            .map_err(|source| io_error("write", &self.path, source))?;
        self.len += pending.len() as u64;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    /// Notes an ack; `held` are the frames above it.
    pub async fn acked<'a>(
        &mut self,
        seq: u32,
        held: impl Iterator<Item = &'a Bytes> + Clone,
    ) -> Result<(), QueueError> {
        // Goes to the disk with the next sale; without one, a restart sends a few events again.
        put_record(&mut self.pending, ACKED, &seq.to_le_bytes());
        if self.len < SMALL
            || held
                .clone()
                .map(|frame| (RECORD + frame.len()) as u64)
                .sum::<u64>()
                > self.len / 2
        {
            return Ok(());
        }
        let mut records = Vec::new();
        put_record(&mut records, ACKED, &seq.to_le_bytes());
        held.for_each(|frame| put_record(&mut records, EVENT, frame));
        let (path, epoch, len) = (self.path.clone(), self.epoch, (HEADER + records.len()) as u64);
        let written = tokio::task::spawn_blocking(move || Ok(Self::write_anew(&path, epoch, &records)));
        let file = joined(written)
            .await
            .map_err(|source| io_error("write", &self.path, source))??;
        self.file = Arc::new(file);
        self.len = len;
        self.pending.clear();
        Ok(())
    }

    /// Writes a whole file under another name and renames it; its position is at the end.
    fn write_anew(path: &Path, epoch: u32, records: &[u8]) -> Result<File, QueueError> {
        let aside = path.with_extension("new");
        let directory = path.parent().unwrap_or(Path::new("."));
        let write = || {
            fs::create_dir_all(directory)?;
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&aside)?;
            let mut bytes = Vec::with_capacity(HEADER + records.len());
            bytes.extend(MAGIC);
            bytes.extend(epoch.to_le_bytes());
            bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
            bytes.extend(records);
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            // The name is durable once its directory is.
            File::open(directory)?.sync_all()?;
            Ok(file)
        };
        write().map_err(|source| io_error("write", path, source))
    }
}

async fn joined<T>(task: tokio::task::JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await.map_err(io::Error::other)?
}

fn io_error(act: &'static str, path: &Path, source: io::Error) -> QueueError {
    QueueError::Io {
        act,
        path: path.display().to_string(),
        source,
    }
}

fn put_record(records: &mut Vec<u8>, kind: u8, body: &[u8]) {
    // A frame is far below 4 GiB, so this never cuts.
    records.extend((body.len() as u32).to_le_bytes());
    records.extend(checksum(kind, body).to_le_bytes());
    records.push(kind);
    records.extend(body);
}

fn checksum(kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(body);
    hasher.finalize()
}

fn read_header(bytes: &[u8]) -> Option<u32> {
    let header = bytes.get(..HEADER)?;
    let epoch = number(header, 8)?;
    let sound =
        header.starts_with(MAGIC) && number(header, 12)? == crc32fast::hash(&header[..12]) && epoch != 0;
    sound.then_some(epoch)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// What the records of a file say.
struct Records {
    /// The highest acked seq.
    acked: u32,
    /// The frames above it.
    frames: Vec<(Kind, Bytes)>,
    /// Where the whole records end.
    whole: usize,
}

/// Reads the records, or tells where and why they make no sense.
fn read_records(bytes: &[u8], epoch: u32) -> Result<Records, (usize, String)> {
    let mut at = HEADER;
    let mut acked: u32 = 0;
    let mut frames = std::collections::VecDeque::new();
    // The first event after a rewriting may have any number, but only the one after the ack before it.
    let mut newest = 0;
    while let Some((kind, body)) = record(&bytes[at..]) {
        match kind {
            EVENT => {
                let frame = decode(body).map_err(|error| (at, error.to_string()))?;
                let header = frame.header;
                if header.epoch != epoch || header.seq != newest + 1 {
                    let (found, expected) = (header.seq, newest + 1);
                    return Err((
                        at,
                        format!(
                            "event {}/{found} where {epoch}/{expected} is expected",
                            header.epoch
                        ),
                    ));
                }
                newest = header.seq;
                frames.push_back((frame.event.kind(), Bytes::copy_from_slice(body)));
            }
            ACKED => {
                let seq = number(body, 0).ok_or_else(|| (at, "an ack without a number".to_owned()))?;
                while acked < seq && frames.pop_front().is_some() {
                    acked += 1;
                }
                acked = acked.max(seq);
                newest = newest.max(seq);
            }
            other => return Err((at, format!("a record of kind {other}"))),
        }
        at += RECORD + body.len();
    }
    Ok(Records {
        acked,
        frames: frames.into(),
        whole: at,
    })
}

/// The record at the start of the bytes, if it is whole.
fn record(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (len, sum, kind) = (number(bytes, 0)? as usize, number(bytes, 4)?, *bytes.get(8)?);
    let body = bytes.get(RECORD..RECORD.checked_add(len)?)?;
    (checksum(kind, body) == sum).then_some((kind, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_wire::{Currency, Event, Header, MAX_FRAME, Payment, PaymentMethod, PaymentStatus, encode};
    use proptest::prelude::*;

    const EPOCH: u32 = 77;

    fn frame(seq: u32) -> Bytes {
        let payment = Payment {
            payment_id: "p",
            order_id: "o",
            currency: Currency::EUR,
            amount: u64::from(seq),
            method: PaymentMethod::Cash,
            status: PaymentStatus::Success,
        };
        let header = Header {
            epoch: EPOCH,
            seq,
            oldest: 1,
            time_ms: 0,
        };
        Bytes::copy_from_slice(encode(&header, &Event::Payment(payment), &mut [0; MAX_FRAME]).unwrap())
    }

    fn payments(seqs: impl Iterator<Item = u32>) -> Vec<(Kind, Bytes)> {
        seqs.map(|seq| (Kind::Payments, frame(seq))).collect()
    }

    fn open(path: &Path) -> Opened {
        QueueFile::open(path.to_owned(), EPOCH).unwrap()
    }

    #[tokio::test]
    async fn goes_on_after_a_restart_with_its_own_epoch() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep").join("a_b.queue");
        let (mut queue, ..) = open(&path);
        (1..=5).for_each(|seq| queue.append(&frame(seq)));
        queue.sync().await.unwrap();
        queue.acked(2, std::iter::empty()).await.unwrap();
        queue.append(&frame(6));
        queue.sync().await.unwrap();
        drop(queue);
        let (_, epoch, acked, frames) = QueueFile::open(path, EPOCH + 1).unwrap();
        assert_eq!((epoch, acked), (EPOCH, 2));
        assert_eq!(frames, payments(3..=6));
    }

    #[tokio::test]
    async fn a_large_file_is_written_anew_and_keeps_its_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a_b.queue");
        let (mut queue, ..) = open(&path);
        let count = u32::try_from(SMALL / 20).unwrap();
        (1..=count).for_each(|seq| queue.append(&frame(seq)));
        queue.sync().await.unwrap();
        let last = frame(count);
        queue.acked(count - 1, [&last].into_iter()).await.unwrap();
        queue.append(&frame(count + 1));
        queue.sync().await.unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 200);
        let (_, _, acked, frames) = open(&path);
        assert_eq!(acked, count - 1);
        assert_eq!(frames, payments(count..=count + 1));
    }

    #[test]
    fn a_foreign_file_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a_b.queue");
        fs::write(&path, "my holiday notes, longer than a header").unwrap();
        assert!(matches!(
            QueueFile::open(path.clone(), EPOCH),
            Err(QueueError::Foreign { .. })
        ));
        assert!(fs::read_to_string(&path).unwrap().starts_with("my holiday"));
    }

    #[test]
    fn a_hole_in_the_numbers_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a_b.queue");
        let mut bytes = {
            drop(open(&path));
            fs::read(&path).unwrap()
        };
        put_record(&mut bytes, EVENT, &frame(2));
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(
            QueueFile::open(path, EPOCH),
            Err(QueueError::Damaged { at: 16, .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Cut the file anywhere behind its header, or write noise behind the cut: what was whole before the
        /// cut is there, nothing else is, and the queue goes on.
        #[test]
        fn a_torn_tail_costs_only_itself(count in 1u32..8, cut in 0.0..1.0f64, noise in proptest::collection::vec(any::<u8>(), 0..40)) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a_b.queue");
            drop(open(&path));
            let mut bytes = fs::read(&path).unwrap();
            let mut ends = vec![bytes.len()];
            for seq in 1..=count {
                put_record(&mut bytes, EVENT, &frame(seq));
                ends.push(bytes.len());
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let cut = HEADER + ((bytes.len() - HEADER) as f64 * cut) as usize;
            bytes.truncate(cut);
            bytes.extend(noise);
            fs::write(&path, &bytes).unwrap();
            let whole = u32::try_from(ends.iter().filter(|&&end| end <= cut).count() - 1).unwrap();
            let (mut queue, _, _, frames) = open(&path);
            prop_assert_eq!(frames, payments(1..=whole));
            queue.append(&frame(whole + 1));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(queue.sync()).unwrap();
            prop_assert_eq!(open(&path).3.len(), whole as usize + 1);
        }
    }
}
