//! The relay: journal → Kafka, one transaction after the other.
//!
//! A transaction takes what is there: a lone event goes at once, a backlog goes in large ones, or in as large ones as
//! come through in time ([`Size`](super::batch::Size)). Any error
//! ends the session: a new producer settles what was open (and fences whoever else has our name), and the
//! watermark is read back from Kafka ([`evidence`](super::evidence)), so that a commit whose answer was lost is neither
//! repeated nor skipped.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::batch::{MAX_BYTES, MAX_ENTRIES, Size};
use super::evidence::{JournalPlace, Marks};
use super::topic_watch::{TopicWatch, Verdict, Watching};
use super::watermark::{self, Mark};
use crate::clock::{Clock, Synchronisation};
use crate::event::DeviceId;
use crate::journal::{AppendError, Entry, EntryKind, Journal, Offset, ReadError, Relayed};
use crate::kafka::{self, Limits, Record, Report, Settings, TransactionalProducer};
use crate::link::{Link, patience};
use crate::metrics::Metrics;

/// A Kafka that answers at all answers within this time.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between attempts; a fenced gateway waits the longest, so that two of one name do not fight.
const MAX_WAIT: Duration = Duration::from_secs(10);
const FENCED_WAIT: Duration = Duration::from_secs(60);
/// A dead letter may be larger than a Kafka record may be, where the topic was not made by us, or than a narrow uplink
/// carries in time: then this much of it is sent.
const CUT: usize = 256 << 10;
/// How often the place to begin reading the watermark topic is moved up.
const REFRESH: Duration = Duration::from_secs(300);

pub struct Relay {
    pub settings: Settings,
    pub journal: Journal,
    pub link: Link,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// Kafka has refused a record for its size, or it was too large for the way there.
    pub cut: AtomicBool,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Journal(#[from] AppendError),
    #[error("entry {0} of the journal is not where it should be")]
    Hole(u64),
    #[error(
        "the clock of this machine is not synchronised, and Kafka keeps its time for the records of {topics} \
         (message.timestamp.type=CreateTime): it could refuse or soon delete them. The bridge waits for the clock (NTP), or \
         until the topics have message.timestamp.type=LogAppendTime"
    )]
    Clock { topics: String },
}

/// How a session ended that had no error.
enum End {
    Stopped,
    /// The topics are not as they were at its start.
    TopicsChanged,
}

/// What outlives a session.
struct Memory {
    size: Size,
    /// Nobody knows whether the last transaction was committed.
    is_in_doubt: bool,
}

