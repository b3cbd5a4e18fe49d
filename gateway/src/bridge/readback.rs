//! Reads the topics back, as any other `read_committed` reader would.
//!
//! Our own events come back with their partition and offset: they are in Kafka, seen to be there. Events of
//! other gateways are taken in for the dashboard. The reader's positions are kept with what was read (in
//! the projection's file), so nothing is counted twice; the group's offsets in Kafka are for tools to see.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::event::Kind;
use crate::journal::{Journal, Offset};
use crate::kafka::{self, Consumer, Message, Positions, Settings, Start, TopicId};
use crate::link::Link;
use crate::metrics::Metrics;

/// Records handed on together.
const BATCH: usize = 1_000;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub kind: Kind,
    pub partition: i32,
    pub offset: i64,
    /// `None`: the Kafka gives its topics no ids.
    pub topic_id: Option<TopicId>,
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
        let positions = self.positions.clone();
        let reader = Consumer::new(&self.settings, "", &topics, Start::Beginning, positions);
        let mut consumer = match reader {
            Ok(consumer) => consumer,
            Err(error) => {
                // Not for a property, which was checked before: the gateway ends, and is started anew.
                warn!(%error, "Kafka is not read back");
                self.link.down(error);
                return;
            }
        };
        while !stop.is_cancelled() {
            if let Some(looked) = consumer.look() {
                self.say(looked);
            }
            let ours = Ours::of(&self.journal);
            let ids = Kind::ALL.map(|kind| consumer.topic_id(&self.settings.topic(kind.topic())));
            let batch = self.batch(&consumer, &ours, ids);
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
                break;
            }
            for end in ends {
                let topic = self.settings.topic(end.kind.topic());
                consumer.done(&topic, end.partition, end.offset);
            }
        }
        consumer.close();
    }

    fn say(&self, looked: Result<(), kafka::Error>) {
        let missing = match looked {
            Ok(()) => None,
            // Kafka is there, and the bridge may well work.
            Err(error @ kafka::Error::MissingRight { .. }) => Some(error.to_string()),
            Err(error) => return self.link.down(error.explained(&self.settings)),
        };
        self.link.up();
        let warnings: Vec<String> = missing.into_iter().collect();
        if self.link.status().warnings != warnings {
            for warning in &warnings {
                warn!("{warning}");
            }
            self.link.warn(warnings);
        }
    }

    fn batch(&self, consumer: &Consumer, ours: &Ours, ids: [Option<TopicId>; 3]) -> Vec<ReadBack> {
        let mut batch = Vec::new();
        let mut wait = Duration::from_millis(500);
        while batch.len() < BATCH {
            let Some(message) = consumer.poll(wait) else {
                break;
            };
            batch.extend(self.record(&message, ours, ids));
            wait = Duration::ZERO;
        }
        batch
    }

    fn record(&self, message: &Message<'_>, ours: &Ours, ids: [Option<TopicId>; 3]) -> Option<ReadBack> {
        let topic = message.topic().strip_prefix(self.settings.prefix.as_str())?;
        let kind = Kind::from_topic(topic)?;
        let place = Place {
            kind,
            partition: message.partition(),
            offset: message.offset(),
            topic_id: ids[kind as usize],
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
