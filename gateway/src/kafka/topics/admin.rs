//! The admin client, in steps that block. To be used on a thread that may block, of a Tokio runtime.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, OwnedResourceSpecifier,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Handle;

use super::super::{Error, Quiet, Resource, Settings};
use super::description::{Described, TopicDescription, TopicSettings};

const DEFAULT_PARTITIONS: i32 = 3;

/// One inspection's client.
pub(super) struct Admin<'a> {
    settings: &'a Settings,
    client: AdminClient<Quiet>,
    runtime: Handle,
    deadline: Instant,
    /// The broker that is asked for settings. librdkafka would ask the controller, for which it may wait in vain.
    broker: Cell<Option<i32>>,
}

/// Whether a topic is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Present,
    Absent,
}

impl<'a> Admin<'a> {
    pub fn connect(settings: &'a Settings, within: Duration) -> Result<Self, Error> {
        let mut config = settings.client();
        settings.finish(&mut config);
        // librdkafka's admin client is a producer, which would let the Kafka brokers make topics as they like.
        config.set("allow.auto.create.topics", "false");
        let client = config.create_with_context(Quiet).map_err(Error::of("answer"))?;
        Ok(Self {
            settings,
            client,
            runtime: Handle::current(),
            deadline: Instant::now() + within,
            broker: Cell::new(None),
        })
    }

    fn left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // 0 would be for ever.
        left.max(Duration::from_millis(1))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.left()))
            .operation_timeout(Some(self.left()))
    }

    /// Whether a topic is there, and how many brokers are.
    pub fn presence(&self, topic: &str) -> Result<(Presence, usize), Error> {
        let act = "list its topics";
        let metadata = self.client.inner().fetch_metadata(Some(topic), self.left());
        let metadata = metadata.map_err(Error::of(act))?;
        let answering = Some(metadata.orig_broker_id()).filter(|id| *id >= 0);
        let any = metadata.brokers().first().map(|broker| broker.id());
        self.broker.set(answering.or(any));
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let error = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
        let presence = match error {
            None if found.is_some() => Presence::Present,
            None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Presence::Absent
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                return Err(Error::MissingRight {
                    right: "DESCRIBE",
                    resource: Resource::Topic(topic.to_owned()),
                });
            }
            // It has no leader at the moment.
            Some(_) => Presence::Present,
        };
        Ok((presence, metadata.brokers().len()))
    }

    /// Makes topics; those that another gateway has made meanwhile are no error. Gives the names of those that were made.
    pub fn create(&self, absent: &[&TopicDescription]) -> Result<Vec<String>, Error> {
        let act = "make the topics";
        let names: Vec<String> = absent
            .iter()
            .map(|topic| self.settings.topic(topic.name))
            .collect();
        let topics: Vec<NewTopic<'_>> = absent
            .iter()
            .zip(&names)
            .map(|(topic, name)| {
                let partitions = match topic.is_single {
                    true => 1,
                    false => self.settings.partitions.unwrap_or(DEFAULT_PARTITIONS),
                };
                // -1: as the Kafka brokers are configured.
                let replication = TopicReplication::Fixed(self.settings.replication_factor.unwrap_or(-1));
                let made = NewTopic::new(name, partitions, replication);
                let initial = topic.settings.iter();
                let initial = initial.filter_map(|setting| Some((setting.name, setting.initial?)));
                initial.fold(made, |made, (key, value)| made.set(key, value))
            })
            .collect();
        let results = self
            .runtime
            .block_on(self.client.create_topics(&topics, &self.options()))
            .map_err(|error| of_admin(act, error))?;
        let mut made = Vec::new();
        for result in results {
            match result {
                Ok(name) => made.push(name),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((
                    name,
                    RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
                )) => {
                    return Err(Error::MissingRight {
                        right: "CREATE",
                        resource: Resource::Topic(name),
                    });
                }
                Err((name, code)) => {
                    return Err(Error::Failed {
                        act,
                        problem: format!("{name}: {code}"),
                    });
                }
            }
        }
        Ok(made)
    }

    /// The settings of topics. Of one that this client may not see there are none. `None`: this Kafka tells nobody, as the
    /// one in memory.
    pub fn describe(&self, topics: &[String]) -> Result<Option<HashMap<String, TopicSettings>>, Error> {
        let act = "tell its topics' settings";
        let resources: Vec<_> = topics.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let options = self.options().broker_id(self.broker.get());
        let described = self
            .runtime
            .block_on(self.client.describe_configs(&resources, &options));
        let described = match described {
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature)) => return Ok(None),
            described => described.map_err(|error| of_admin(act, error))?,
        };
        let mut settings = HashMap::new();
        // The binding hides a topic's own error, and then gives no entries.
        for resource in described.into_iter().flatten() {
            let OwnedResourceSpecifier::Topic(name) = resource.specifier else {
                continue;
            };
            let entries = resource.entries.into_iter();
            let entries = entries.filter_map(|entry| {
                let is_own = entry.source == ConfigSource::DynamicTopic;
                Some((
                    entry.name,
                    Described {
                        value: entry.value?,
                        is_own,
                    },
                ))
            });
            settings.insert(name, entries.collect());
        }
        Ok(Some(settings))
    }

    /// Asks Kafka to set something for a topic. Whether it has done so is seen by [`Self::describe`]: the binding hides a
    /// topic's own error.
    ///
    /// The request replaces all that was set for the topic, so what stays is sent again. A change that somebody else makes
    /// in the same milliseconds is lost.
    pub fn alter(
        &self,
        topic: &str,
        present: &TopicSettings,
        changes: &BTreeMap<&str, &str>,
    ) -> Result<(), Error> {
        let mut request = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (name, described) in present.iter().filter(|(_, described)| described.is_own) {
            request = request.set(name, &described.value);
        }
        for (name, value) in changes {
            request = request.set(name, value);
        }
        self.runtime
            .block_on(self.client.alter_configs([&request], &self.options()))
            .map(|_| ())
            .map_err(|error| of_admin("change a topic", error))
    }
}

fn of_admin(act: &'static str, error: KafkaError) -> Error {
    match error {
        KafkaError::AdminOp(RDKafkaErrorCode::ClusterAuthorizationFailed) => Error::MissingRight {
            right: "CREATE",
            resource: Resource::Cluster,
        },
        error => Error::of(act)(error),
    }
}