impl Relay {
    /// Runs until `stop`, on a thread of its own: librdkafka's transaction calls block.
    pub fn run(self, runtime: &Handle, stop: &CancellationToken) {
        let mut waits = patience(MAX_WAIT);
        // After a crash nobody knows, either.
        let mut memory = Memory {
            size: Size::default(),
            is_in_doubt: true,
        };
        let topics = TopicWatch::new(self.settings.clone(), self.link.clone(), PATIENCE);
        while !stop.is_cancelled() {
            let begun = self.journal.state().watermark;
            let error = match self.session(&topics, &mut memory, runtime, stop) {
                Ok(End::Stopped) => return,
                Ok(End::TopicsChanged) => continue,
                Err(error) => error,
            };
            let error = match error {
                RelayError::Kafka(error) => RelayError::Kafka(error.explained(&self.settings)),
                error => error,
            };
            self.metrics.relay_failures.inc();
            self.link.down(&error);
            if let RelayError::Kafka(kafka::Error::TooLarge(_)) = error {
                self.cut.store(true, Ordering::Relaxed);
            }
            if self.journal.state().watermark > begun {
                waits = patience(MAX_WAIT);
            }
            let wait = match error {
                RelayError::Kafka(kafka::Error::Fenced) => FENCED_WAIT.mul_f64(rand::random_range(0.5..1.5)),
                _ => waits.next().unwrap_or(MAX_WAIT),
            };
            debug!(%error, ?wait, "a new producer after a pause");
            runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            });
        }
    }

    /// One producer, from its connection to its first error.
    fn session(
        &self,
        topics: &TopicWatch,
        memory: &mut Memory,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<End, RelayError> {
        let watch = topics.clone();
        let Some(report) = blocking(runtime, stop, move || watch.inspect()) else {
            return Ok(End::Stopped);
        };
        let report = report?;
        trust_clock(&report, &self.clock)?;
        let patience = kafka::Patience::new(PATIENCE, stop);
        let producer = TransactionalProducer::connect(&self.settings, &report.limits, &patience)?;
        let place = self.place();
        let (settings, token, asked) = (self.settings.clone(), stop.clone(), place.clone());
        let marks = blocking(runtime, stop, move || {
            asked.marks(&settings, PATIENCE * 2, &token)
        });
        let Some(marks) = marks else {
            return Ok(End::Stopped);
        };
        let marks = marks?;
        let end = marks.end;
        // A topic that was made just now had no marks to give, also if nothing is known to have been sent.
        let is_new =
            report.absent.contains(&self.settings.topic(kafka::WATERMARKS)) && place.last > Offset(0);
        let is_lost = is_new || !marks.cover(place.local);
        let events = match is_lost && memory.is_in_doubt {
            false => Vec::new(),
            true => {
                warn!(
                    watermark = place.local.0,
                    "Kafka has lost this gateway's watermark: its events are searched for what was sent last"
                );
                let (settings, token, asked) = (self.settings.clone(), stop.clone(), place.clone());
                let events = blocking(runtime, stop, move || {
                    asked.events_beyond(&settings, PATIENCE * 2, &token)
                });
                match events {
                    Some(events) => events?,
                    None => return Ok(End::Stopped),
                }
            }
        };
        let at = runtime.block_on(self.reconcile(marks, events, &place))?;
        memory.is_in_doubt = false;
        self.link.up();
        let mut sender = Sender {
            relay: self,
            producer,
            topics: Topics::new(&self.settings),
            limits: report.limits.clone(),
            key: watermark::key(&self.settings.identity, &self.journal.uuid()),
            journal: self.journal.uuid(),
            source: format!("/comptoir/{}", self.settings.identity),
            read_from: end,
            refreshed: Instant::now(),
            texts: Texts::default(),
        };
        let watching = topics.watch(runtime, report);
        sender.run(at, watching, memory, runtime, stop)
    }

    fn place(&self) -> JournalPlace {
        let (parent, shared) = self.journal.parent().unwrap_or_default();
        let state = self.journal.state();
        JournalPlace {
            uuid: self.journal.uuid(),
            parent,
            shared,
            local: state.watermark,
            last: state.last,
            read_from: self.journal.read_from(),
        }
    }

    /// Compares what Kafka says with what the journal says, and moves the journal's watermark to it. `events` are entries
    /// that Kafka's events say are there, the furthest first.
    async fn reconcile(
        &self,
        marks: Marks,
        events: Vec<(Offset, String)>,
        place: &JournalPlace,
    ) -> Result<Offset, RelayError> {
        let local = place.local;
        let mut upto = match marks.own.filter(|mark| mark.offset > local.0) {
            None => marks.inherited,
            Some(mark) => self.settle(mark, local).await?,
        };
        for (offset, name) in events.into_iter().take_while(|(offset, _)| *offset > local) {
            let entry = self.journal.read(Offset(offset.0 - 1), 1, MAX_BYTES).await?;
            if entry.first().is_some_and(|entry| entry.name.to_string() == name) {
                upto = upto.max(offset);
                break;
            }
        }
        if upto <= local {
            return Ok(local);
        }
        info!(
            from = local.0,
            to = upto.0,
            "Kafka is further than this side knew"
        );
        let mut counts = HashMap::new();
        let mut at = local;
        while at < upto {
            let wanted = usize::try_from(upto.0 - at.0)
                .unwrap_or(MAX_ENTRIES)
                .min(MAX_ENTRIES);
            let entries = self.journal.read(at, wanted, MAX_BYTES).await?;
            let Some(last) = entries.last() else { break };
            at = last.offset;
            count(&mut counts, &entries);
        }
        // The mark that says so must be found again.
        let read_from = match place.read_from > marks.end {
            true => 0,
            false => place.read_from,
        };
        self.journal
            .relayed(Relayed {
                upto,
                read_from,
                counts,
            })
            .await;
        Ok(upto)
    }
}

