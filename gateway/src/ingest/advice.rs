//! Advice for people about problems with the MQTT broker.
//!
//! `comptoir-mqtt` reports what failed. The advice is here, because it names this gateway's configuration keys and
//! topics.

use comptoir_mqtt::{Error, ReasonCode};

/// The error, followed by advice if there is any.
pub fn with_advice(error: &Error) -> String {
    match advice(error) {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Unreachable { .. } => "check mqtt.url, and that the broker runs and listens there",
        Error::Tls(_) => "if its certificate is not trusted, name the file of its CA in SSL_CERT_FILE",
        Error::NoTls => "write mqtt:// in mqtt.url, or the port of the broker's TLS listener",
        Error::TlsRequired => "write mqtts:// in mqtt.url, or the port of the broker's plain listener",
        Error::Http => "mqtt.url must name the MQTT port (usually 1883, or 8883 with mqtts://)",
        Error::ServerName(..) => "write in mqtt.url the host name of the broker's certificate",
        Error::NoCaCertificate(_) => {
            "install the package ca-certificates, or name a PEM file in SSL_CERT_FILE"
        }
        Error::ClosedBeforeConnAck => {
            "Comptoir needs a broker that speaks MQTT 5 on this port (with TLS: mqtts:// in mqtt.url)"
        }
        Error::Refused(reason) => on_refusal(reason.code),
        Error::CredentialsRequired => "mqtt.url has none; write mqtt://USER:PASSWORD@HOST",
        Error::CredentialsRejected { .. } => "correct mqtt.url, or the user's entry on the broker",
        Error::Qos0Only => "allow QoS 1 (Mosquitto: max_qos 1)",
        Error::Disconnected(reason) => on_disconnect(reason.code),
        Error::Malformed(_) => "check that mqtt.url names an MQTT broker's port",
        Error::ForbiddenLimit(_) | Error::UnexpectedPacket => "report it to the broker's maker",
        Error::Io(_)
        | Error::Closed
        | Error::Timeout
        | Error::SubscriptionRefused(_)
        | Error::PacketTooLarge { .. } => return None,
    })
}

/// For a CONNACK that refuses the connection.
fn on_refusal(code: ReasonCode) -> &'static str {
    match code.0 {
        0x84 => "Comptoir needs a broker that speaks MQTT 5, for example Mosquitto 1.6 or later",
        0x85 => "allow this client id on the broker, or set another one as mqtt.client_id",
        0x88 | 0x89 => "the gateway tries again; if this lasts, look at the broker's log and load",
        0x8A => "the broker has banned this client or address; remove the ban on the broker",
        0x8C => {
            "turn off enhanced authentication for the gateway's user: it signs in with a user name and a password"
        }
        0x95 => "raise the broker's maximum packet size (Mosquitto: max_packet_size)",
        0x97 => "raise the broker's limit on clients, connections or messages",
        0x9B => "allow QoS 1 on the broker (Mosquitto: max_qos 1)",
        0x9C | 0x9D => "set mqtt.url to the other broker",
        0x9F => {
            "the gateway tries again more slowly; if this lasts, raise the broker's limit on new connections"
        }
        _ => "the broker's log says more",
    }
}

/// For a DISCONNECT on a connection that the MQTT broker had accepted.
fn on_disconnect(code: ReasonCode) -> &'static str {
    match code.0 {
        0x00 | 0x04 | 0x80 | 0x81 | 0x82 | 0x83 | 0x94 | 0x99 => "the broker's log says more",
        0x87 => "check on the broker what the gateway's user may subscribe to and publish",
        0x88 | 0x89 | 0x8B => "the gateway connects again when the broker is back",
        0x8D => "the network to the broker, or this machine, stalled; the gateway connects again",
        0x8F | 0xA2 => "allow subscriptions to pos/+/+/orders, payments, deliveries and status on the broker",
        0x90 => "allow publishing to pos/+/+/ack and pos/+/+/commands on the broker",
        0x93 | 0x96 | 0x97 => "raise the broker's limits on messages for the gateway's client id",
        0x95 => "raise the broker's maximum packet size (Mosquitto: max_packet_size)",
        0x98 => {
            "an administrator or a rule on the broker disconnected the gateway; the broker's log says more"
        }
        0x9A => "from now on the gateway publishes without the retain flag",
        0x9B => "allow QoS 1 on the broker (Mosquitto: max_qos 1)",
        0x9C | 0x9D => "set mqtt.url to the other broker",
        0x9F => "raise the broker's limit on new connections",
        0xA0 => "the broker limits how long a connection may last; the gateway connects again",
        _ => "the broker's log says more",
    }
}

/// For an ack or a command that the MQTT broker does not accept.
pub fn on_refused_publish(code: ReasonCode) -> &'static str {
    match code.0 {
        0x87 => "allow the gateway's user to publish to pos/+/+/ack and pos/+/+/commands",
        0x90 => "allow topics that begin with pos/ on the broker",
        0x95 => "raise the broker's maximum packet size (Mosquitto: max_packet_size)",
        0x97 => "raise the broker's limits on messages for the gateway's client id",
        0x9A => "from now on the gateway publishes without the retain flag",
        _ => "the broker's log says more",
    }
}

/// For a subscription that the MQTT broker does not grant.
pub fn on_refused_subscription(code: ReasonCode) -> &'static str {
    match code.0 {
        0x00 => "allow QoS 1 on the broker, because events at QoS 0 can be lost unnoticed",
        0x87 | 0x8F => "allow the gateway's user to subscribe to it on the broker",
        0x97 => "raise the broker's limit on subscriptions",
        0xA2 => "use a broker that supports wildcard subscriptions",
        _ => "the broker's log says more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_mqtt::Reason;

    #[test]
    fn a_refusal_is_followed_by_what_to_do_about_it() {
        let reason = Reason {
            code: ReasonCode(0x9D),
            text: Some("moved on Monday".to_owned()),
            server: None,
        };
        assert_eq!(
            with_advice(&Error::Refused(reason)),
            "the MQTT broker refuses the connection: server moved (0x9D); it says \"moved on Monday\"; set mqtt.url to \
             the other broker"
        );
        assert_eq!(with_advice(&Error::Timeout), "the MQTT broker does not answer");
    }
}
