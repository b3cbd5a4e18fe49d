//! What an MQTT broker allows, from its CONNACK: what the gateway adapts to, what it warns of, and what it cannot work
//! with.

use std::time::Duration;

use comptoir_wire::Command;

use super::connection::ConnectionError;
use super::packet::ConnAck;
use super::reason::printable;

/// The MQTT broker keeps the session, and what arrives for it, for a week without the gateway.
pub const SESSION_EXPIRY: u32 = 7 * 24 * 3_600;
/// Seconds without a packet from the gateway after which the MQTT broker may consider it gone. It waits half as long again.
pub const KEEP_ALIVE: u16 = 30;
/// Pings are sent at this interval at most, also on a busy connection: each one is answered, so that silence means that
/// the broker is gone.
const PING_EVERY: Duration = Duration::from_secs(10);
/// The broker may be silent for five halves of the ping interval, and never less than this: a machine under load answers
/// late.
const MIN_SILENCE: Duration = Duration::from_secs(5);
/// Bytes of the largest ack, with the longest names, rounded up.
const MIN_PACKET: u32 = 160;
/// Bytes of the largest command that a till takes, with its topic.
const LARGE_PACKET: u32 = Command::MAX_BYTES as u32 + 256;

/// What the MQTT broker of one connection allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Publishes that the gateway may have unacknowledged.
    pub receive_maximum: u16,
    /// Bytes of the largest packet that the broker takes; `None` if it names no limit.
    pub max_packet: Option<u32>,
    /// Whether the broker keeps retained messages.
    pub retain: bool,
    pub ping_every: Duration,
    /// Silence after which the broker counts as gone.
    pub silence: Duration,
    /// What works less well than it should, one sentence each.
    pub warnings: Vec<String>,
}

impl Limits {
    /// # Errors
    /// The broker lacks something without which events could be lost, or names a limit that MQTT 5 forbids.
    pub fn of(accepted: &ConnAck, client_id: &str) -> Result<Self, ConnectionError> {
        let mut limits = Self {
            receive_maximum: u16::MAX,
            max_packet: None,
            retain: true,
            ping_every: PING_EVERY,
            silence: PING_EVERY * 5 / 2,
            warnings: Vec::new(),
        };
        let Some(said) = &accepted.properties else {
            return Ok(limits);
        };
        match said.receive_max {
            Some(0) => return Err(ConnectionError::Forbidden("Receive Maximum 0")),
            Some(most) => limits.receive_maximum = most,
            None => {}
        }
        match said.max_packet_size {
            Some(0) => return Err(ConnectionError::Forbidden("Maximum Packet Size 0")),
            Some(bytes) if bytes < MIN_PACKET => return Err(ConnectionError::SmallPackets(bytes)),
            Some(bytes) if bytes < LARGE_PACKET => limits.warnings.push(format!(
                "the MQTT broker takes packets of at most {bytes} bytes: larger commands do not reach the tills; allow at \
                 least {LARGE_PACKET} (Mosquitto: max_packet_size)"
            )),
            _ => {}
        }
        limits.max_packet = said.max_packet_size;
        match said.max_qos {
            Some(0) => return Err(ConnectionError::NoQos),
            Some(1) | None => {}
            Some(_) => return Err(ConnectionError::Forbidden("a Maximum QoS other than 0 and 1")),
        }
        if !available(
            said.wildcard_subscription_available,
            "Wildcard Subscription Available",
        )? {
            return Err(ConnectionError::NoWildcards);
        }
        if !available(said.retain_available, "Retain Available")? {
            limits.retain = false;
            limits.warnings.push(NO_RETAIN.to_owned());
        }
        match said.session_expiry_interval {
            Some(0) => limits.warnings.push(
                "the MQTT broker does not keep the gateway's session (Session Expiry Interval 0): what is published while \
                 the gateway is away is lost there; tills send it again, devices that do not wait for acks do not"
                    .to_owned(),
            ),
            Some(seconds) if seconds < SESSION_EXPIRY => limits.warnings.push(format!(
                "the MQTT broker keeps the gateway's session for {seconds} s only (asked: {SESSION_EXPIRY} s): what is \
                 published while the gateway is away for longer is lost there; tills send it again, devices that do not \
                 wait for acks do not"
            )),
            _ => {}
        }
        if let Some(assigned) = &said.assigned_client_identifier
            && assigned != client_id
        {
            limits.warnings.push(format!(
                "the MQTT broker replaced the gateway's client id {client_id:?} by \"{}\": it may not keep the session",
                printable(assigned)
            ));
        }
        // 0 turns the broker's check off; pings go on all the same, to notice a broker that is gone.
        if let Some(seconds @ 1..) = said.server_keep_alive {
            limits.ping_every = PING_EVERY.min(Duration::from_secs(seconds.into()) / 2);
            limits.silence = MIN_SILENCE.max(limits.ping_every * 5 / 2);
        }
        Ok(limits)
    }
}

/// Said of a broker without retained messages.
pub const NO_RETAIN: &str = "the MQTT broker does not keep retained messages: a till that reconnects gets its ack when it \
    says that it is online or sends again, and after a restart of the gateway it is unknown which tills are online";

fn available(property: Option<u8>, name: &'static str) -> Result<bool, ConnectionError> {
    match property {
        Some(0) => Ok(false),
        Some(1) | None => Ok(true),
        Some(_) => Err(ConnectionError::Forbidden(name)),
    }
}
