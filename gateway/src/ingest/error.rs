//! Errors of the connection to the MQTT broker.

use comptoir_mqtt::{Error as SessionError, ReasonCode};

use super::advice::with_advice;
use super::backoff::Cause;
use super::subscription::SubscribeError;

/// Reason codes after which the broker recovers without intervention.
const TRANSIENT: [ReasonCode; 3] = [
    ReasonCode::SERVER_UNAVAILABLE,
    ReasonCode::SERVER_SHUTTING_DOWN,
    ReasonCode::KEEP_ALIVE_TIMEOUT,
];

/// Each message is one sentence that includes what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("{}", with_advice(.0))]
    Session(#[from] SessionError),
    #[error("the MQTT broker does not answer the subscription")]
    NoSubAck,
    #[error(
        "the MQTT broker does not acknowledge the gateway's acks and commands; the broker's log says more"
    )]
    NoPubAck,
    #[error(
        "another client connected to the MQTT broker with the client id {0:?}: two gateways share it, for example after a \
         card was cloned; give each its own store, or its own mqtt.client_id"
    )]
    TakenOver(String),
    #[error(
        "the MQTT broker closed the connection several times without giving a reason: perhaps two gateways share the client \
         id {0:?}, for example after a card was cloned; give each its own store, or its own mqtt.client_id"
    )]
    PerhapsTakenOver(String),
    #[error(
        "the MQTT broker does not support wildcard subscriptions, which the gateway needs to receive its tills' events; use \
         a broker that does, for example Mosquitto"
    )]
    NoWildcards,
    #[error(
        "the MQTT broker takes packets of at most {max_bytes} bytes, too few for the gateway's; raise its limit \
         (Mosquitto: max_packet_size)"
    )]
    PacketLimitTooLow { max_bytes: u32 },
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

impl ConnectionError {
    /// Converts the error of a session that was opened with `client_id`.
    pub fn of_session(error: SessionError, client_id: &str) -> Self {
        match error.is_taken_over() {
            true => Self::TakenOver(client_id.to_owned()),
            false => Self::Session(error),
        }
    }

    /// Whether the session ended because the broker does not accept the retain flag.
    pub fn is_about_retain(&self) -> bool {
        let Self::Session(SessionError::Disconnected(reason)) = self else {
            return false;
        };
        reason.code == ReasonCode::RETAIN_NOT_SUPPORTED
    }

    /// Decides how soon to connect again.
    pub fn cause(&self) -> Cause {
        match self {
            Self::TakenOver(_) | Self::PerhapsTakenOver(_) => Cause::Twin,
            Self::Session(error) => match error {
                SessionError::Unreachable { .. }
                | SessionError::Io(_)
                | SessionError::Tls(_)
                | SessionError::ClosedBeforeConnAck
                | SessionError::Timeout => Cause::Network,
                SessionError::Closed => Cause::Closed,
                SessionError::Refused(reason) if reason.code == ReasonCode::SERVER_UNAVAILABLE => {
                    Cause::Network
                }
                SessionError::Disconnected(reason) if TRANSIENT.contains(&reason.code) => Cause::Network,
                _ => Cause::Broker,
            },
            _ => Cause::Broker,
        }
    }
}
