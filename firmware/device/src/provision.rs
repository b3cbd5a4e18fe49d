//! Provisioning of a board with Wi-Fi: the console on its serial line, and the settings' record on flash.
//!
//! A record is `CMP1`, the text's length (u16, little endian), its CRC-32 (u32, little endian), and the text: one line
//! `key=value` per setting. Passwords may contain anything except control characters, so the end of the line ends a value.

use core::fmt::{self, Write};
use core::net::Ipv4Addr;

use comptoir_wire::topic::Name;
use crc::{CRC_32_ISO_HDLC, Crc};
use heapless::String;

/// Size of a record, in bytes.
pub const RECORD: usize = 512;
const MAGIC: [u8; 4] = *b"CMP1";
const HEAD: usize = 10;
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// Maximum length of a store's or till's name in a record, in bytes.
const NAME: usize = 64;

/// The output of the `help` command.
pub const HELP: &str = "set KEY VALUE | show | save | help; keys: wifi.ssid wifi.password store device mqtt.host \
                        (an IPv4 address) mqtt.port mqtt.password; save restarts the board";

/// Settings of a board with Wi-Fi.
#[derive(Clone, PartialEq, Eq)]
pub struct Provision {
    /// The Wi-Fi network's SSID; empty if not set up yet.
    pub ssid: String<32>,
    /// The Wi-Fi password; empty for an open network.
    pub password: String<64>,
    /// The store.
    pub store: String<NAME>,
    /// The till.
    pub device: String<NAME>,
    /// The MQTT broker's address.
    pub host: Ipv4Addr,
    /// The MQTT broker's port.
    pub port: u16,
    /// Password of the MQTT user `{store}/{device}`; empty to connect without authentication.
    pub login: String<64>,
}

/// Why a command failed, or a record is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvisionError {
    /// There is no such command.
    UnknownCommand,
    /// There is no such key.
    UnknownKey,
    /// The value is invalid for this key.
    BadValue(&'static str),
    /// There is no record on flash.
    NoRecord,
    /// The record is damaged.
    Damaged,
}

impl fmt::Display for ProvisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand => f.write_str("unknown command; try help"),
            Self::UnknownKey => f.write_str("unknown key; try help"),
            Self::BadValue(key) => write!(f, "invalid value of {key}"),
            Self::NoRecord => f.write_str("nothing is saved yet"),
            Self::Damaged => f.write_str("the saved settings are damaged"),
        }
    }
}

impl core::error::Error for ProvisionError {}

/// A command on the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleCommand {
    /// `set`, which has changed a setting and saved nothing.
    Set,
    /// `show`: print the settings.
    Show,
    /// `save`: write the settings to flash.
    Save,
    /// `help`: print [`HELP`].
    Help,
    /// An empty line.
    Empty,
}

impl Default for Provision {
    fn default() -> Self {
        let name = |text| String::try_from(text).unwrap_or_default();
        Self {
            ssid: String::new(),
            password: String::new(),
            store: name("paris-1"),
            device: name("till-1"),
            host: Ipv4Addr::UNSPECIFIED,
            port: 1883,
            login: String::new(),
        }
    }
}

/// Shows everything except the passwords.
impl fmt::Display for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |password: &str| if password.is_empty() { "not set" } else { "set" };
        let (password, login) = (state(&self.password), state(&self.login));
        write!(
            f,
            "wifi.ssid={} wifi.password is {password} store={} device={} mqtt.host={} mqtt.port={} \
             mqtt.password is {login}",
            self.ssid, self.store, self.device, self.host, self.port
        )
    }
}

impl fmt::Debug for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn text<const LEN: usize>(key: &'static str, value: &str) -> Result<String<LEN>, ProvisionError> {
    if value.chars().any(char::is_control) {
        return Err(ProvisionError::BadValue(key));
    }
    String::try_from(value).map_err(|_| ProvisionError::BadValue(key))
}

fn name(key: &'static str, value: &str) -> Result<String<NAME>, ProvisionError> {
    Name::new(value).map_err(|_| ProvisionError::BadValue(key))?;
    text(key, value)
}

