//! Reads the topics back, as any other `read_committed` reader would.
//!
//! Our own events come back with their partition and offset: they are in Kafka, seen to be there. Events of
//! other gateways are taken in for the dashboard. The reader's positions are kept with what was read (in
//! the projection's file), so nothing is counted twice; the group's offsets in Kafka are for tools to see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::event::Kind;
use crate::journal::{Journal, Offset};
use crate::kafka::{Consumer, Message, Positions, Settings, Start};
use crate::link::Link;
use crate::metrics::Metrics;

/// Records handed on together.
const BATCH: usize = 1_000;
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub kind: Kind,
    pub partition: i32,
    pub offset: i64,
}

/// A record of the event topics.
#[derive(Debug)]
pub struct ReadBack {
    pub place: Place,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    /// An entry of this journal, with its `ce_id` and its key.
    Own {
        entry: Offset,
        name: Box<str>,
        order_id: Box<str>,
    },
    /// An event that came by another way. The name is its `ce_id`, or made of its place if it has none.
    Foreign {
        name: Box<str>,
        /// Unix ms.
        time: i64,
        payload: Box<str>,
    },
}

pub struct ReadBackLoop {
    pub settings: Settings,
    pub journal: Journal,
    pub positions: Positions,
    pub link: Link,
    pub metrics: Arc<Metrics>,
    pub output: mpsc::Sender<Vec<ReadBack>>,
}

/// Whose entries are this journal's.
struct Ours {
    uuid: String,
    parent: Option<(String, Offset)>,
}

impl Ours {
    fn of(journal: &Journal) -> Self {
        Self {
            uuid: journal.uuid(),
            parent: journal.parent(),
        }
    }

    /// This journal's entry that a record of `journal` is, if it is one.
    fn entry(&self, journal: &[u8], offset: Offset) -> Option<Offset> {
        let shared = |(parent, upto): &(String, Offset)| journal == parent.as_bytes() && offset <= *upto;
        (journal == self.uuid.as_bytes() || self.parent.as_ref().is_some_and(shared)).then_some(offset)
    }
}

impl ReadBackLoop {
    /// Runs until `stop`, on a thread of its own.
    pub fn run(self, stop: &CancellationToken) {
        let topics = Kind::ALL.map(Kind::topic);
        let join = || {
            Consumer::join(
                &self.settings,
                "",
                &topics,
                Start::Positions,
                self.positions.clone(),
            )
        };
        let consumer = match join() {
            Ok(consumer) => consumer,
            Err(error) => {
                // Not for a property, which was checked before: the gateway ends, and is started anew.
                warn!(%error, "Kafka is not read back");
                self.link.down(error);
                return;
            }
        };
        let mut probed: Option<Instant> = None;
        while !stop.is_cancelled() {
            if probed.is_none_or(|at| at.elapsed() >= PROBE_EVERY) {
                match consumer.probe(PROBE_PATIENCE) {
                    Ok(()) => self.link.up(),
                    Err(error) => self.link.down(error),
                }
                probed = Some(Instant::now());
            }
            let ours = Ours::of(&self.journal);
            let batch = self.batch(&consumer, &ours);
            if batch.is_empty() {
                continue;
            }
            self.metrics.read_back.inc_by(batch.len() as u64);
            let mut ends: Vec<Place> = Vec::new();
            for record in &batch {
                let place = record.place;
                match ends
                    .iter_mut()
                    .find(|end| end.kind == place.kind && end.partition == place.partition)
                {
                    Some(end) => end.offset = place.offset,
                    None => ends.push(place),
                }
            }
            if self.output.blocking_send(batch).is_err() {
                return;
            }
            for end in ends {
                let topic = self.settings.topic(end.kind.topic());
                consumer.done(&topic, end.partition, end.offset);
            }
        }
    }

    fn batch(&self, consumer: &Consumer, ours: &Ours) -> Vec<ReadBack> {
        let mut batch = Vec::new();
        let mut wait = Duration::from_millis(500);
        while batch.len() < BATCH {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => batch.extend(self.record(&message, ours)),
                Some(Err(error)) => {
                    debug!(%error, "read back");
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        batch
    }

    fn record(&self, message: &Message<'_>, ours: &Ours) -> Option<ReadBack> {
        let topic = message.topic().strip_prefix(self.settings.prefix.as_str())?;
        let place = Place {
            kind: Kind::from_topic(topic)?,
            partition: message.partition(),
            offset: message.offset(),
        };
        let (mut id, mut journal, mut offset) = (None, None, None);
        message.headers(|key, value| match key {
            "ce_id" => id = std::str::from_utf8(value).ok(),
            "ce_journal" => journal = Some(value),
            "ce_journaloffset" => {
                offset = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            _ => {}
        });
        let own = journal
            .zip(offset.map(Offset))
            .and_then(|(journal, offset)| ours.entry(journal, offset));
        let content = match own {
            Some(entry) => Content::Own {
                entry,
                name: id.unwrap_or_default().into(),
                order_id: String::from_utf8_lossy(message.key()).into(),
            },
            None => Content::Foreign {
                name: match id {
                    Some(id) => id.into(),
                    None => format!("{topic}/{}/{}", place.partition, place.offset).into(),
                },
                time: message.timestamp().unwrap_or_default(),
                // What is no text is no sale either.
                payload: String::from_utf8_lossy(message.payload()).into(),
            },
        };
        Some(ReadBack { place, content })
    }
}
