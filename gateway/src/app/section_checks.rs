//! Checks of configuration sections that need knowledge of the configured part. `config` knows neither certificates nor
//! Kafka properties; these functions are passed to [`Config::load`].

use crate::alerts;
use crate::config::{Config, ConfigError, SectionCheck};
use crate::platform::tls;

/// The checks to pass to [`Config::load`].
pub const SECTION_CHECKS: &[SectionCheck] = &[certificate, kafka_properties, alerts];

fn alerts(config: &Config) -> Result<(), ConfigError> {
    alerts::receivers(config).map(drop)
}

fn certificate(config: &Config) -> Result<(), ConfigError> {
    tls::check(&config.http)
}

fn kafka_properties(config: &Config) -> Result<(), ConfigError> {
    comptoir_kafka::check_properties(&config.kafka.properties).map_err(|refused| {
        let property = refused.property.map(|property| format!(".{property}"));
        ConfigError::for_key(
            format!("kafka.properties{}", property.unwrap_or_default()),
            refused.why,
        )
    })
}
