//! What an administrator does with topics.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;

use super::{Kafka, Operation, acls, client};

const ANSWER: Duration = Duration::from_secs(10);

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ANSWER))
}

impl Kafka {
    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        client(&self.brokers).create().context("make an admin client")
    }

    /// Makes topics of so many partitions, replicated as the cluster's size allows.
    ///
    /// # Errors
    /// Kafka refuses one, or does not answer.
    pub async fn create_topics(&self, topics: &[(&str, i32)]) -> Result<()> {
        for (name, partitions) in topics {
            self.create_topic(name, *partitions, &[]).await?;
        }
        Ok(())
    }

    /// Makes a topic with settings of its own.
    ///
    /// # Errors
    /// Kafka refuses it, or does not answer.
    pub async fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let topic = settings
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value));
        for made in self.admin()?.create_topics([&topic], &options()).await? {
            made.map_err(|(topic, code)| anyhow!("make the topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Gives a topic these settings and no others.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub async fn alter_topic(&self, name: &str, settings: &[(&str, &str)]) -> Result<()> {
        let request = AlterConfig::new(ResourceSpecifier::Topic(name));
        let request = settings
            .iter()
            .fold(request, |request, (key, value)| request.set(key, value));
        self.admin()?.alter_configs([&request], &options()).await?;
        Ok(())
    }

    /// What was set for a topic, without Kafka's defaults.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub async fn topic_settings(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let admin = self.admin()?;
        let described = admin
            .describe_configs([&ResourceSpecifier::Topic(name)], &options())
            .await?;
        let entries = described.into_iter().flatten().flat_map(|topic| topic.entries);
        let own = entries.filter(|entry| entry.source == ConfigSource::DynamicTopic);
        Ok(own.filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// Adds partitions to a topic, up to `partitions`.
    ///
    /// # Errors
    /// Kafka refuses, or does not answer.
    pub async fn add_partitions(&self, name: &str, partitions: usize) -> Result<()> {
        let wanted = NewPartitions::new(name, partitions);
        for added in self.admin()?.create_partitions([&wanted], &options()).await? {
            added.map_err(|(topic, code)| anyhow!("add partitions to {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// Kafka refuses one, or does not answer.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<()> {
        for deleted in self.admin()?.delete_topics(names, &options()).await? {
            deleted.map_err(|(topic, code)| anyhow!("delete the topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// The node (from 0) that leads a topic's partition. Blocks for a moment.
    ///
    /// # Errors
    /// Kafka does not answer, or no node leads it.
    pub fn leader_of(&self, topic: &str, partition: i32) -> Result<usize> {
        let metadata = self.admin()?.inner().fetch_metadata(Some(topic), ANSWER)?;
        let found = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let leader = found
            .filter(|of| of.id() == partition)
            .map(|of| of.leader())
            .next();
        let leader = leader.with_context(|| format!("{topic} has no partition {partition}"))?;
        usize::try_from(leader - 1).context("nobody leads it")
    }

    /// Denies everybody an operation on the topics with this prefix.
    ///
    /// # Errors
    /// Kafka refuses: only [`Self::shared`] knows rights.
    pub fn deny(&self, prefix: &str, operation: Operation) -> Result<()> {
        acls::deny(
            self.brokers.split(',').next().unwrap_or_default(),
            prefix,
            operation,
        )
    }

    /// Takes back what was denied on the topics with this prefix.
    ///
    /// # Errors
    /// Kafka refuses.
    pub fn allow(&self, prefix: &str) -> Result<()> {
        acls::allow(self.brokers.split(',').next().unwrap_or_default(), prefix)
    }
}
