//! Errors of establishing or keeping a session.

use std::io;

use rumqttc::v5::mqttbytes::Error as PacketError;
use tokio_rustls::rustls::pki_types::InvalidDnsNameError;

use crate::reason::Reason;

/// The failure, as a fact about the broker or the network. The caller adds advice, because only the caller knows the
/// relevant setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no connection to the MQTT broker at {address}: {problem}")]
    Unreachable { address: String, problem: io::Error },
    #[error("the connection to the MQTT broker was lost: {0}")]
    Io(#[from] io::Error),
    #[error("the TLS handshake with the MQTT broker failed: {0}")]
    Tls(io::Error),
    #[error("the MQTT broker does not speak TLS on this port")]
    NoTls,
    #[error("the MQTT broker speaks TLS on this port")]
    TlsRequired,
    #[error("the server on this port answers in HTTP, not in MQTT")]
    Http,
    #[error("{0:?} is not a valid TLS server name: {1}")]
    ServerName(String, InvalidDnsNameError),
    #[error("no trusted CA certificate on this machine: {0}")]
    NoCaCertificate(String),
    /// The connection was closed before the first byte of a CONNACK.
    #[error("the MQTT broker closed the connection instead of answering")]
    ClosedBeforeConnAck,
    #[error("the MQTT broker closed the connection without giving a reason")]
    Closed,
    #[error("the MQTT broker does not answer")]
    Timeout,
    /// The reason code of the CONNACK means failure.
    #[error("the MQTT broker refuses the connection: {0}")]
    Refused(Reason),
    #[error("the MQTT broker wants a user name and a password")]
    CredentialsRequired,
    #[error(
        "the MQTT broker does not know the user name, the password is wrong, or this user may not connect with the client \
         id {client_id:?}"
    )]
    CredentialsRejected { client_id: String },
    #[error("the MQTT broker allows QoS 0 only, with which events are lost without a trace")]
    Qos0Only,
    /// The CONNACK has a property with a value that MQTT 5 forbids.
    #[error("the MQTT broker's CONNACK contains a value that MQTT 5 forbids: {0}")]
    ForbiddenLimit(&'static str),
    /// A reason code of the SUBACK means failure.
    #[error("the MQTT broker refuses the subscription: {0}")]
    SubscriptionRefused(Reason),
    /// The broker sent DISCONNECT.
    #[error("the MQTT broker ended the connection: {0}")]
    Disconnected(Reason),
    #[error("the MQTT broker sent bytes that are not MQTT 5: {0}")]
    Malformed(#[from] PacketError),
    #[error("the MQTT broker sent a packet that it must not send to a client")]
    UnexpectedPacket,
    /// No part of the packet was written.
    #[error("a packet is larger than the {max_bytes} bytes that the MQTT broker accepts")]
    PacketTooLarge { max_bytes: u32 },
}

impl Error {
    /// Whether another client has connected with the same client id.
    pub fn is_taken_over(&self) -> bool {
        matches!(self, Self::Disconnected(reason) if reason.code.is_taken_over())
    }
}
