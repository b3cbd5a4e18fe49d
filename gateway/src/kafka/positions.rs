//! How far a reader is in each partition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::Statistics;

/// Tells a topic from one of the same name that was deleted before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(u128);

impl TopicId {
    /// `None` for the id that stands for no id: of a Kafka that gives its topics none.
    pub fn new(id: u128) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// As [`TopicId::to_bytes`] wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::new(u128::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// Where a reader goes on in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The next offset to be read.
    pub next: i64,
    /// Of the topic in which `next` counts. `None`: the Kafka has no ids, or an earlier version of the gateway wrote this.
    pub topic_id: Option<TopicId>,
}

/// Positions by a topic's full name and the partition's number.
pub type PositionTable = HashMap<(String, i32), Position>;

/// One partition, as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The next offset to be read; never beyond `end`.
    pub position: i64,
    /// One past the last offset in Kafka, when known.
    pub end: Option<i64>,
    /// Offsets before `end` that are still to be read, when known.
    pub lag: Option<i64>,
}

#[derive(Default)]
struct Seen {
    positions: PositionTable,
    ends: HashMap<(String, i32), End>,
}

/// Of a partition, as librdkafka's statistics say.
#[derive(Clone, Copy)]
struct End {
    end: i64,
    /// One past the last record that was handed to us, and past the ends of transactions behind it: those are records,
    /// too, but nobody is handed them, so that the position alone would never reach the end.
    handed: i64,
}

/// A reader's positions; shared with whoever shows them.
#[derive(Clone, Default)]
pub struct Positions(Arc<Mutex<Seen>>);

impl Positions {
    pub fn new(positions: PositionTable) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            positions,
            ..Seen::default()
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // A panic elsewhere leaves the maps whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By topic and partition.
    ///
    /// The end is as old as the last statistics, and the position is not: where the position has overtaken the end, it
    /// is the end.
    pub fn partitions(&self) -> Vec<Partition> {
        let seen = self.lock();
        let mut partitions: Vec<_> = seen
            .positions
            .iter()
            .map(|(key, position)| {
                let position = position.next;
                let of = seen.ends.get(key);
                Partition {
                    topic: key.0.clone(),
                    partition: key.1,
                    position,
                    end: of.map(|of| of.end.max(position)),
                    lag: of.map(|of| (of.end - position.max(of.handed)).max(0)),
                }
            })
            .collect();
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        partitions
    }

    pub(super) fn table(&self) -> PositionTable {
        self.lock().positions.clone()
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<Position> {
        self.lock().positions.get(&(topic.to_owned(), partition)).copied()
    }

    /// Of this topic, in whichever partition.
    pub(super) fn has_topic(&self, topic: &str, id: Option<TopicId>) -> bool {
        let seen = self.lock();
        let mut positions = seen.positions.iter();
        positions.any(|((name, _), position)| name == topic && position.topic_id == id)
    }

    pub(super) fn advance(&self, topic: &str, partition: i32, position: Position) {
        self.lock()
            .positions
            .insert((topic.to_owned(), partition), position);
    }

    /// Forgets what was known of a topic in favour of these positions, by partition.
    pub(super) fn replace(&self, topic: &str, positions: &[(i32, Position)]) {
        let mut seen = self.lock();
        let before = seen.positions.clone();
        seen.positions.retain(|(name, _), _| name != topic);
        for &(partition, position) in positions {
            let key = (topic.to_owned(), partition);
            // What Kafka had of the partition may be another topic's.
            if before.get(&key) != Some(&position) {
                seen.ends.remove(&key);
            }
            seen.positions.insert(key, position);
        }
    }

    pub(super) fn note_ends(&self, statistics: Statistics) {
        let mut seen = self.lock();
        for (topic, of_topic) in statistics.topics {
            for (partition, of_partition) in of_topic.partitions {
                if partition >= 0 && of_partition.hi_offset >= 0 {
                    let end = End {
                        end: of_partition.hi_offset.max(of_partition.ls_offset),
                        handed: of_partition.app_offset,
                    };
                    seen.ends.insert((topic.clone(), partition), end);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: i64) -> Position {
        Position { next, topic_id: None }
    }

    #[test]
    fn a_position_is_never_shown_beyond_the_end_and_the_lag_agrees() {
        let positions = Positions::new(HashMap::from([(("orders".to_owned(), 0), at(17))]));
        for (end, handed, shown) in [
            // The position is newer than the statistics.
            (16, 16, (17, 17, 0)),
            // An end of a transaction, which nobody is handed, lies behind the last record.
            (18, 18, (17, 18, 0)),
            (30, 17, (17, 30, 13)),
        ] {
            let key = ("orders".to_owned(), 0);
            positions.lock().ends.insert(key, End { end, handed });
            let partition = positions.partitions().remove(0);
            assert_eq!(
                (partition.position, partition.end, partition.lag),
                (shown.0, Some(shown.1), Some(shown.2))
            );
        }
    }

    #[test]
    fn what_was_known_of_a_topic_that_was_made_anew_is_forgotten() {
        let topic = "orders".to_owned();
        let positions = Positions::new(HashMap::from([
            ((topic.clone(), 0), at(17)),
            ((topic.clone(), 5), at(3)),
        ]));
        let end = End { end: 20, handed: 17 };
        positions.lock().ends.insert((topic.clone(), 0), end);
        let new = Position {
            next: 0,
            topic_id: TopicId::new(7),
        };
        positions.replace(&topic, &[(0, new)]);
        let shown = positions.partitions();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].position, shown[0].end), (0, None));
        assert!(positions.has_topic(&topic, TopicId::new(7)) && !positions.has_topic(&topic, None));
    }

    #[test]
    fn a_topic_id_is_read_back_as_it_was_written() {
        let id = TopicId::new(u128::MAX - 5).unwrap();
        assert_eq!(TopicId::from_bytes(&id.to_bytes()), Some(id));
        assert_eq!(TopicId::from_bytes(&[0; 16]), None);
        assert_eq!(TopicId::from_bytes(b"short"), None);
    }
}
