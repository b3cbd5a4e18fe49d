//! Administration of topics.
//!
//! Kafka's controller answers as soon as it has decided, and the brokers read its decision later. So what creates or deletes
//! waits until the brokers have done so. A setting is not waited for: a gateway may correct it at once.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use super::{Kafka, Operation, acls, client};
use crate::within;

const TIMEOUT: Duration = Duration::from_secs(10);

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(TIMEOUT))
}

impl Kafka {
    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        client(&self.brokers)
            .create()
            .context("create a Kafka admin client")
    }

    /// Creates topics, each given with its number of partitions, with the cluster's default replication factor.
    ///
    /// # Errors
    /// Kafka refuses one of them, or does not answer.
    pub async fn create_topics(&self, topics: &[(&str, i32)]) -> Result<()> {
        for (name, partitions) in topics {
            self.create_topic(name, *partitions, &[]).await?;
        }
        Ok(())
    }

    /// Creates a topic with its own settings.
    ///
    /// # Errors
    /// Kafka refuses, or does not answer.
    pub async fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let topic = settings
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value));
        for result in self.admin()?.create_topics([&topic], &options()).await? {
            result.map_err(|(topic, code)| anyhow!("create the topic {topic}: {code}"))?;
        }
        self.wait_for_partitions(name, partitions.unsigned_abs() as usize)
            .await?;
        self.wait_for_settings(name, settings).await
    }

    /// Replaces the settings of a topic.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub async fn alter_topic(&self, name: &str, settings: &[(&str, &str)]) -> Result<()> {
        let request = AlterConfig::new(ResourceSpecifier::Topic(name));
        let request = settings
            .iter()
            .fold(request, |request, (key, value)| request.set(key, value));
        for result in self.admin()?.alter_configs([&request], &options()).await? {
            result.map_err(|(topic, code)| anyhow!("alter {topic:?}: {code}"))?;
        }
        Ok(())
    }

    async fn wait_for_settings(&self, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
        within("the broker to have the settings", TIMEOUT, async || {
            let found = self.topic_settings(topic).await?;
            let has = |(key, value): &(&str, &str)| found.get(*key).is_some_and(|found| found == value);
            ensure!(settings.iter().all(has), "{found:?}");
            Ok(())
        })
        .await
    }

    async fn wait_for_partitions(&self, topic: &str, partitions: usize) -> Result<()> {
        let admin = Arc::new(self.admin()?);
        within("the broker to have the partitions", TIMEOUT, async || {
            let (admin, name) = (Arc::clone(&admin), topic.to_owned());
            let metadata =
                spawn_blocking(move || admin.inner().fetch_metadata(Some(&name), TIMEOUT)).await??;
            let found = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let led = found.filter(|partition| partition.leader() >= 0).count();
            ensure!(
                led >= partitions,
                "{led} of {partitions} partitions have a leader"
            );
            Ok(())
        })
        .await
    }

    /// The settings of a topic that differ from Kafka's defaults.
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
        for result in self.admin()?.create_partitions([&wanted], &options()).await? {
            result.map_err(|(topic, code)| anyhow!("add partitions to {topic}: {code}"))?;
        }
        self.wait_for_partitions(name, partitions).await
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// Kafka refuses one, does not answer, or its nodes keep one.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<()> {
        let deleted = self.stored_partitions(names)?;
        for result in self.admin()?.delete_topics(names, &options()).await? {
            result.map_err(|(topic, code)| anyhow!("delete the topic {topic}: {code}"))?;
        }
        // Until then they still take records for the deleted topics.
        within("the brokers to delete the topics", TIMEOUT, async || {
            let left = self.stored_partitions(names)?;
            ensure!(deleted.is_disjoint(&left), "{left:?}");
            Ok(())
        })
        .await
    }

    /// The partitions of topics that a node stores: their folders, and the ids of the topics. A topic that is created
    /// again has another id.
    fn stored_partitions(&self, topics: &[&str]) -> Result<HashSet<(PathBuf, String)>> {
        let mut found = HashSet::new();
        for node in &self.nodes {
            for entry in fs::read_dir(node.data_folder())? {
                let folder = entry?.path();
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                let topic = name.rsplit_once('-').map_or("", |(topic, _)| topic);
                // The broker may rename or delete the folder meanwhile.
                if topics.contains(&topic)
                    && let Ok(id) = fs::read_to_string(folder.join("partition.metadata"))
                {
                    found.insert((folder, id));
                }
            }
        }
        Ok(found)
    }

    /// Deletes all records of a topic, as its retention would.
    ///
    /// # Errors
    /// Kafka refuses, or does not answer.
    pub async fn delete_records(&self, topic: &str) -> Result<()> {
        let admin = self.admin()?;
        let metadata = admin.inner().fetch_metadata(Some(topic), TIMEOUT)?;
        let mut all = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            all.add_partition_offset(topic, partition.id(), Offset::End)?;
        }
        admin.delete_records(&all, &options()).await?;
        Ok(())
    }

    /// The index of the node that leads a partition, from 0. Blocks the thread until Kafka answers.
    ///
    /// # Errors
    /// Kafka does not answer, or the partition has no leader.
    pub fn leader_of(&self, topic: &str, partition: i32) -> Result<usize> {
        let metadata = self.admin()?.inner().fetch_metadata(Some(topic), TIMEOUT)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let leader = partitions
            .filter(|candidate| candidate.id() == partition)
            .map(|candidate| candidate.leader())
            .next();
        let leader = leader.with_context(|| format!("{topic} has no partition {partition}"))?;
        usize::try_from(leader - 1).context("the partition has no leader")
    }

    /// Denies all clients an operation on the topics with this prefix, and waits until the broker enforces it.
    ///
    /// # Errors
    /// Kafka refuses, or does not enforce it in time. Only [`Self::shared`] has an authoriser.
    pub fn deny(&self, prefix: &str, operation: Operation) -> Result<()> {
        acls::deny(
            self.brokers.split(',').next().unwrap_or_default(),
            prefix,
            operation,
        )
    }

    /// Removes all denials on the topics with this prefix, and waits until the broker has forgotten them.
    ///
    /// # Errors
    /// Kafka refuses, or does not enforce it in time.
    pub fn allow(&self, prefix: &str) -> Result<()> {
        acls::allow(self.brokers.split(',').next().unwrap_or_default(), prefix)
    }
}
