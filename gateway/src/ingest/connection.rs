//! The gateway's connection to the MQTT broker: its requirements, and whether the broker meets them.
//!
//! `comptoir-mqtt` implements the session. Reasons and costs: docs/adr/0005-mqtt-connection.md.

use std::time::Duration;

use comptoir_mqtt::{
    BrokerAddress, BrokerPacket, ConnectOptions, Credentials, Error as SessionError, Input, MAX_PUBLISH_ID,
    Output,
};
use tokio::time::timeout;

use super::error::ConnectionError;
use super::limits::{KEEP_ALIVE_S, Limits, SESSION_EXPIRY_S};
use super::subscription;
use crate::config::MqttUrl;

/// Largest MQTT packet that the gateway accepts, in bytes. The broker does not deliver a larger one.
const MAX_PACKET: u32 = 2 << 20;
/// Buffer space reserved for each read, in bytes.
const READ_SIZE: u32 = 16 << 10;
/// Timeout for everything up to the CONNACK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Packet id of a connection's only SUBSCRIBE, and of its UNSUBSCRIBE.
const SUBSCRIBE_ID: u16 = MAX_PUBLISH_ID + 1;
const UNSUBSCRIBE_ID: u16 = MAX_PUBLISH_ID + 2;

/// What the gateway requests from the broker.
pub struct ConnectionRequest<'a> {
    pub url: &'a MqttUrl,
    pub client_id: &'a str,
    /// Most publishes that the broker may have unacknowledged. Not every broker respects it.
    pub receive_maximum: u16,
    pub topics: &'a [String],
    /// Subscriptions of an earlier start, which the session may still have, to be removed.
    pub former_topics: Vec<String>,
}

/// A connection whose CONNECT was accepted and whose SUBSCRIBE was sent.
pub struct Connection {
    pub input: Input,
    pub output: Output,
    /// Whether the broker kept the session and its queued messages.
    pub session_present: bool,
    pub limits: Limits,
}

/// Connects and subscribes, resuming the session if the broker still has it.
///
/// # Errors
/// The broker is unreachable, refuses the connection, or lacks a feature that the gateway needs.
pub async fn open(request: ConnectionRequest<'_>) -> Result<Connection, ConnectionError> {
    timeout(CONNECT_TIMEOUT, connect(request, false))
        .await
        .map_err(|_| SessionError::Timeout)?
}

/// Connects, subscribes and disconnects as the gateway would. Returns a warning for each limit of the broker that
/// degrades a feature. With an unused `client_id` this disconnects no other client and leaves no session behind.
///
/// # Errors
/// The gateway cannot work with this broker.
pub async fn check_broker(
    url: &MqttUrl,
    client_id: &str,
    topics: Vec<String>,
) -> Result<Vec<String>, ConnectionError> {
    let checked = async {
        let request = ConnectionRequest {
            url,
            client_id,
            receive_maximum: u16::MAX,
            topics: &topics,
            former_topics: Vec::new(),
        };
        let mut connection = connect(request, true).await?;
        let suback = loop {
            let packet = connection.input.next().await;
            match packet.map_err(|error| ConnectionError::of_session(error, client_id))? {
                BrokerPacket::SubAck(suback) => break suback,
                BrokerPacket::Unexpected | BrokerPacket::ConnAck(_) => {
                    return Err(SessionError::UnexpectedPacket.into());
                }
                _ => {}
            }
        };
        let granted = subscription::check(&topics, &suback);
        connection.output.packets().disconnect_and_end_session()?;
        connection.output.flush().await?;
        let mut warnings = connection.limits.warnings;
        warnings.extend(granted?);
        Ok(warnings)
    };
    timeout(CONNECT_TIMEOUT, checked)
        .await
        .map_err(|_| SessionError::Timeout)?
}

async fn connect(request: ConnectionRequest<'_>, clean_start: bool) -> Result<Connection, ConnectionError> {
    let ConnectionRequest { url, client_id, .. } = request;
    let credentials = url.credentials.as_ref();
    let options = ConnectOptions {
        client_id: client_id.to_owned(),
        credentials: credentials.map(|(user_name, password)| Credentials {
            user_name: user_name.clone(),
            password: password.reveal().to_owned(),
        }),
        clean_start,
        session_expiry_s: SESSION_EXPIRY_S,
        keep_alive_s: KEEP_ALIVE_S,
        receive_maximum: Some(request.receive_maximum),
        max_packet: MAX_PACKET,
        read_size: READ_SIZE,
        last_will: None,
    };
    let address = BrokerAddress {
        host: &url.host,
        port: url.port,
    };
    let opened = comptoir_mqtt::Connection::open(address, url.tls, options).await;
    let comptoir_mqtt::Connection {
        mut input,
        mut output,
        session_present,
        limits,
    } = opened.map_err(|error| ConnectionError::of_session(error, client_id))?;
    let limits = match Limits::new(limits, client_id) {
        Ok(limits) => limits,
        Err(error) => {
            match clean_start {
                true => output.packets().disconnect_and_end_session()?,
                false => output.packets().disconnect()?,
            }
            output.flush().await?;
            return Err(error);
        }
    };
    input.set_max_silence(limits.max_silence);
    if session_present && !request.former_topics.is_empty() {
        output
            .packets()
            .unsubscribe(UNSUBSCRIBE_ID, request.former_topics)?;
    }
    match output.packets().subscribe(SUBSCRIBE_ID, request.topics) {
        Err(SessionError::PacketTooLarge { max_bytes }) => {
            return Err(ConnectionError::PacketLimitTooLow { max_bytes });
        }
        put => put?,
    }
    output.flush().await?;
    Ok(Connection {
        input,
        output,
        session_present,
        limits,
    })
}
