//! The limits of a broker.

use rumqttc::v5::mqttbytes::v5::ConnAckProperties;

use crate::error::Error;

/// The broker's limits for this connection, from its CONNACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerLimits {
    /// Most publishes that this client may have unacknowledged.
    pub receive_maximum: u16,
    /// Largest packet that the broker accepts, in bytes; `None` if it names no limit.
    pub max_packet: Option<u32>,
    pub keeps_retained_messages: bool,
    pub allows_wildcards: bool,
    /// Session expiry in seconds, if it differs from the client's.
    pub session_expiry_s: Option<u32>,
    /// Keep-alive in seconds that replaces the client's; 0 disables the broker's check.
    pub keep_alive_s: Option<u16>,
    /// A client id that replaces the client's.
    pub assigned_client_id: Option<String>,
}

impl BrokerLimits {
    /// Reads the limits from the properties of a CONNACK.
    ///
    /// # Errors
    /// The broker allows QoS 0 only, or MQTT 5 forbids the value of a property.
    pub(crate) fn read(connack: Option<ConnAckProperties>) -> Result<Self, Error> {
        let mut limits = Self {
            receive_maximum: u16::MAX,
            max_packet: None,
            keeps_retained_messages: true,
            allows_wildcards: true,
            session_expiry_s: None,
            keep_alive_s: None,
            assigned_client_id: None,
        };
        let Some(connack) = connack else {
            return Ok(limits);
        };
        match connack.receive_max {
            Some(0) => return Err(Error::ForbiddenLimit("Receive Maximum 0")),
            Some(count) => limits.receive_maximum = count,
            None => {}
        }
        if connack.max_packet_size == Some(0) {
            return Err(Error::ForbiddenLimit("Maximum Packet Size 0"));
        }
        limits.max_packet = connack.max_packet_size;
        match connack.max_qos {
            Some(0) => return Err(Error::Qos0Only),
            Some(1) | None => {}
            Some(_) => return Err(Error::ForbiddenLimit("a Maximum QoS other than 0 and 1")),
        }
        limits.allows_wildcards = flag(
            connack.wildcard_subscription_available,
            "a Wildcard Subscription Available other than 0 and 1",
        )?;
        limits.keeps_retained_messages =
            flag(connack.retain_available, "a Retain Available other than 0 and 1")?;
        limits.session_expiry_s = connack.session_expiry_interval;
        limits.keep_alive_s = connack.server_keep_alive;
        limits.assigned_client_id = connack.assigned_client_identifier;
        Ok(limits)
    }
}

/// A property that MQTT 5 encodes as 0 or 1; if absent, it is 1.
fn flag(property: Option<u8>, forbidden: &'static str) -> Result<bool, Error> {
    match property {
        Some(0) => Ok(false),
        Some(1) | None => Ok(true),
        Some(_) => Err(Error::ForbiddenLimit(forbidden)),
    }
}
