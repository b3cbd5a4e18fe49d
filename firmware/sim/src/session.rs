//! A till's MQTT session: its settings, and the reasons for its end.
//!
//! `comptoir-mqtt` implements the session. It does not resend publishes over a new connection, and a till does not need
//! that: its window resends every event without an end-to-end ack.

use std::time::Duration;

use bytes::Bytes;
use comptoir_mqtt::{
    BrokerAddress, ConnectOptions, Credentials, Error as MqttError, LastWill, ReasonCode, Session,
};
use tokio::time::timeout;

use comptoir_link::{Identity, OFFLINE};

use crate::json::JsonError;
use crate::plan::Broker;

/// Seconds between pings on a silent connection. A silence twice as long ends the connection.
pub const KEEP_ALIVE: u16 = 30;
/// Seconds for which the MQTT broker keeps the session of a disconnected till.
const SESSION_EXPIRY_S: u32 = 24 * 60 * 60;
/// Maximum number of publishes without a PUBACK. The MQTT broker may allow fewer.
const WINDOW: u16 = 128;
/// Bytes of the largest packet that a till accepts: a command is one frame.
const MAX_PACKET: u32 = 64 * 1024;
/// Bytes reserved for each read. Small, because a process has thousands of tills.
const READ_SIZE: u32 = 1024;
/// Covers everything up to the CONNACK.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a session could not be established, or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The broker or the network.
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    /// An injected fault cut the connection.
    #[error("an injected fault cut the connection")]
    Cut,
    /// The maximum number of publishes is in flight.
    #[error("no room for another publish now")]
    Busy,
    /// An event cannot be translated to JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl SessionError {
    /// Whether another client has connected with the till's client id.
    pub fn is_taken_over(&self) -> bool {
        matches!(self, Self::Mqtt(error) if error.is_taken_over())
    }

    /// Whether the refused publish may be tried again later.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

/// Connects, and resumes the session if the MQTT broker still has one.
///
/// # Errors
/// The MQTT broker cannot be reached, or refuses.
pub async fn connect(broker: &Broker, identity: &Identity) -> Result<Session, SessionError> {
    let attempt = async {
        match connect_with_will(broker, identity, true).await {
            // Some brokers refuse the CONNECT because of its retained last will.
            Err(MqttError::Refused(reason)) if reason.code == ReasonCode::RETAIN_NOT_SUPPORTED => {
                connect_with_will(broker, identity, false).await
            }
            connected => connected,
        }
    };
    let connected = timeout(CONNECT_TIMEOUT, attempt).await;
    Ok(connected.map_err(|_| MqttError::Timeout)??)
}

async fn connect_with_will(broker: &Broker, identity: &Identity, retain: bool) -> Result<Session, MqttError> {
    // pos/STORE/TILL/status
    let till = identity.status.strip_prefix("pos/");
    let till = till
        .and_then(|rest| rest.strip_suffix("/status"))
        .unwrap_or_default();
    let credentials = broker.login(till).map(|(user_name, password)| Credentials {
        user_name,
        password: password.to_owned(),
    });
    let options = ConnectOptions {
        client_id: identity.client_id.to_string(),
        credentials,
        clean_start: false,
        session_expiry_s: SESSION_EXPIRY_S,
        keep_alive_s: KEEP_ALIVE,
        receive_maximum: None,
        max_packet: MAX_PACKET,
        read_size: READ_SIZE,
        last_will: Some(LastWill {
            topic: Bytes::copy_from_slice(identity.status.as_bytes()),
            payload: Bytes::from_static(OFFLINE),
            retain,
        }),
    };
    let address = BrokerAddress {
        host: broker.host(),
        port: broker.port(),
    };
    let mut session = Session::connect(address, options, WINDOW).await?;
    if !retain {
        session.disable_retain();
    }
    Ok(session)
}
