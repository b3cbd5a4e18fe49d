//! The one writer: takes what has arrived, commits it, fsyncs it, and answers.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use super::stream::{Admission, Stream};
use super::tail::Tail;
use super::{
    AppendError, Command, DEAD_LETTER, DeviceAck, Encoding, Entry, EntryKind, Journal, Numbering,
    Offset, OpenError, Outcome, Receipt, Relayed, State, Submission, schema,
};
use crate::event::{DeviceId, EventName};

/// Batches waiting for the writer; a sender waits beyond that.
const QUEUE: usize = 16;
/// A group commit takes no further batch beyond this many events or bytes.
const GROUP_EVENTS: usize = 4_096;
const GROUP_BYTES: usize = 4 << 20;
/// Devices and epochs that are remembered. Names are remembered for ever, so they are bounded.
const MAX_STREAMS: usize = 65_536;
/// Entries pruned in one transaction, so that events do not wait long behind it.
const PRUNE_ENTRIES: u64 = 4_096;

type Reply = oneshot::Sender<Result<Receipt, AppendError>>;
type StreamKey = (i64, u32);

#[derive(Clone, Copy)]
struct Device {
    row: i64,
    encoding: Encoding,
}

/// The writer task's state.
pub struct Writer {
    connection: SqliteConnection,
    commands: mpsc::Receiver<Command>,
    tail: Arc<Tail>,
    state: watch::Sender<State>,
    uuid: watch::Sender<String>,
    folded: Arc<AtomicU64>,
    devices: HashMap<DeviceId, Device>,
    streams: HashMap<StreamKey, Stream>,
    /// What the bridge has reported and no commit has carried yet.
    report: Option<Relayed>,
    _lock: File,
}

/// What a group commit is about to write. The writer's memory changes only when it is committed.
#[derive(Default)]
struct Group {
    after: Offset,
    entries: Vec<Arc<Entry>>,
    rows: Vec<i64>,
    streams: HashMap<StreamKey, Stream>,
    new_devices: Vec<(i64, DeviceId, Encoding)>,
    encodings: HashMap<DeviceId, Device>,
    fingerprints: HashMap<[u8; 16], Offset>,
    duplicates: u64,
    dead_letters: u64,
    receipts: Vec<Receipt>,
}

impl Journal {
    /// Opens or creates the journal and its writer, which does nothing until [`Writer::run`].
    pub async fn open(path: &Path, max_bytes: u64) -> Result<(Journal, Writer), OpenError> {
        let opened = schema::open(path).await?;
        let mut connection = opened.writer;
        let storage = |problem| OpenError::Storage {
            path: path.to_owned(),
            problem,
        };
        let uuid = identity(&mut connection).await.map_err(storage)?;
        let loaded = load(&mut connection).await.map_err(storage)?;
        let (commands, receiver) = mpsc::channel(QUEUE);
        let tail = Arc::new(Tail::default());
        let bytes = used_bytes(&mut connection).await.map_err(storage)?;
        let state = watch::Sender::new(State {
            bytes,
            max_bytes,
            ..loaded.state
        });
        let uuid = watch::Sender::new(uuid);
        let relayed = Arc::new(watch::Sender::new(loaded.state.watermark));
        let folded = Arc::new(AtomicU64::new(0));
        let journal = Journal {
            path: Arc::new(path.to_owned()),
            commands,
            readers: opened.readers,
            tail: tail.clone(),
            state: state.subscribe(),
            uuid: uuid.subscribe(),
            relayed,
            read_from: Arc::new(AtomicI64::new(loaded.read_from)),
            folded: folded.clone(),
        };
        let writer = Writer {
            connection,
            commands: receiver,
            tail,
            state,
            uuid,
            folded,
            devices: loaded.devices,
            streams: loaded.streams,
            report: None,
            _lock: opened.lock,
        };
        Ok((journal, writer))
    }
}

async fn identity(connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    sqlx::query("INSERT OR IGNORE INTO journal (id, uuid, created) VALUES (1, ?, ?)")
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(jiff::Timestamp::now().as_millisecond())
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT uuid FROM journal")
        .fetch_one(connection)
        .await
}

