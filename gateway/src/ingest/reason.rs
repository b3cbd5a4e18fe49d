//! MQTT reason codes in plain words: what the MQTT broker says, and what a person can do about it.

use std::fmt::{self, Display};

/// Characters of a broker's own text that are shown.
const MAX_TEXT: usize = 200;

/// A reason code's name in the MQTT 5 specification.
pub fn name(code: u8) -> &'static str {
    match code {
        0x00 => "normal disconnection",
        0x04 => "disconnect with will message",
        0x10 => "no matching subscribers",
        0x11 => "no subscription existed",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8A => "banned",
        0x8B => "server shutting down",
        0x8C => "bad authentication method",
        0x8D => "keep alive timeout",
        0x8E => "session taken over",
        0x8F => "topic filter invalid",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        0x92 => "packet identifier not found",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9A => "retain not supported",
        0x9B => "QoS not supported",
        0x9C => "use another server",
        0x9D => "server moved",
        0x9E => "shared subscriptions not supported",
        0x9F => "connection rate exceeded",
        0xA0 => "maximum connect time",
        0xA1 => "subscription identifiers not supported",
        0xA2 => "wildcard subscriptions not supported",
        _ => "a reason code that MQTT 5 does not define",
    }
}

/// What to do when the CONNACK refuses the connection.
fn connect_advice(code: u8) -> &'static str {
    match code {
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
        0x9C | 0x9D => "set mqtt.url to the broker that is to be used",
        0x9F => {
            "the gateway tries again more slowly; if this lasts, raise the broker's limit on new connections"
        }
        _ => "the broker's log says more",
    }
}

/// What to do when the MQTT broker ends a connection that it had accepted.
fn disconnect_advice(code: u8) -> &'static str {
    match code {
        0x00 | 0x04 | 0x80 | 0x81 | 0x82 | 0x83 | 0x94 | 0x99 => "the broker's log says more",
        0x87 => "check on the broker what the gateway's user may subscribe to and publish",
        0x88 | 0x89 | 0x8B => "the gateway connects again when the broker is back",
        0x8D => "the network between the two, or this machine, stalled; the gateway connects again",
        0x8F | 0xA2 => "allow subscriptions to pos/+/+/orders, payments, deliveries and status on the broker",
        0x90 => "allow publishing to pos/+/+/ack and pos/+/+/commands on the broker",
        0x93 | 0x96 | 0x97 => "raise the broker's limits on messages for the gateway's client id",
        0x95 => "raise the broker's maximum packet size (Mosquitto: max_packet_size)",
        0x98 => "somebody, or a rule on the broker, disconnected the gateway; the broker's log says more",
        0x9A => "from now on the gateway publishes without the retain flag",
        0x9B => "allow QoS 1 on the broker (Mosquitto: max_qos 1)",
        0x9C | 0x9D => "set mqtt.url to the broker that is to be used",
        0x9F => "raise the broker's limit on new connections",
        0xA0 => "the broker limits how long a connection may last; the gateway connects again",
        _ => "the broker's log says more",
    }
}

/// What to do when the MQTT broker does not accept an ack or a command.
pub fn publish_advice(code: u8) -> &'static str {
    match code {
        0x87 => "allow the gateway's user to publish to pos/+/+/ack and pos/+/+/commands",
        0x90 => "allow topics that begin with pos/ on the broker",
        0x95 => "raise the broker's maximum packet size (Mosquitto: max_packet_size)",
        0x97 => "raise the broker's limits on messages for the gateway's client id",
        0x9A => "from now on the gateway publishes without the retain flag",
        _ => "the broker's log says more",
    }
}

/// What to do when the MQTT broker does not grant a subscription.
pub fn subscribe_advice(code: u8) -> &'static str {
    match code {
        0x00 => "allow QoS 1 on the broker, or events would be lost without a trace",
        0x87 | 0x8F => "allow the gateway's user to subscribe to it on the broker",
        0x97 => "raise the broker's limit on subscriptions",
        0xA2 => "use a broker that supports wildcard subscriptions",
        _ => "the broker's log says more",
    }
}

/// A reason code by name and number, for example `quota exceeded (0x97)`.
pub struct Code(pub u8);

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", name(self.0), self.0)
    }
}

/// What the MQTT broker said when it refused or ended a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: u8,
    /// Its reason string.
    pub text: Option<String>,
    /// Its server reference.
    pub server: Option<String>,
}

impl Reason {
    pub fn refusal(&self) -> String {
        self.sentence("refuses the connection", connect_advice(self.code))
    }

    pub fn end(&self) -> String {
        self.sentence("ended the connection", disconnect_advice(self.code))
    }

    fn sentence(&self, event: &str, advice: &str) -> String {
        let code = Code(self.code);
        let server = Server(self.server.as_deref());
        let text = Quoted(self.text.as_deref());
        format!("the MQTT broker {event}: {code}; {advice}{server}{text}")
    }
}

/// Appends the address that the MQTT broker refers to.
struct Server<'a>(Option<&'a str>);

impl Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(server) => write!(f, "; it refers to {}", printable(server)),
            None => Ok(()),
        }
    }
}

/// Appends the MQTT broker's own words.
pub struct Quoted<'a>(pub Option<&'a str>);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(printable).as_deref() {
            Some("") | None => Ok(()),
            Some(text) => write!(f, "; it says \"{text}\""),
        }
    }
}

/// Text from the network on one line, of bounded length, and without characters that change how others are shown.
pub fn printable(text: &str) -> String {
    let invisible = |c: char| {
        c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let one_line = text.replace(invisible, " ");
    let mut characters = one_line.trim().chars();
    let mut shown: String = characters.by_ref().take(MAX_TEXT).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_network_is_shown_short_and_on_one_line() {
        assert_eq!(
            printable("\u{202E}no\r\n\x1b[31mway\0"),
            "no   [31mway".trim_start()
        );
        let long = printable(&"é".repeat(10_000));
        assert_eq!(long.chars().count(), MAX_TEXT + 1);
        assert_eq!(Quoted(Some("\n")).to_string(), "");
    }

    #[test]
    fn a_refusal_names_the_code_the_address_and_the_brokers_own_words() {
        let reason = Reason {
            code: 0x9D,
            text: Some("moved on Monday".to_owned()),
            server: Some("mqtt-2.example:1883".to_owned()),
        };
        assert_eq!(
            reason.refusal(),
            "the MQTT broker refuses the connection: server moved (0x9D); set mqtt.url to the broker that is to be \
             used; it refers to mqtt-2.example:1883; it says \"moved on Monday\""
        );
    }

    #[test]
    fn every_code_of_the_specification_has_a_name() {
        for code in (0x80..=0xA2).filter(|code| ![0x8B, 0x8D, 0x8E].contains(code)) {
            assert!(!name(code).contains("does not define"), "0x{code:02X}");
        }
        assert_eq!(
            Code(0xC0).to_string(),
            "a reason code that MQTT 5 does not define (0xC0)"
        );
    }
}
