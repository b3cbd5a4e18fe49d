//! Whether librdkafka takes the owner's properties: found out before anything depends on it.

use std::collections::BTreeMap;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::{Quiet, Reasons, Settings, canonical, consumer, producer, rules};
use crate::config::Secret;

/// What librdkafka has against the properties. Quotes no value: it may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// None where librdkafka does not say which.
    pub property: Option<String>,
    pub why: String,
}

/// Makes the clients with these properties, and without an address: they reach for nobody.
pub fn check(properties: &BTreeMap<String, Secret>) -> Result<(), Refused> {
    // Our own are good.
    if properties.is_empty() {
        return Ok(());
    }
    for (name, value) in properties {
        if let Some(why) = rules::refusal(name, value.reveal()) {
            return Err(Refused {
                property: Some(name.clone()),
                why,
            });
        }
    }
    let settings = settings(properties);
    producer::create(&settings).map_err(|error| refused(error, properties))?;
    consumer::create(&settings, "", Quiet).map_err(|error| refused(error, properties))?;
    consumer::reader(&settings, "read_committed").map_err(|error| refused(error, properties))?;
    Ok(())
}

fn settings(properties: &BTreeMap<String, Secret>) -> Settings {
    Settings {
        brokers: String::new(),
        prefix: String::new(),
        identity: "check".to_owned(),
        replication_factor: None,
        partitions: None,
        properties: properties.clone(),
        reasons: Reasons::default(),
    }
}

fn refused(error: KafkaError, properties: &BTreeMap<String, Secret>) -> Refused {
    // As the owner has written it.
    let written = |property: String| {
        let written = properties.keys().find(|name| canonical(name) == property);
        Some(written.cloned().unwrap_or(property))
    };
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, property, _) => Refused {
            property: written(property),
            why: "librdkafka has no such property".to_owned(),
        },
        KafkaError::ClientConfig(_, _, property, _) => Refused {
            property: written(property),
            why: "librdkafka does not take its value".to_owned(),
        },
        error => {
            let why = error.to_string();
            // The longest: `ssl.ca` is part of `ssl.ca.location`.
            let named = properties.keys().filter(|name| why.contains(name.as_str()));
            Refused {
                property: named.max_by_key(|name| name.len()).cloned(),
                why,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(name: &str, value: &str) -> Result<(), Refused> {
        // Without it nobody looks at the certificates.
        let tls = ("security.protocol".to_owned(), Secret::new("ssl"));
        check(&BTreeMap::from([tls, (name.to_owned(), Secret::new(value))]))
    }

    #[test]
    fn what_librdkafka_takes_is_taken() {
        assert_eq!(check_one("linger.ms", "5"), Ok(()));
        assert_eq!(check_one("security.protocol", "plaintext"), Ok(()));
        // Of one kind of client only.
        assert_eq!(check_one("compression.codec", "zstd"), Ok(()));
        assert_eq!(check_one("fetch.min.bytes", "1"), Ok(()));
    }

    #[test]
    fn values_that_are_usual_elsewhere_go_with_our_own() {
        for (name, value) in [
            ("message.max.bytes", "1000000"),
            ("message.max.bytes", "10000000"),
            ("fetch.max.bytes", "100000"),
            ("receive.message.max.bytes", "100000000"),
            ("socket.timeout.ms", "60000"),
            ("message.timeout.ms", "300000"),
            ("message.timeout.ms", "0"),
            ("delivery.timeout.ms", "120000"),
            ("transaction.timeout.ms", "5000"),
            ("transaction.timeout.ms", "60000"),
            ("reconnect.backoff.ms", "10000"),
            ("session.timeout.ms", "45000"),
        ] {
            assert_eq!(check_one(name, value), Ok(()), "{name}={value}");
        }
    }

    #[test]
    fn the_owners_value_counts_also_under_its_second_name() {
        for (name, ours, value) in [
            ("queue.buffering.max.ms", "linger.ms", "50"),
            ("compression.codec", "compression.type", "zstd"),
            ("linger.ms", "linger.ms", "50"),
        ] {
            let properties = BTreeMap::from([(name.to_owned(), Secret::new(value))]);
            let config = producer::config(&settings(&properties));
            assert_eq!(config.get(ours), Some(value), "{name}");
        }
    }

    #[test]
    fn what_it_refuses_is_named_without_its_value() {
        for (name, value) in [
            ("lingr.ms", "hunter2"),
            ("linger.ms", "hunter2"),
            ("queue.buffering.max.ms", "hunter2"),
            ("security.protocol", "hunter2"),
            ("ssl.ca.location", "/nowhere/ca.pem"),
        ] {
            let refused = check_one(name, value).unwrap_err();
            assert_eq!(refused.property.as_deref(), Some(name), "{refused:?}");
            assert!(!refused.why.contains("hunter2"), "{refused:?}");
        }
    }
}