struct Loaded {
    state: State,
    read_from: i64,
    devices: HashMap<DeviceId, Device>,
    streams: HashMap<StreamKey, Stream>,
}

async fn load(connection: &mut SqliteConnection) -> Result<Loaded, sqlx::Error> {
    let (watermark, read_from): (i64, i64) =
        sqlx::query_as("SELECT offset, read_from FROM watermark")
            .fetch_optional(&mut *connection)
            .await?
            .unwrap_or((0, 0));
    // Two statements: SQLite answers min or max alone from the b-tree's edge, but not both at once.
    let first: Option<i64> = sqlx::query_scalar("SELECT min(offset) FROM entry")
        .fetch_one(&mut *connection)
        .await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT max(offset) FROM entry")
        .fetch_one(&mut *connection)
        .await?;
    let dead_letters: i64 =
        sqlx::query_scalar("SELECT count(*) FROM entry INDEXED BY entry_dead_letter WHERE kind = 3")
            .fetch_one(&mut *connection)
            .await?;
    // Only what is in Kafka is pruned, so the watermark stands in for entries that are gone.
    let last = last.unwrap_or(0).max(watermark) as u64;
    let first = first.map_or(last + 1, |first| first as u64);
    let mut loaded = Loaded {
        state: State {
            first: Offset(first),
            last: Offset(last),
            watermark: Offset(watermark as u64),
            dead_letters: dead_letters as u64,
            ..State::default()
        },
        read_from,
        devices: HashMap::new(),
        streams: HashMap::new(),
    };
    for row in sqlx::query("SELECT id, store, device, encoding FROM device")
        .fetch_all(&mut *connection)
        .await?
    {
        let name = DeviceId::new(row.get(1), row.get(2))
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        let encoding = Encoding::from_code(row.get(3));
        let row = row.get(0);
        loaded.devices.insert(name, Device { row, encoding });
    }
    for row in sqlx::query("SELECT device, epoch, upto, ahead, stored, elsewhere, in_kafka FROM stream")
        .fetch_all(connection)
        .await?
    {
        let ahead = serde_json::from_str(row.get(3))
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        let mut stream = Stream::restore(row.get::<i64, _>(2) as u32, ahead);
        stream.stored = row.get::<i64, _>(4) as u64;
        stream.elsewhere = row.get::<i64, _>(5) as u64;
        stream.in_kafka = row.get::<i64, _>(6) as u64;
        let epoch = row.get::<i64, _>(1) as u32;
        loaded.streams.insert((row.get(0), epoch), stream);
    }
    Ok(loaded)
}

/// Bytes of the pages in use: what is free in the file will be used again before it grows.
async fn used_bytes(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT (pages.page_count - free.freelist_count) * size.page_size
         FROM pragma_page_count pages, pragma_freelist_count free, pragma_page_size size",
    )
    .fetch_one(connection)
    .await?;
    Ok(bytes as u64)
}

