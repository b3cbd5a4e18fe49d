//! A Kafka in memory for the demonstration: librdkafka's own mock cluster.
//!
//! It knows transactions only on the surface (an aborted one is visible) and forgets everything with the
//! process. What the gateway promises is proven on Apache Kafka.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{COMMANDS, DEAD_LETTERS, Error, WATERMARKS};
use crate::event::Kind;

/// Asks whoever holds an [`InMemoryKafka`] to take it down or up.
pub type Switch = tokio::sync::mpsc::Sender<bool>;

/// The only one.
const BROKER: i32 = 1;

pub struct InMemoryKafka(MockCluster<'static, DefaultProducerContext>);

impl InMemoryKafka {
    /// Starts it, with the gateway's topics made: the mock answers no request to make one.
    pub fn start() -> Result<Self, Error> {
        let act = "start in memory";
        let cluster = MockCluster::new(1).map_err(Error::of(act))?;
        let events = Kind::ALL.map(|kind| (kind.topic(), 3));
        let others = [(DEAD_LETTERS, 3), (COMMANDS, 3), (WATERMARKS, 1)];
        for (name, partitions) in events.into_iter().chain(others) {
            cluster
                .create_topic(name, partitions, 1)
                .map_err(Error::of(act))?;
        }
        Ok(Self(cluster))
    }

    /// Takes it down, or up again with all that it had.
    pub fn set_up(&self, up: bool) -> Result<(), Error> {
        let (act, done) = match up {
            true => ("come back", self.0.broker_up(BROKER)),
            false => ("go away", self.0.broker_down(BROKER)),
        };
        done.map_err(Error::of(act))
    }

    /// For `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }
}
