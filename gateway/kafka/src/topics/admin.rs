//! Blocking admin requests, for a blocking thread of a Tokio runtime.

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

use super::super::settings::LogOnlyContext;
use super::super::{Error, Resource, Settings};
use super::spec::TopicSpec;
use super::violation::{SettingValue, TopicSettings};

const DEFAULT_PARTITIONS: i32 = 3;

/// The client of one inspection.
pub(super) struct Admin<'a> {
    settings: &'a Settings,
    client: AdminClient<LogOnlyContext>,
    runtime: Handle,
    deadline: Instant,
    /// The broker to ask for settings. librdkafka would ask the controller, which may be unreachable.
    broker: Cell<Option<i32>>,
}

/// Whether a topic exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Present,
    Absent,
}

impl<'a> Admin<'a> {
    pub fn connect(settings: &'a Settings, within: Duration) -> Result<Self, Error> {
        let mut config = settings.client();
        settings.finish(&mut config);
        // librdkafka's admin client is a producer, for which Kafka brokers would create topics with their own defaults.
        config.set("allow.auto.create.topics", "false");
        let client = config
            .create_with_context(LogOnlyContext)
            .map_err(Error::of("answer"))?;
        Ok(Self {
            settings,
            client,
            runtime: Handle::current(),
            deadline: Instant::now() + within,
            broker: Cell::new(None),
        })
    }

    fn remaining(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // librdkafka reads 0 as "no timeout".
        left.max(Duration::from_millis(1))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.remaining()))
            .operation_timeout(Some(self.remaining()))
    }

    /// Whether a topic exists, and the number of brokers.
    pub fn presence(&self, topic: &str) -> Result<(Presence, usize), Error> {
        let act = "list its topics";
        let metadata = self.client.inner().fetch_metadata(Some(topic), self.remaining());
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
            // For example, it has no leader now.
            Some(_) => Presence::Present,
        };
        Ok((presence, metadata.brokers().len()))
    }

    /// Creates topics. Returns the full names of those created. It is not an error if another gateway creates a topic
    /// meanwhile.
    pub fn create(&self, absent: &[&TopicSpec]) -> Result<Vec<String>, Error> {
        let act = "create the topics";
        if absent.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = absent
            .iter()
            .map(|topic| topic.full_name(self.settings))
            .collect();
        let topics: Vec<NewTopic<'_>> = absent
            .iter()
            .zip(&names)
            .map(|(topic, name)| {
                let partitions = match topic.is_single {
                    true => 1,
                    false => self.settings.partitions.unwrap_or(DEFAULT_PARTITIONS),
                };
                // -1 selects the Kafka brokers' default.
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
            .map_err(|error| admin_error(act, error))?;
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

    /// The settings of topics; empty for a topic that this client may not see. `None` if this Kafka does not support
    /// the request, as with the in-memory one.
    pub fn describe(&self, topics: &[String]) -> Result<Option<HashMap<String, TopicSettings>>, Error> {
        let act = "describe its topics' settings";
        let resources: Vec<_> = topics.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let options = self.options().broker_id(self.broker.get());
        let described = self
            .runtime
            .block_on(self.client.describe_configs(&resources, &options));
        let described = match described {
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature)) => return Ok(None),
            described => described.map_err(|error| admin_error(act, error))?,
        };
        let mut settings = HashMap::new();
        // The binding hides the error of a single topic and returns no entries for it.
        for resource in described.into_iter().flatten() {
            let OwnedResourceSpecifier::Topic(name) = resource.specifier else {
                continue;
            };
            let entries = resource.entries.into_iter();
            let entries = entries.filter_map(|entry| {
                let is_own = entry.source == ConfigSource::DynamicTopic;
                Some((
                    entry.name,
                    SettingValue {
                        value: entry.value?,
                        is_own,
                    },
                ))
            });
            settings.insert(name, entries.collect());
        }
        Ok(Some(settings))
    }

    /// Asks Kafka to change settings of a topic. Check the result with [`Self::describe`]: the binding hides the error
    /// of a single topic.
    ///
    /// The request replaces all settings of the topic, so the unchanged ones are sent again. A change that someone else
    /// makes in the same milliseconds is lost.
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
            .map_err(|error| admin_error("change a topic's settings", error))
    }
}

fn admin_error(act: &'static str, error: KafkaError) -> Error {
    match error {
        KafkaError::AdminOp(RDKafkaErrorCode::ClusterAuthorizationFailed) => Error::MissingRight {
            right: "CREATE",
            resource: Resource::Cluster,
        },
        error => Error::of(act)(error),
    }
}
