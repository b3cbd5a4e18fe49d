//! A consumer's progress in each partition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comptoir_core::position::{Position, PositionTable, TopicId};
use rdkafka::Statistics;

/// Progress in one partition, for status pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionProgress {
    pub topic: String,
    pub partition: i32,
    /// Offset of the next record to read; never beyond `end`.
    pub position: i64,
    /// One past the last offset in Kafka, if known.
    pub end: Option<i64>,
    /// Number of unread offsets before `end`, if known.
    pub lag: Option<i64>,
}

/// A position in one partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionPosition {
    pub partition: i32,
    pub position: Position,
}

#[derive(Default)]
struct ProgressTable {
    positions: PositionTable,
    /// Keyed by topic and partition.
    ends: HashMap<(String, i32), PartitionEnd>,
}

/// A partition's end, from librdkafka's statistics.
#[derive(Clone, Copy)]
struct PartitionEnd {
    end: i64,
    /// One past the last record that librdkafka delivered, including the transaction markers after it. A marker takes
    /// an offset but is never delivered, so the position alone would never reach the end.
    delivered: i64,
}

/// A consumer's positions. Clones share them.
#[derive(Clone, Default)]
pub struct Positions(Arc<Mutex<ProgressTable>>);

impl Positions {
    pub fn new(positions: PositionTable) -> Self {
        Self(Arc::new(Mutex::new(ProgressTable {
            positions,
            ..ProgressTable::default()
        })))
    }

    fn lock(&self) -> MutexGuard<'_, ProgressTable> {
        // A panic elsewhere leaves the maps consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Progress in all partitions, sorted by topic and partition.
    ///
    /// The statistics lag behind the position. If the position has overtaken the known end, it counts as the end.
    pub fn partitions(&self) -> Vec<PartitionProgress> {
        let table = self.lock();
        let mut partitions: Vec<_> = table
            .positions
            .iter()
            .map(|(key, position)| {
                let position = position.next;
                let end = table.ends.get(key);
                PartitionProgress {
                    topic: key.0.clone(),
                    partition: key.1,
                    position,
                    end: end.map(|end| end.end.max(position)),
                    lag: end.map(|end| (end.end - position.max(end.delivered)).max(0)),
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

    /// Whether any partition of the topic with this id has a position.
    pub(super) fn has_topic(&self, topic: &str, id: Option<TopicId>) -> bool {
        let table = self.lock();
        let mut positions = table.positions.iter();
        positions.any(|((name, _), position)| name == topic && position.topic_id == id)
    }

    pub(super) fn advance(&self, topic: &str, partition: i32, position: Position) {
        self.lock()
            .positions
            .insert((topic.to_owned(), partition), position);
    }

    /// Records that this gateway has written a record at an offset, for a gateway that does not read the topic. Its
    /// position is then one past its newest record.
    pub fn note_written(&self, topic: &str, partition: i32, offset: i64) {
        let mut table = self.lock();
        match table.positions.get_mut(&(topic.to_owned(), partition)) {
            // Partitions of a recreated topic start at 0 again.
            Some(position) => position.next = offset + 1,
            None => {
                let position = Position {
                    next: offset + 1,
                    topic_id: None,
                };
                table.positions.insert((topic.to_owned(), partition), position);
            }
        }
    }

    /// Replaces all positions of a topic.
    pub(super) fn replace(&self, topic: &str, positions: &[PartitionPosition]) {
        let mut table = self.lock();
        let before = table.positions.clone();
        table.positions.retain(|(name, _), _| name != topic);
        for &PartitionPosition { partition, position } in positions {
            let key = (topic.to_owned(), partition);
            // The known end may belong to a former topic of this name.
            if before.get(&key) != Some(&position) {
                table.ends.remove(&key);
            }
            table.positions.insert(key, position);
        }
    }

    pub(super) fn note_ends(&self, statistics: Statistics) {
        let mut table = self.lock();
        for (topic, of_topic) in statistics.topics {
            for (partition, of_partition) in of_topic.partitions {
                if partition >= 0 && of_partition.hi_offset >= 0 {
                    let end = PartitionEnd {
                        end: of_partition.hi_offset.max(of_partition.ls_offset),
                        delivered: of_partition.app_offset,
                    };
                    table.ends.insert((topic.clone(), partition), end);
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
    fn a_shown_position_is_never_beyond_the_end_and_the_lag_agrees() {
        let positions = Positions::new(HashMap::from([(("orders".to_owned(), 0), at(17))]));
        for (end, delivered, shown) in [
            // The position is newer than the statistics.
            (16, 16, (17, 17, 0)),
            // A transaction marker, which is never delivered, follows the last record.
            (18, 18, (17, 18, 0)),
            (30, 17, (17, 30, 13)),
        ] {
            let key = ("orders".to_owned(), 0);
            positions.lock().ends.insert(key, PartitionEnd { end, delivered });
            let partition = positions.partitions().remove(0);
            assert_eq!(
                (partition.position, partition.end, partition.lag),
                (shown.0, Some(shown.1), Some(shown.2))
            );
        }
    }

    #[test]
    fn a_recreated_topic_loses_its_old_positions_and_ends() {
        let topic = "orders".to_owned();
        let positions = Positions::new(HashMap::from([
            ((topic.clone(), 0), at(17)),
            ((topic.clone(), 5), at(3)),
        ]));
        let end = PartitionEnd {
            end: 20,
            delivered: 17,
        };
        positions.lock().ends.insert((topic.clone(), 0), end);
        let new = Position {
            next: 0,
            topic_id: TopicId::new(7),
        };
        let new = PartitionPosition {
            partition: 0,
            position: new,
        };
        positions.replace(&topic, &[new]);
        let shown = positions.partitions();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].position, shown[0].end), (0, None));
        assert!(positions.has_topic(&topic, TopicId::new(7)) && !positions.has_topic(&topic, None));
    }

    #[test]
    fn a_topic_id_survives_a_round_trip_through_bytes() {
        let id = TopicId::new(u128::MAX - 5).unwrap();
        assert_eq!(TopicId::from_bytes(&id.to_bytes()), Some(id));
        assert_eq!(TopicId::from_bytes(&[0; 16]), None);
        assert_eq!(TopicId::from_bytes(b"short"), None);
    }
}
