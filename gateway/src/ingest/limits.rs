//! How the gateway deals with a broker's limits: it adapts to some, warns of others, and refuses those that could lose
//! events.

use std::time::Duration;

use comptoir_mqtt::{BrokerLimits, printable};
use comptoir_wire::Command;

use super::error::ConnectionError;

/// How long the MQTT broker keeps the session and its messages without the gateway: a week.
pub const SESSION_EXPIRY_S: u32 = 7 * 24 * 3_600;
/// Keep-alive in seconds: the MQTT broker may consider the gateway gone after one and a half times this without a
/// packet.
pub const KEEP_ALIVE_S: u16 = 30;
/// Longest interval between pings, even on a busy connection: each ping is answered, so silence means that the broker
/// is gone.
const MAX_PING_INTERVAL: Duration = Duration::from_secs(10);
/// The broker may be silent for 2.5 ping intervals, and for at least this long: a machine under load answers late.
const MIN_SILENCE: Duration = Duration::from_secs(5);
/// Size of the largest ack, with the longest names, in bytes, rounded up.
const ACK_PACKET: u32 = 160;
/// Size of the largest command that a till accepts, with its topic, in bytes.
const COMMAND_PACKET: u32 = Command::MAX_BYTES as u32 + 256;

/// How the gateway uses one connection, given the broker's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most unacknowledged publishes of the gateway.
    pub receive_maximum: u16,
    /// Whether acks are published with the retain flag.
    pub retain: bool,
    pub ping_interval: Duration,
    /// Silence after which the broker is considered gone.
    pub max_silence: Duration,
    /// Degraded features, one sentence each.
    pub warnings: Vec<String>,
}

impl Limits {
    /// # Errors
    /// The broker lacks a feature, and events could be lost without it.
    pub fn new(broker: BrokerLimits, client_id: &str) -> Result<Self, ConnectionError> {
        if let Some(max_bytes) = broker.max_packet
            && max_bytes < ACK_PACKET
        {
            return Err(ConnectionError::PacketLimitTooLow { max_bytes });
        }
        if !broker.allows_wildcards {
            return Err(ConnectionError::NoWildcards);
        }
        let mut limits = Self {
            receive_maximum: broker.receive_maximum,
            retain: broker.keeps_retained_messages,
            ping_interval: MAX_PING_INTERVAL,
            max_silence: MAX_PING_INTERVAL * 5 / 2,
            warnings: warnings(&broker, client_id),
        };
        // 0 disables the broker's check. Pings are still sent, to detect a broker that is gone.
        if let Some(seconds @ 1..) = broker.keep_alive_s {
            limits.ping_interval = MAX_PING_INTERVAL.min(Duration::from_secs(seconds.into()) / 2);
            limits.max_silence = MIN_SILENCE.max(limits.ping_interval * 5 / 2);
        }
        Ok(limits)
    }

    /// Stops using the retain flag, and adds a warning.
    pub fn disable_retain(&mut self) {
        if std::mem::take(&mut self.retain) {
            self.warnings.push(NO_RETAIN.to_owned());
        }
    }
}

const NO_RETAIN: &str = "the MQTT broker does not keep retained messages: a till that reconnects gets its ack only when it \
    says that it is online or sends again, and after a restart of the gateway it is unknown which tills are online";

fn warnings(broker: &BrokerLimits, client_id: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(bytes) = broker.max_packet
        && bytes < COMMAND_PACKET
    {
        warnings.push(format!(
            "the MQTT broker takes packets of at most {bytes} bytes: larger commands do not reach the tills; allow at \
             least {COMMAND_PACKET} (Mosquitto: max_packet_size)"
        ));
    }
    if !broker.keeps_retained_messages {
        warnings.push(NO_RETAIN.to_owned());
    }
    match broker.session_expiry_s {
        Some(0) => warnings.push(
            "the MQTT broker does not keep the gateway's session (Session Expiry Interval 0): messages published while \
             the gateway is away are lost there; tills send them again, devices that do not wait for acks do not"
                .to_owned(),
        ),
        Some(seconds) if seconds < SESSION_EXPIRY_S => warnings.push(format!(
            "the MQTT broker keeps the gateway's session for {seconds} s only (requested: {SESSION_EXPIRY_S} s): messages \
             published while the gateway is away for longer are lost there; tills send them again, devices that do not \
             wait for acks do not"
        )),
        _ => {}
    }
    if let Some(assigned) = &broker.assigned_client_id
        && assigned != client_id
    {
        warnings.push(format!(
            "the MQTT broker replaced the gateway's client id {client_id:?} by \"{}\": it may not keep the session",
            printable(assigned)
        ));
    }
    warnings
}
