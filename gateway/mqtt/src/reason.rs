//! Reason codes, and the broker's texts about them.

use std::fmt::{self, Display};

/// Most characters of a broker's text that are shown.
const MAX_TEXT_CHARS: usize = 200;

/// An MQTT 5 reason code. Displayed with name and number, for example `quota exceeded (0x97)`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReasonCode(pub u8);

impl ReasonCode {
    pub const SUCCESS: Self = Self(0x00);
    pub const BAD_USER_NAME_OR_PASSWORD: Self = Self(0x86);
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    pub const SERVER_UNAVAILABLE: Self = Self(0x88);
    pub const SERVER_SHUTTING_DOWN: Self = Self(0x8B);
    pub const KEEP_ALIVE_TIMEOUT: Self = Self(0x8D);
    /// Another client connected with the same client id.
    pub const SESSION_TAKEN_OVER: Self = Self(0x8E);
    pub const PACKET_TOO_LARGE: Self = Self(0x95);
    pub const RETAIN_NOT_SUPPORTED: Self = Self(0x9A);

    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    pub fn is_taken_over(self) -> bool {
        self == Self::SESSION_TAKEN_OVER
    }

    /// The name in the MQTT 5 specification.
    pub fn name(self) -> &'static str {
        match self.0 {
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
}

impl Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.0)
    }
}

/// Why the MQTT broker refused or ended a connection. Displayed on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: ReasonCode,
    /// The broker's reason string.
    pub text: Option<String>,
    /// The broker's server reference: the address of another broker.
    pub server: Option<String>,
}

impl From<ReasonCode> for Reason {
    fn from(code: ReasonCode) -> Self {
        Self {
            code,
            text: None,
            server: None,
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if let Some(server) = &self.server {
            write!(f, "; it refers to {}", printable(server))?;
        }
        ReasonText(self.text.as_deref()).fmt(f)
    }
}

/// Displays the broker's reason string as a clause to append, or nothing if there is none.
pub struct ReasonText<'a>(pub Option<&'a str>);

impl Display for ReasonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(printable).as_deref() {
            Some("") | None => Ok(()),
            Some(text) => write!(f, "; it says \"{text}\""),
        }
    }
}

/// Makes text from the network safe to display: one line of bounded length, without control characters and invisible
/// characters that change how the rest is displayed.
pub fn printable(text: &str) -> String {
    let invisible = |c: char| {
        c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let one_line = text.replace(invisible, " ");
    let mut characters = one_line.trim().chars();
    let mut shown: String = characters.by_ref().take(MAX_TEXT_CHARS).collect();
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
        assert_eq!(long.chars().count(), MAX_TEXT_CHARS + 1);
        assert_eq!(ReasonText(Some("\n")).to_string(), "");
    }

    #[test]
    fn a_reason_names_the_code_the_other_server_and_the_brokers_text() {
        let reason = Reason {
            code: ReasonCode(0x9D),
            text: Some("moved on Monday".to_owned()),
            server: Some("mqtt-2.example:1883".to_owned()),
        };
        assert_eq!(
            reason.to_string(),
            "server moved (0x9D); it refers to mqtt-2.example:1883; it says \"moved on Monday\""
        );
    }

    #[test]
    fn every_code_of_the_specification_has_a_name() {
        for code in 0x80..=0xA2 {
            assert!(
                !ReasonCode(code).name().contains("does not define"),
                "0x{code:02X}"
            );
        }
        assert_eq!(
            ReasonCode(0xC0).to_string(),
            "a reason code that MQTT 5 does not define (0xC0)"
        );
    }
}
