//! Reads the tail of the topics, and hands the events to the clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use comptoir_core::event::Kind;
use comptoir_kafka::{Settings, TailChange, TailConsumer};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::Live;
use super::item::LiveItem;
use crate::record::{CheckedRecord, Checker, Place};

/// The tail begins this long ago. PostgreSQL has older events, unless the office is late as a whole.
const SINCE: Duration = Duration::from_secs(60);
/// How often new partitions and recreated topics are looked for.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(250);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// How long events are gathered after the first one: what is handed to a client together leaves together. Grows with
/// the number of clients, because each costs a write.
const MIN_GATHER: Duration = Duration::from_millis(10);
const MAX_GATHER: Duration = Duration::from_millis(150);
const GATHER_PER_CLIENT: Duration = Duration::from_micros(50);
/// Most records and bytes that are gathered. Fewer than messages may wait for a client.
const MAX_RECORDS: usize = 128;
const MAX_BYTES: usize = 4 << 20;

/// Follows the tail. [`LiveTail::run`] blocks and must run on its own thread.
pub struct LiveTail {
    pub kafka: Settings,
    /// Full name of a group that the office may read; it is not joined.
    pub group: String,
    pub checker: Arc<Checker>,
    pub live: Arc<Live>,
    pub stop: CancellationToken,
}

impl LiveTail {
    /// Runs until the stop.
    ///
    /// # Errors
    /// librdkafka rejects the settings.
    pub fn run(self) -> Result<(), comptoir_kafka::Error> {
        let topics = Kind::ALL.map(|kind| self.kafka.topic(kind.topic()));
        let mut consumer = TailConsumer::new(&self.kafka, &self.group, topics.into(), SINCE)?;
        let mut refreshed: Option<Instant> = None;
        while !self.stop.is_cancelled() {
            let is_due = refreshed.is_none_or(|at| at.elapsed() >= REFRESH_EVERY);
            if is_due || consumer.is_stuck() {
                match consumer.refresh() {
                    Ok(change) => {
                        self.note(change, refreshed.is_none());
                        refreshed = Some(Instant::now());
                    }
                    Err(error) => {
                        debug!(%error, "the tail of the topics cannot be followed");
                        std::thread::sleep(PAUSE);
                        // What is assigned can be read as long as its brokers reply.
                        if refreshed.is_none() || consumer.is_stuck() {
                            continue;
                        }
                        refreshed = Some(Instant::now());
                    }
                }
            }
            let records = self.gather(&mut consumer);
            match records.is_empty() {
                true => self.live.audience.retry(),
                false => self.publish(&records),
            }
        }
        Ok(())
    }

    fn note(&self, change: TailChange, is_first: bool) {
        if is_first {
            info!("live pages follow the tail of the topics");
        }
        match change {
            TailChange::Recreated => self.live.audience.reload(true),
            TailChange::Skipped => self.live.audience.reload(false),
            TailChange::Unchanged | TailChange::Extended if is_first => self.live.audience.reload(false),
            TailChange::Unchanged | TailChange::Extended => {}
        }
    }

    fn gather(&self, consumer: &mut TailConsumer) -> Vec<CheckedRecord> {
        let (mut records, mut bytes, mut until) = (Vec::new(), 0, None);
        while records.len() < MAX_RECORDS && bytes < MAX_BYTES {
            let wait = match until {
                None => POLL,
                Some(until) => Instant::saturating_duration_since(&until, Instant::now()),
            };
            let Some(record) = consumer.poll(wait) else { break };
            until.get_or_insert_with(|| Instant::now() + gather_time(self.live.audience.clients()));
            bytes += record.key().len() + record.payload().len();
            records.push(self.checker.check(&record));
        }
        records
    }

    fn publish(&self, records: &[CheckedRecord]) {
        let read = records.iter().filter_map(|record| self.read(record.place()));
        let items: Vec<LiveItem<'_>> = records
            .iter()
            .filter_map(|record| match record {
                CheckedRecord::Event(event) => Some(LiveItem::new(event)),
                CheckedRecord::State(_) | CheckedRecord::Apart(_) => None,
            })
            .collect();
        self.live.audience.publish(read, &items);
    }

    fn read<'a>(&self, place: &'a Place) -> Option<(Kind, &'a Place)> {
        let topic = place.topic.strip_prefix(&self.kafka.prefix)?;
        Some((Kind::from_topic(topic)?, place))
    }
}

fn gather_time(clients: usize) -> Duration {
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    GATHER_PER_CLIENT
        .saturating_mul(clients)
        .clamp(MIN_GATHER, MAX_GATHER)
}