impl Provision {
    /// Whether the settings suffice to connect.
    pub fn is_complete(&self) -> bool {
        !self.ssid.is_empty() && !self.host.is_unspecified()
    }

    /// Changes one setting.
    ///
    /// # Errors
    /// The key is unknown or the value is invalid. Nothing changes then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ProvisionError> {
        match key {
            "wifi.ssid" => self.ssid = text("wifi.ssid", value)?,
            "wifi.password" => {
                // WPA2 requires 8 to 64 bytes; an open network has no password.
                if !matches!(value.len(), 0 | 8..=64) {
                    return Err(ProvisionError::BadValue("wifi.password"));
                }
                self.password = text("wifi.password", value)?;
            }
            "store" => self.store = name("store", value)?,
            "device" => self.device = name("device", value)?,
            "mqtt.host" => {
                self.host = value.parse().map_err(|_| ProvisionError::BadValue("mqtt.host"))?;
            }
            "mqtt.port" => match value.parse() {
                Ok(port) if port > 0 => self.port = port,
                _ => return Err(ProvisionError::BadValue("mqtt.port")),
            },
            "mqtt.password" => self.login = text("mqtt.password", value)?,
            _ => return Err(ProvisionError::UnknownKey),
        }
        Ok(())
    }

    /// Executes a line of the serial console. The value of `set` is everything after the space that follows the key.
    ///
    /// # Errors
    /// The command or the key is unknown, or the value is invalid.
    pub fn execute(&mut self, line: &str) -> Result<ConsoleCommand, ProvisionError> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" if rest.is_empty() => Ok(ConsoleCommand::Empty),
            "set" => {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.set(key, value).map(|()| ConsoleCommand::Set)
            }
            "show" => Ok(ConsoleCommand::Show),
            "save" => Ok(ConsoleCommand::Save),
            "help" => Ok(ConsoleCommand::Help),
            _ => Err(ProvisionError::UnknownCommand),
        }
    }

    /// The settings as a record for the flash.
    pub fn record(&self) -> [u8; RECORD] {
        let mut text = String::<{ RECORD - HEAD }>::new();
        // The values have at most 32, 64, 64, 64, 15, 5 and 64 bytes; with their keys and line ends they fit.
        let _ = write!(
            text,
            "wifi.ssid={}\nwifi.password={}\nstore={}\ndevice={}\nmqtt.host={}\nmqtt.port={}\n\
             mqtt.password={}\n",
            self.ssid, self.password, self.store, self.device, self.host, self.port, self.login
        );
        let mut record = [0xff; RECORD];
        #[expect(clippy::cast_possible_truncation, reason = "below RECORD")]
        let len = (text.len() as u16).to_le_bytes();
        record[..4].copy_from_slice(&MAGIC);
        record[4..6].copy_from_slice(&len);
        record[6..HEAD].copy_from_slice(&CRC.checksum(text.as_bytes()).to_le_bytes());
        record[HEAD..HEAD + text.len()].copy_from_slice(text.as_bytes());
        record
    }

    /// Parses a record.
    ///
    /// # Errors
    /// There is no record, or it is damaged.
    pub fn from_record(record: &[u8; RECORD]) -> Result<Self, ProvisionError> {
        let damaged = ProvisionError::Damaged;
        if record[..4] != MAGIC {
            return Err(ProvisionError::NoRecord);
        }
        let len = usize::from(u16::from_le_bytes([record[4], record[5]]));
        let sum = u32::from_le_bytes([record[6], record[7], record[8], record[9]]);
        let text = record.get(HEAD..HEAD + len).ok_or(damaged)?;
        if CRC.checksum(text) != sum {
            return Err(damaged);
        }
        let text = core::str::from_utf8(text).map_err(|_| damaged)?;
        let mut provision = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once('=').ok_or(damaged)?;
            // Ignores keys of newer firmware.
            match provision.set(key, value) {
                Ok(()) | Err(ProvisionError::UnknownKey) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(provision)
    }
}