impl Relay {
    /// How far Kafka is with this journal, by a mark beyond what this side knows. Where the mark cannot be this
    /// journal's own, the file is a copy: it becomes a journal of its own, so that what it has taken in is sent.
    async fn settle(&self, mark: Mark, local: Offset) -> Result<Offset, RelayError> {
        let offset = Offset(mark.offset);
        let last_shared = match &mark.run {
            Some(run) => self.journal.runs().last_of(run),
            None => Some(self.journal.state().last),
        };
        let shared = match last_shared {
            Some(last) if offset <= last => return Ok(offset),
            // Kafka has more of that run than this file. All of it that is here is in Kafka.
            Some(last) => last,
            // The run began after the copy was made, and nobody knows when that was. What the copy does not know to be in
            // Kafka may be there twice.
            None => local,
        };
        self.journal.branch_off(shared).await?;
        error!(
            kafka = mark.offset,
            shared = shared.0,
            uuid = self.journal.uuid(),
            "the journal is a copy that was not made by `gateway backup`, and Kafka has more of the first one: it goes on as \
             a journal of its own"
        );
        Ok(shared)
    }
}

/// Where Kafka keeps this machine's time, that must be right.
fn trust_clock(report: &Report, clock: &Clock) -> Result<(), RelayError> {
    let is_wrong = clock.status().synchronisation == Synchronisation::Unsynchronised;
    match is_wrong && !report.create_time.is_empty() {
        false => Ok(()),
        true => Err(RelayError::Clock {
            topics: report.create_time.join(", "),
        }),
    }
}

fn count(counts: &mut HashMap<(DeviceId, u32), u64>, entries: &[Arc<Entry>]) {
    for entry in entries {
        let stream = (entry.name.device.clone(), entry.name.epoch);
        *counts.entry(stream).or_insert(0) += 1;
    }
}

/// The topics' full names, made once.
struct Topics {
    events: [String; 3],
    dead_letters: String,
    watermarks: String,
}

impl Topics {
    fn new(settings: &Settings) -> Self {
        Self {
            events: crate::event::Kind::ALL.map(|kind| settings.topic(kind.topic())),
            dead_letters: settings.topic(kafka::DEAD_LETTERS),
            watermarks: settings.topic(kafka::WATERMARKS),
        }
    }
}

struct Sender<'a> {
    relay: &'a Relay,
    producer: TransactionalProducer,
    topics: Topics,
    limits: Limits,
    key: String,
    journal: String,
    source: String,
    read_from: i64,
    refreshed: Instant,
    texts: Texts,
}

/// Headers of one record that are numbers and times; kept for the next, which has as long ones.
#[derive(Default)]
struct Texts {
    id: String,
    offset: String,
    time: String,
    length: String,
}

fn set(text: &mut String, value: impl Display) {
    text.clear();
    // A String takes whatever is written.
    let _ = write!(text, "{value}");
}

