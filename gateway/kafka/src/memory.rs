//! An in-memory Kafka for `gateway demo`: librdkafka's mock cluster.
//!
//! The mock only imitates transactions (records of an aborted one are visible) and forgets everything when the process
//! ends. The gateway's guarantees are tested on Apache Kafka.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{AUDIT, CLOSINGS, COMMANDS, DEAD_LETTERS, Error, GATEWAYS, WATERMARKS};
use comptoir_core::event::Kind;

/// Tells the owner of an [`InMemoryKafka`] to take it down (`false`) or bring it up (`true`).
pub type Switch = tokio::sync::mpsc::Sender<bool>;

/// The mock cluster's only broker.
const BROKER: i32 = 1;

/// A running in-memory Kafka; dropping it stops it.
pub struct InMemoryKafka(MockCluster<'static, DefaultProducerContext>);

impl InMemoryKafka {
    /// Starts it with the topics for the gateway of `store`, because the mock does not answer CreateTopics requests.
    ///
    /// # Errors
    /// librdkafka cannot start its mock cluster.
    pub fn start(store: &str) -> Result<Self, Error> {
        let act = "start in memory";
        let cluster = MockCluster::new(1).map_err(Error::of(act))?;
        let shared =
            Kind::ALL
                .map(Kind::topic)
                .into_iter()
                .chain([DEAD_LETTERS, AUDIT, CLOSINGS, GATEWAYS, COMMANDS]);
        let of_shop = [COMMANDS, WATERMARKS].map(|name| (format!("{name}.{store}"), 1));
        for (name, partitions) in shared.map(|name| (name.to_owned(), 3)).chain(of_shop) {
            cluster
                .create_topic(&name, partitions, 1)
                .map_err(Error::of(act))?;
        }
        Ok(Self(cluster))
    }

    /// Takes it down, or brings it up again with all of its records.
    ///
    /// # Errors
    /// librdkafka's mock cluster rejects the request.
    pub fn set_up(&self, up: bool) -> Result<(), Error> {
        let (act, done) = match up {
            true => ("restart in memory", self.0.broker_up(BROKER)),
            false => ("stop in memory", self.0.broker_down(BROKER)),
        };
        done.map_err(Error::of(act))
    }

    /// The value of `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }
}
