//! Settings of the emulated board: `key=value` pairs separated by semicolons, followed by 0 or 0xFF (erased flash), for
//! example `store=paris-1;device=till-7;port=1883`.

use core::fmt;

use comptoir_wire::topic::Name;

/// Why settings are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError<'a> {
    /// The bytes are not UTF-8.
    NotText,
    /// This pair has no `=`.
    NoValue(&'a str),
    /// There is no such key.
    UnknownKey(&'a str),
    /// The value of this key is not a valid name, or not a number in its range.
    BadValue(&'static str),
}

impl fmt::Display for SettingsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("not UTF-8"),
            Self::NoValue(pair) => write!(f, "{pair}: no value"),
            Self::UnknownKey(key) => write!(f, "unknown key {key}"),
            Self::BadValue(key) => write!(f, "invalid value of {key}"),
        }
    }
}

impl core::error::Error for SettingsError<'_> {}

/// The settings. Missing keys have their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The store.
    pub store: Name<'a>,
    /// The till.
    pub device: Name<'a>,
    /// The MQTT broker's port.
    pub port: u16,
    /// Password of the MQTT user `{store}/{device}`; empty to connect without authentication.
    pub password: &'a str,
    /// The autopilot sells until the queue's newest number is this; 0: for ever.
    pub events: u32,
    /// Milliseconds between two events.
    pub pace: u64,
    /// Every n-th order has 250 lines; 0: none has.
    pub long_every: u32,
    /// The autopilot's seed.
    pub seed: u64,
    /// The epoch of a new queue; `None`: the board draws one.
    pub epoch: Option<u32>,
}

fn value<'a, T: core::str::FromStr>(key: &'static str, value: &str) -> Result<T, SettingsError<'a>> {
    value.parse().map_err(|_| SettingsError::BadValue(key))
}

fn name<'a>(key: &'static str, value: &'a str) -> Result<Name<'a>, SettingsError<'a>> {
    Name::new(value).map_err(|_| SettingsError::BadValue(key))
}

impl<'a> Settings<'a> {
    /// Parses the flash's contents.
    ///
    /// # Errors
    /// The bytes are not UTF-8, or a pair is invalid. The error names the first one.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SettingsError<'a>> {
        let end = bytes.iter().position(|&byte| matches!(byte, 0 | 0xff));
        let text = core::str::from_utf8(&bytes[..end.unwrap_or(bytes.len())]);
        Self::parse(text.map_err(|_| SettingsError::NotText)?)
    }

    /// Parses `key=value` pairs separated by semicolons.
    ///
    /// # Errors
    /// A pair is invalid. The error names the first one.
    pub fn parse(text: &'a str) -> Result<Self, SettingsError<'a>> {
        let mut settings = Self {
            store: name("store", "paris-1")?,
            device: name("device", "till-1")?,
            port: 1883,
            password: "",
            events: 0,
            pace: 500,
            long_every: 50,
            seed: 1,
            epoch: None,
        };
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, given) = pair.split_once('=').ok_or(SettingsError::NoValue(pair))?;
            match key {
                "store" => settings.store = name("store", given)?,
                "device" => settings.device = name("device", given)?,
                "port" => settings.port = value("port", given)?,
                "password" => settings.password = given,
                "events" => settings.events = value("events", given)?,
                "pace" => settings.pace = value("pace", given)?,
                "long_every" => settings.long_every = value("long_every", given)?,
                "seed" => settings.seed = value("seed", given)?,
                "epoch" => settings.epoch = Some(value("epoch", given)?),
                _ => return Err(SettingsError::UnknownKey(key)),
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erased_flash_gives_the_defaults() {
        let settings = Settings::read(&[0xff; 64]).unwrap();
        assert_eq!((settings.store.as_str(), settings.port), ("paris-1", 1883));
    }

    #[test]
    fn the_text_ends_at_the_first_erased_byte() {
        let settings =
            Settings::read(b"device=till-7;port=65535;seed=18446744073709551615\xff\xff;port=1").unwrap();
        assert_eq!(settings.device.as_str(), "till-7");
        assert_eq!((settings.port, settings.seed), (65_535, u64::MAX));
    }

    #[test]
    fn an_error_names_the_key() {
        let error = |text| Settings::parse(text).unwrap_err();
        assert_eq!(error("port=65536"), SettingsError::BadValue("port"));
        assert_eq!(error("events=4294967296"), SettingsError::BadValue("events"));
        assert_eq!(error("epoch=-1"), SettingsError::BadValue("epoch"));
        assert_eq!(error("pace=-1"), SettingsError::BadValue("pace"));
        assert_eq!(error("store=a/b"), SettingsError::BadValue("store"));
        assert_eq!(error("device="), SettingsError::BadValue("device"));
        assert_eq!(error("seed"), SettingsError::NoValue("seed"));
        assert_eq!(error("sede=1"), SettingsError::UnknownKey("sede"));
        assert_eq!(Settings::read(b"store=\x80"), Err(SettingsError::NotText));
    }
}