impl Sender<'_> {
    fn run(
        &mut self,
        mut at: Offset,
        mut watching: Watching,
        memory: &mut Memory,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<End, RelayError> {
        let journal = self.relay.journal.clone();
        let mut changes = journal.watch();
        let mut ahead = None;
        while !stop.is_cancelled() {
            match watching.verdict() {
                None => {}
                Some(Verdict::Changed) => return Ok(End::TopicsChanged),
                Some(Verdict::Refused(error)) => return Err(error.into()),
            }
            let size = &mut memory.size;
            let entries = match ahead.take() {
                Some(read) => runtime.block_on(join(read))?,
                None => runtime.block_on(journal.read(at, size.entries(), size.bytes()))?,
            };
            let Some(last) = entries.last().map(|entry| entry.offset) else {
                self.producer.idle();
                runtime.block_on(async {
                    tokio::select! {
                        _ = changes.wait_for(|state| state.last > at) => {}
                        () = stop.cancelled() => {}
                        () = watching.ended() => {}
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    }
                });
                continue;
            };
            if entries.first().is_none_or(|first| first.offset.0 != at.0 + 1) {
                return Err(RelayError::Hole(at.0 + 1));
            }
            // The next ones are read from disk while Kafka commits these.
            let (next, most) = (journal.clone(), *size);
            ahead = Some(runtime.spawn(async move { next.read(last, most.entries(), most.bytes()).await }));
            let bytes = entries.iter().map(|entry| entry.payload.len()).sum();
            // Before the transaction: the next start must find its mark behind this place.
            self.refresh();
            let begun = Instant::now();
            memory.is_in_doubt = true;
            watching.transaction(Some(begun));
            self.transaction(&entries, stop)
                .inspect_err(|error| self.failed(error, size, &entries, bytes))?;
            memory.is_in_doubt = false;
            watching.transaction(None);
            size.took(entries.len(), bytes, begun.elapsed());
            at = last;
            let mut counts = HashMap::new();
            count(&mut counts, &entries);
            runtime.block_on(journal.relayed(Relayed {
                upto: at,
                read_from: self.read_from,
                counts,
            }));
        }
        Ok(End::Stopped)
    }

    /// What does not come through is to come in smaller parts.
    fn failed(&self, error: &kafka::Error, size: &mut Size, entries: &[Arc<Entry>], bytes: usize) {
        match error {
            kafka::Error::TimedOut { .. } | kafka::Error::NoAnswer { .. } | kafka::Error::Failed { .. } => {}
            // A batch is refused as a whole. Alone, the one that is too large is known, and those before it are through.
            kafka::Error::TooLarge(_) => return size.single(),
            _ => return,
        }
        size.failed(entries.len(), bytes);
        debug!(
            entries = entries.len(),
            bytes,
            next = size.entries(),
            "a transaction did not come through"
        );
        // One alone has no parts. Of a dead letter the beginning may do, as where it is too large.
        if matches!(error, kafka::Error::TimedOut { .. })
            && let [only] = entries
            && only.payload.len() > CUT
        {
            self.relay.cut.store(true, Ordering::Relaxed);
        }
    }

    fn transaction(&mut self, entries: &[Arc<Entry>], stop: &CancellationToken) -> Result<(), kafka::Error> {
        let begun = Instant::now();
        let patience = kafka::Patience::new(PATIENCE, stop);
        self.producer.begin()?;
        for entry in entries {
            self.send(entry, &patience)?;
        }
        if let Some(last) = entries.last() {
            let mark = Mark {
                offset: last.offset.0,
                event: last.name.to_string(),
                run: self.relay.journal.runs().of(last.offset).map(str::to_owned),
            };
            let payload = serde_json::json!(mark).to_string();
            self.producer.send(
                &Record {
                    topic: &self.topics.watermarks,
                    partition: Some(watermark::PARTITION),
                    key: self.key.as_bytes(),
                    payload: payload.as_bytes(),
                    headers: &[],
                },
                &patience,
            )?;
        }
        self.producer.commit(&patience)?;
        self.relay.metrics.relayed.inc_by(entries.len() as u64);
        self.relay.metrics.transactions.inc();
        self.relay
            .metrics
            .transaction_seconds
            .observe(begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// CloudEvents 1.0, Kafka protocol binding, binary content mode.
    fn send(&mut self, entry: &Entry, patience: &kafka::Patience<'_>) -> Result<(), kafka::Error> {
        set(&mut self.texts.id, &entry.name);
        set(&mut self.texts.offset, entry.offset.0);
        // Every entry's time was a Timestamp when it was made.
        let time = Timestamp::from_millisecond(entry.time).unwrap_or(Timestamp::UNIX_EPOCH);
        set(&mut self.texts.time, time);
        set(&mut self.texts.length, entry.payload.len());
        let Texts {
            id,
            offset,
            time,
            length,
        } = &self.texts;
        let (topic, kind, content) = match entry.kind {
            EntryKind::Event(kind) => (
                &self.topics.events[kind as usize],
                kind.event_type(),
                "application/json",
            ),
            EntryKind::DeadLetter => (
                &self.topics.dead_letters,
                "comptoir.dead-letter",
                "application/octet-stream",
            ),
        };
        let headers: [(&str, &[u8]); 11] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", id.as_bytes()),
            ("ce_source", self.source.as_bytes()),
            ("ce_type", kind.as_bytes()),
            ("ce_time", time.as_bytes()),
            ("content-type", content.as_bytes()),
            // Extensions: by these the gateway knows its own events again when it reads them back.
            ("ce_journal", self.journal.as_bytes()),
            ("ce_journaloffset", offset.as_bytes()),
            // Of a dead letter only.
            ("ce_mqtttopic", entry.key.as_bytes()),
            (
                "ce_reason",
                entry.reason.as_deref().unwrap_or_default().as_bytes(),
            ),
            // Of one that is too large for this Kafka only: its whole length. The journal has all of it.
            ("ce_cutfrom", length.as_bytes()),
        ];
        // Half of what the topic takes leaves room for key and headers.
        let limit = self.limits.of(&self.topics.dead_letters).unwrap_or(u64::MAX) / 2;
        let most = CUT.min(usize::try_from(limit).unwrap_or(CUT));
        let cut = self.relay.cut.load(Ordering::Relaxed) && entry.payload.len() > most;
        let (used, payload) = match entry.kind {
            EntryKind::Event(_) => (8, &*entry.payload),
            EntryKind::DeadLetter if cut => (headers.len(), &entry.payload[..most]),
            EntryKind::DeadLetter => (headers.len() - 1, &*entry.payload),
        };
        self.producer.send(
            &Record {
                topic,
                partition: None,
                key: entry.key.as_bytes(),
                payload,
                headers: &headers[..used],
            },
            patience,
        )
    }

    /// Moves up the place from which the next start reads the watermark topic, now and then.
    fn refresh(&mut self) {
        if self.refreshed.elapsed() < REFRESH {
            return;
        }
        self.refreshed = Instant::now();
        match kafka::end_of(&self.relay.settings, kafka::WATERMARKS) {
            // Our records before this end say nothing newer than the watermark that is stored with it.
            Ok(end) => self.read_from = end,
            Err(error) => debug!(%error, "the next start reads a little more"),
        }
    }
}

/// Does what blocks on another thread, which may be left behind. `None` where it is told to stop before, and after a panic
/// there, with which the gateway ends.
fn blocking<T: Send + 'static>(
    runtime: &Handle,
    stop: &CancellationToken,
    act: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    runtime.block_on(unless(stop, runtime.spawn_blocking(act)))?.ok()
}

/// `None` where it is told to stop before.
async fn unless<T>(stop: &CancellationToken, done: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = stop.cancelled() => None,
        done = done => Some(done),
    }
}

async fn join(
    read: tokio::task::JoinHandle<Result<Vec<Arc<Entry>>, ReadError>>,
) -> Result<Vec<Arc<Entry>>, ReadError> {
    // Only a panic or the runtime's end makes this fail, and then there is nothing to send.
    read.await.unwrap_or_else(|_| Ok(Vec::new()))
}
