//! Checks the owner's librdkafka properties before anything depends on them.

use std::collections::BTreeMap;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::settings::{LogOnlyContext, canonical};
use super::{ConnectionErrors, Settings, Traffic, Uplink, consumer, producer, property_rules};
use comptoir_core::Secret;

/// Why a property cannot be used. Never quotes a value, which may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyError {
    /// As written by the owner. `None` if librdkafka does not name the property.
    pub property: Option<String>,
    pub why: String,
}

/// Checks the properties by our rules, then creates every kind of client with them. The clients have no broker address,
/// so they do not connect.
///
/// # Errors
/// The first property that the gateway or librdkafka rejects.
pub fn check_properties(properties: &BTreeMap<String, Secret>) -> Result<(), PropertyError> {
    // Our own properties are known to be valid.
    if properties.is_empty() {
        return Ok(());
    }
    for (name, value) in properties {
        if let Some(why) = property_rules::violation(name, value.reveal()) {
            return Err(PropertyError {
                property: Some(name.clone()),
                why,
            });
        }
    }
    let settings = settings(properties);
    producer::create(&settings).map_err(|error| rejection(error, properties))?;
    consumer::create(&settings, "", settings.uplink.longest_poll(), LogOnlyContext)
        .map_err(|error| rejection(error, properties))?;
    consumer::reader(&settings, "read_committed", consumer::FetchSize::Default)
        .map_err(|error| rejection(error, properties))?;
    Ok(())
}

fn settings(properties: &BTreeMap<String, Secret>) -> Settings {
    Settings {
        brokers: String::new(),
        prefix: String::new(),
        identity: "check".to_owned(),
        replication_factor: None,
        partitions: None,
        uplink: Uplink::Normal,
        properties: properties.clone(),
        connection_errors: ConnectionErrors::default(),
        traffic: Traffic::default(),
    }
}

fn rejection(error: KafkaError, properties: &BTreeMap<String, Secret>) -> PropertyError {
    // The owner may have written an alias.
    let written = |property: String| {
        let written = properties.keys().find(|name| canonical(name) == property);
        Some(written.cloned().unwrap_or(property))
    };
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, property, _) => PropertyError {
            property: written(property),
            why: "librdkafka has no such property; check the spelling, for example linger.ms".to_owned(),
        },
        KafkaError::ClientConfig(_, _, property, _) => PropertyError {
            property: written(property),
            why: "librdkafka rejects its value; see librdkafka's CONFIGURATION.md for the accepted ones"
                .to_owned(),
        },
        error => {
            let why = error.to_string();
            // The longest match: `ssl.ca` is part of `ssl.ca.location`.
            let named = properties.keys().filter(|name| why.contains(name.as_str()));
            PropertyError {
                property: named.max_by_key(|name| name.len()).cloned(),
                why,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(name: &str, value: &str) -> Result<(), PropertyError> {
        // Without TLS, librdkafka does not read the certificates.
        let tls = ("security.protocol".to_owned(), Secret::new("ssl"));
        check_properties(&BTreeMap::from([tls, (name.to_owned(), Secret::new(value))]))
    }

    #[test]
    fn a_property_that_librdkafka_accepts_is_accepted() {
        assert_eq!(check_one("linger.ms", "5"), Ok(()));
        assert_eq!(check_one("security.protocol", "plaintext"), Ok(()));
        // These apply to one kind of client only.
        assert_eq!(check_one("compression.codec", "zstd"), Ok(()));
        assert_eq!(check_one("fetch.min.bytes", "1"), Ok(()));
    }

    #[test]
    fn common_values_are_compatible_with_our_own_properties() {
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
    fn an_alias_overrides_our_value() {
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
    fn a_rejected_property_is_named_without_its_value() {
        for (name, value) in [
            ("lingr.ms", "hunter2"),
            ("linger.ms", "hunter2"),
            ("queue.buffering.max.ms", "hunter2"),
            ("security.protocol", "hunter2"),
            ("ssl.ca.location", "/nowhere/ca.pem"),
        ] {
            let error = check_one(name, value).unwrap_err();
            assert_eq!(error.property.as_deref(), Some(name), "{error:?}");
            assert!(!error.why.contains("hunter2"), "{error:?}");
        }
    }
}