impl Writer {
    /// Runs until [`Journal::close`], or until every handle is gone.
    pub async fn run(mut self) {
        let mut closing = None;
        while closing.is_none() {
            let waited = tokio::time::timeout(self.patience(), self.commands.recv()).await;
            let mut next = match waited {
                Ok(Some(command)) => Some(command),
                Ok(None) => break,
                Err(_) => {
                    self.try_again();
                    None
                }
            };
            let mut batches = Vec::new();
            let (mut events, mut bytes) = (0, 0);
            while let Some(command) = next {
                match command {
                    Command::Append { batch, reply } => {
                        events += batch.len();
                        bytes += batch.iter().map(|s| s.payload.len()).sum::<usize>();
                        batches.push((batch, reply));
                    }
                    Command::Relayed(relayed) => match &mut self.report {
                        Some(report) => report.merge(relayed),
                        none => *none = Some(relayed),
                    },
                    Command::SkipTo(offset, done) => {
                        self.state.send_modify(|state| state.last = state.last.max(offset));
                        let _ = done.send(());
                    }
                    Command::Rename(reply) => {
                        let _ = reply.send(self.rename().await);
                    }
                    Command::Retried(offset) => self.note_retried(offset).await,
                    Command::Close(done) => closing = Some(done),
                }
                next = (events < GROUP_EVENTS && bytes < GROUP_BYTES && closing.is_none())
                    .then(|| self.commands.try_recv().ok())
                    .flatten();
            }
            if !batches.is_empty() {
                self.commit(batches).await;
            }
            let refusing = self.state.borrow().refusing;
            if self.report.is_some() && (refusing || self.commands.is_empty()) {
                self.commit_report().await;
            }
            self.prune().await;
        }
        if let Err(error) = self.connection.close().await {
            warn!(%error, "the journal's last checkpoint failed; the next start makes up for it");
        }
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// How long to wait for a command: not for ever while there is something to prune or to mend.
    fn patience(&self) -> Duration {
        if self.wants_room() || self.state.borrow().refusing {
            Duration::from_millis(500)
        } else {
            Duration::from_secs(3_600)
        }
    }

    /// After a failed write (a full disk, say) the next batch may try again.
    fn try_again(&mut self) {
        self.state
            .send_if_modified(|state| state.bytes < state.max_bytes && std::mem::take(&mut state.refusing));
    }

    fn wants_room(&self) -> bool {
        let state = self.state.borrow();
        state.bytes >= state.max_bytes / 5 * 4
    }

    async fn commit(&mut self, batches: Vec<(Vec<Submission>, Reply)>) {
        let (batches, replies): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
        let result = self.try_commit(batches).await;
        if let Err(error) = &result {
            if !self.state.borrow().refusing {
                warn!(%error, "no more events are accepted until this is mended; terminals keep theirs");
            }
            self.state.send_modify(|state| state.refusing = true);
        } else if self.state.borrow().refusing {
            info!("events are accepted again");
            self.state.send_modify(|state| state.refusing = false);
        }
        match result {
            Ok(receipts) => {
                for (reply, receipt) in replies.into_iter().zip(receipts) {
                    // Dropped: the sender no longer waits, the events are safe all the same.
                    let _ = reply.send(Ok(receipt));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    async fn try_commit(
        &mut self,
        batches: Vec<Vec<Submission>>,
    ) -> Result<Vec<Receipt>, AppendError> {
        let State {
            bytes, max_bytes, ..
        } = *self.state.borrow();
        if bytes >= max_bytes && !batches.is_empty() {
            return Err(AppendError::Full { bytes, max_bytes });
        }
        let storage = |error| AppendError::Storage(Arc::new(error));
        let known = self.known_fingerprints(&batches).await.map_err(storage)?;
        let mut group = Group {
            after: self.state.borrow().last,
            fingerprints: known,
            ..Group::default()
        };
        for batch in batches {
            let receipt = self.admit(batch, &mut group);
            group.receipts.push(receipt);
        }
        let report = self.report.take();
        for ((device, epoch), count) in report.iter().flat_map(|report| &report.counts) {
            let key = self.devices.get(device).map(|device| (device.row, *epoch));
            if let Some((key, stream)) = key.and_then(|key| Some((key, self.streams.get(&key)?))) {
                let stream = group.streams.entry(key).or_insert_with(|| stream.clone());
                stream.in_kafka += count;
            }
        }
        match write(&mut self.connection, &group, report.as_ref()).await {
            Ok(bytes) => Ok(self.adopt(group, report, bytes)),
            Err(error) => {
                self.report = report;
                Err(storage(error))
            }
        }
    }

    /// Makes the committed group the writer's memory, and tells everybody.
    fn adopt(
        &mut self,
        group: Group,
        report: Option<Relayed>,
        bytes: u64,
    ) -> Vec<Receipt> {
        for (row, id, encoding) in group.new_devices {
            self.devices.insert(id, Device { row, encoding });
        }
        for (id, device) in group.encodings {
            self.devices.insert(id, device);
        }
        self.streams.extend(group.streams);
        let watermark = report.map_or(Offset(0), |report| report.upto);
        let committed = group.entries.len() as u64;
        let last = group.entries.last().map(|entry| entry.offset);
        self.tail.push(group.entries);
        self.state.send_modify(|state| {
            state.last = last.unwrap_or(state.last);
            state.watermark = state.watermark.max(watermark);
            state.bytes = bytes;
            state.dead_letters += group.dead_letters;
            state.duplicates += group.duplicates;
            state.commits += 1;
            state.committed += committed;
        });
        group.receipts
    }

    /// Decides what is new, numbers it, and answers: all in memory.
    fn admit(&self, batch: Vec<Submission>, group: &mut Group) -> Receipt {
        let mut receipt = Receipt::default();
        let mut acked: Vec<(StreamKey, DeviceId, Encoding)> = Vec::new();
        for submission in batch {
            let Some(row) = self.device_row(&submission, group) else {
                receipt.outcomes.push(Outcome::AheadOfGap);
                continue;
            };
            let epoch = match submission.numbering {
                Numbering::Terminal { epoch, .. } => epoch,
                Numbering::Gateway { .. } => crate::event::GATEWAY_EPOCH,
            };
            let key = (row, epoch);
            if !group.streams.contains_key(&key) {
                let stream = self.streams.get(&key);
                if stream.is_none() && self.streams.len() + group.streams.len() >= MAX_STREAMS {
                    receipt.outcomes.push(Outcome::AheadOfGap);
                    continue;
                }
                group.streams.insert(key, stream.cloned().unwrap_or_default());
            }
            // Inserted above if it was not there.
            let Some(stream) = group.streams.get_mut(&key) else {
                continue;
            };
            if let Some(encoding) = submission.encoding
                && !acked.iter().any(|(other, ..)| *other == key)
            {
                acked.push((key, submission.device.clone(), encoding));
            }
            let next = Offset(group.after.0 + group.entries.len() as u64 + 1);
            let seq = match submission.numbering {
                Numbering::Terminal {
                    seq,
                    oldest,
                    discipline,
                    ..
                } => match stream.admit(seq, oldest, discipline) {
                    Admission::New => Some(seq),
                    Admission::Duplicate => {
                        group.duplicates += 1;
                        receipt.outcomes.push(Outcome::Duplicate);
                        None
                    }
                    Admission::AheadOfGap => {
                        receipt.outcomes.push(Outcome::AheadOfGap);
                        None
                    }
                },
                Numbering::Gateway { fingerprint: None } => Some(stream.number()),
                Numbering::Gateway {
                    fingerprint: Some(hash),
                } => {
                    if group.fingerprints.contains_key(&hash) {
                        group.duplicates += 1;
                        receipt.outcomes.push(Outcome::Duplicate);
                        None
                    } else {
                        group.fingerprints.insert(hash, next);
                        Some(stream.number())
                    }
                }
            };
            let Some(seq) = seq else { continue };
            let name = EventName {
                device: submission.device,
                epoch,
                seq,
            };
            receipt.outcomes.push(Outcome::Stored(next, name.clone()));
            group.dead_letters += u64::from(submission.kind == EntryKind::DeadLetter);
            group.rows.push(row);
            group.entries.push(Arc::new(Entry {
                offset: next,
                kind: submission.kind,
                name,
                time: submission.time,
                key: submission.key,
                payload: submission.payload,
                reason: submission.reason,
            }));
        }
        receipt.acks = acked
            .into_iter()
            .filter_map(|(key, device, encoding)| {
                let seq = group.streams.get(&key)?.upto();
                Some(DeviceAck {
                    device,
                    encoding,
                    epoch: key.1,
                    seq,
                })
            })
            .collect();
        receipt
    }

    /// The device's row, new if need be. `None` when there are too many devices already.
    fn device_row(&self, submission: &Submission, group: &mut Group) -> Option<i64> {
        let encoding = submission.encoding.unwrap_or(Encoding::Json);
        if let Some(&Device { row, encoding: old }) = self.devices.get(&submission.device) {
            if submission.encoding.is_some_and(|encoding| encoding != old) {
                let device = Device { row, encoding };
                group.encodings.insert(submission.device.clone(), device);
            }
            return Some(row);
        }
        let new = |(_, id, _): &&(i64, DeviceId, Encoding)| *id == submission.device;
        if let Some((row, ..)) = group.new_devices.iter().find(new) {
            return Some(*row);
        }
        let row = (self.devices.len() + group.new_devices.len()) as i64 + 1;
        if row as usize > MAX_STREAMS {
            return None;
        }
        group
            .new_devices
            .push((row, submission.device.clone(), encoding));
        Some(row)
    }

    async fn known_fingerprints(
        &mut self,
        batches: &[Vec<Submission>],
    ) -> Result<HashMap<[u8; 16], Offset>, sqlx::Error> {
        let hashes: Vec<String> = batches
            .iter()
            .flatten()
            .filter_map(|submission| match submission.numbering {
                Numbering::Gateway { fingerprint } => fingerprint,
                Numbering::Terminal { .. } => None,
            })
            .map(|hash| format!("{:032x}", u128::from_be_bytes(hash)))
            .collect();
        if hashes.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query(
            "SELECT hash, offset FROM fingerprint WHERE hash IN (SELECT unhex(value) FROM json_each(?))",
        )
        .bind(serde_json::Value::from(hashes).to_string())
        .fetch_all(&mut self.connection)
        .await?;
        rows.into_iter()
            .map(|row| {
                let hash: Vec<u8> = row.get(0);
                let hash = <[u8; 16]>::try_from(hash)
                    .map_err(|_| sqlx::Error::Decode("a fingerprint has 16 bytes".into()))?;
                Ok((hash, Offset(row.get::<i64, _>(1) as u64)))
            })
            .collect()
    }

    /// Makes the bridge's last report durable when no event comes along to carry it.
    async fn commit_report(&mut self) {
        if let Err(error) = self.try_commit(Vec::new()).await {
            warn!(%error, "the watermark is kept in memory for now; Kafka has it");
        }
    }

    async fn rename(&mut self) -> Result<String, AppendError> {
        let uuid = uuid::Uuid::new_v4().to_string();
        sqlx::query("UPDATE journal SET uuid = ?")
            .bind(&uuid)
            .execute(&mut self.connection)
            .await
            .map_err(|error| AppendError::Storage(Arc::new(error)))?;
        self.uuid.send_replace(uuid.clone());
        Ok(uuid)
    }

    async fn note_retried(&mut self, offset: Offset) {
        let noted = sqlx::query("INSERT OR IGNORE INTO retried (offset, at) VALUES (?, ?)")
            .bind(offset.0 as i64)
            .bind(jiff::Timestamp::now().as_millisecond())
            .execute(&mut self.connection)
            .await;
        if let Err(error) = noted {
            warn!(%error, offset = offset.0, "a retried dead letter stays listed");
        }
    }

    /// Frees the front of what is in Kafka and folded, when the journal is four fifths full. While it is
    /// full this also makes the watermark durable, for only that lets entries go.
    async fn prune(&mut self) {
        if !self.wants_room() {
            return;
        }
        let state = *self.state.borrow();
        match self.try_prune().await {
            Ok(bytes) if state.refusing && bytes < state.max_bytes => {
                info!("events are accepted again");
                self.state.send_modify(|state| state.refusing = false);
            }
            Ok(_) => {}
            Err(error) => error!(%error, "what is in Kafka could not be removed from the journal"),
        }
    }

    async fn try_prune(&mut self) -> Result<u64, sqlx::Error> {
        let state = *self.state.borrow();
        let upto = state
            .watermark
            .min(Offset(self.folded.load(Ordering::Relaxed)))
            .min(Offset(state.first.0 + PRUNE_ENTRIES - 1));
        if upto < state.first {
            return Ok(state.bytes);
        }
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for statement in [
            "DELETE FROM entry WHERE offset <= ?",
            "DELETE FROM fingerprint WHERE offset <= ?",
            "DELETE FROM retried WHERE offset <= ?",
        ] {
            sqlx::query(statement)
                .bind(upto.0 as i64)
                .execute(&mut *transaction)
                .await?;
        }
        let dead_letters: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM entry INDEXED BY entry_dead_letter WHERE kind = 3",
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let bytes = used_bytes(&mut self.connection).await?;
        self.state.send_modify(|state| {
            state.first = Offset(upto.0 + 1);
            state.bytes = bytes;
            state.dead_letters = dead_letters as u64;
        });
        Ok(bytes)
    }
}

/// Rows per statement: a batch is a few statements, for each one crosses into SQLite's thread and back.
const CHUNKS: [usize; 3] = [256, 32, 1];
static INSERTS: LazyLock<[Arc<str>; 3]> = LazyLock::new(|| {
    CHUNKS.map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        format!(
            "INSERT INTO entry (offset, kind, device, epoch, seq, time, key, payload, reason) VALUES {values}"
        )
        .into()
    })
});

/// The transaction. Returns the bytes in use after it.
async fn write(
    connection: &mut SqliteConnection,
    group: &Group,
    report: Option<&Relayed>,
) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (row, device, encoding) in &group.new_devices {
        sqlx::query("INSERT INTO device (id, store, device, encoding) VALUES (?, ?, ?, ?)")
            .bind(row)
            .bind(device.store())
            .bind(device.device())
            .bind(*encoding as i64)
            .execute(&mut *transaction)
            .await?;
    }
    for device in group.encodings.values() {
        sqlx::query("UPDATE device SET encoding = ? WHERE id = ?")
            .bind(device.encoding as i64)
            .bind(device.row)
            .execute(&mut *transaction)
            .await?;
    }
    let mut written = 0;
    for (rows, sql) in CHUNKS.into_iter().zip(INSERTS.iter()) {
        while group.entries.len() - written >= rows {
            let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
            for (entry, device) in group.entries[written..]
                .iter()
                .zip(&group.rows[written..])
                .take(rows)
            {
                query = query
                    .bind(entry.offset.0 as i64)
                    .bind(entry.kind.code())
                    .bind(device)
                    .bind(i64::from(entry.name.epoch))
                    .bind(i64::from(entry.name.seq))
                    .bind(entry.time)
                    .bind(&*entry.key);
                query = match std::str::from_utf8(&entry.payload) {
                    Ok(text) if entry.kind.code() != DEAD_LETTER => query.bind(text),
                    _ => query.bind(&*entry.payload),
                };
                query = query.bind(entry.reason.as_deref());
            }
            query.execute(&mut *transaction).await?;
            written += rows;
        }
    }
    let streams: Vec<_> = group
        .streams
        .iter()
        .map(|((device, epoch), stream)| {
            let Stream {
                stored,
                elsewhere,
                in_kafka,
                ..
            } = stream;
            let ahead = serde_json::json!(stream.ahead()).to_string();
            serde_json::json!([device, epoch, stream.upto(), ahead, stored, elsewhere, in_kafka])
        })
        .collect();
    if !streams.is_empty() {
        sqlx::query(
            "INSERT OR REPLACE INTO stream (device, epoch, upto, ahead, stored, elsewhere, in_kafka)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
             FROM json_each(?)",
        )
        .bind(serde_json::Value::from(streams).to_string())
        .execute(&mut *transaction)
        .await?;
    }
    for (hash, offset) in &group.fingerprints {
        sqlx::query("INSERT OR IGNORE INTO fingerprint (hash, offset) VALUES (?, ?)")
            .bind(&hash[..])
            .bind(offset.0 as i64)
            .execute(&mut *transaction)
            .await?;
    }
    if let Some(report) = report {
        sqlx::query("INSERT OR REPLACE INTO watermark (id, offset, read_from) VALUES (1, ?, ?)")
            .bind(report.upto.0 as i64)
            .bind(report.read_from)
            .execute(&mut *transaction)
            .await?;
    }
    let bytes = used_bytes(&mut transaction).await?;
    transaction.commit().await?;
    Ok(bytes)
}