/// Assembles lines from bytes. A line that is too long is dropped as a whole.
#[derive(Debug, Default)]
pub struct LineReader {
    line: heapless::Vec<u8, 160>,
    has_overflowed: bool,
}

impl LineReader {
    /// Adds a byte. At the end of a line, passes the line to `then` if it is UTF-8.
    pub fn push<R>(&mut self, byte: u8, then: impl FnOnce(&str) -> R) -> Option<R> {
        if !matches!(byte, b'\r' | b'\n') {
            self.has_overflowed |= self.line.push(byte).is_err();
            return None;
        }
        let result = match core::str::from_utf8(&self.line) {
            Ok(line) if !self.has_overflowed && !line.is_empty() => Some(then(line)),
            _ => None,
        };
        self.line.clear();
        self.has_overflowed = false;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Provision {
        let mut provision = Provision::default();
        for (key, len) in [("wifi.ssid", 32), ("wifi.password", 64), ("mqtt.password", 64)] {
            let value = core::str::from_utf8(&[b'='; 64][..len]).unwrap();
            assert_eq!(provision.set(key, value), Ok(()));
        }
        provision.execute("set mqtt.host 192.168.100.200").unwrap();
        provision
    }

    #[test]
    fn a_record_round_trips() {
        let provision = full();
        assert_eq!(Provision::from_record(&provision.record()), Ok(provision));
    }

    #[test]
    fn a_damaged_byte_anywhere_in_a_record_is_detected() {
        let provision = full();
        let record = provision.record();
        let len = HEAD + usize::from(u16::from_le_bytes([record[4], record[5]]));
        for at in 0..len {
            let mut damaged = record;
            damaged[at] ^= 0x10;
            assert!(Provision::from_record(&damaged).is_err(), "byte {at}");
        }
        assert_eq!(
            Provision::from_record(&[0xff; RECORD]),
            Err(ProvisionError::NoRecord)
        );
    }

    #[test]
    fn a_refused_value_names_its_key_and_changes_nothing() {
        let mut provision = full();
        let before = provision.clone();
        for (line, error) in [
            ("set mqtt.port 0", ProvisionError::BadValue("mqtt.port")),
            ("set mqtt.port 65536", ProvisionError::BadValue("mqtt.port")),
            ("set mqtt.host broker", ProvisionError::BadValue("mqtt.host")),
            (
                "set wifi.password seven77",
                ProvisionError::BadValue("wifi.password"),
            ),
            (
                "set wifi.ssid 123456789012345678901234567890123",
                ProvisionError::BadValue("wifi.ssid"),
            ),
            ("set wifi.ssid a\tb", ProvisionError::BadValue("wifi.ssid")),
            ("set store a/b", ProvisionError::BadValue("store")),
            ("set colour red", ProvisionError::UnknownKey),
            ("reset", ProvisionError::UnknownCommand),
        ] {
            assert_eq!(provision.execute(line), Err(error), "{line}");
        }
        assert_eq!(provision, before);
    }

    #[test]
    fn neither_display_nor_debug_shows_a_password() {
        let mut provision = full();
        provision.execute("set wifi.password correct horse").unwrap();
        provision.execute("set mqtt.password battery staple").unwrap();
        assert_eq!(
            (provision.password.as_str(), provision.login.as_str()),
            ("correct horse", "battery staple")
        );
        let mut shown = String::<1024>::new();
        write!(shown, "{provision} {provision:?}").unwrap();
        assert!(!shown.contains("horse") && !shown.contains("staple"), "{shown}");
        assert!(
            shown.contains("wifi.password is set") && shown.contains("mqtt.password is set"),
            "{shown}"
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_as_a_whole() {
        let mut reader = LineReader::default();
        let mut count = 0;
        for byte in [b'x'; 200].into_iter().chain(*b"\nshow\r\n") {
            reader.push(byte, |line| {
                assert_eq!(line, "show");
                count += 1;
            });
        }
        assert_eq!(count, 1);
    }
}
