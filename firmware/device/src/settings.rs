//! Settings as one text of `key=value` pairs between semicolons, with 0 or 0xFF after it, as erased flash has:
//! `store=paris-1;device=till-7;port=1883`.

use core::fmt;

use comptoir_wire::topic::Name;

/// What is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError<'a> {
    /// Bytes that are no text.
    NotText,
    /// A pair without `=`.
    NoValue(&'a str),
    /// No setting has this name.
    UnknownKey(&'a str),
    /// The value of this key is not what it takes: a name, or a number within its bounds.
    BadValue(&'static str),
}

impl fmt::Display for SettingsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("not UTF-8"),
            Self::NoValue(pair) => write!(f, "{pair} has no value"),
            Self::UnknownKey(key) => write!(f, "there is no {key}"),
            Self::BadValue(key) => write!(f, "the value of {key} is not understood"),
        }
    }
}

impl core::error::Error for SettingsError<'_> {}

/// All settings, with what holds for those that are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The shop.
    pub store: Name<'a>,
    /// The terminal.
    pub device: Name<'a>,
    /// The MQTT broker's port.
    pub port: u16,
    /// Its password for the user `{store}/{device}`; empty: it asks for none.
    pub password: &'a str,
    /// The autopilot sells until the queue has given this number; 0: without end.
    pub events: u32,
    /// Milliseconds between two events.
    pub pace: u64,
    /// Every so many orders has 250 lines; 0: none has.
    pub long_every: u32,
    /// Of the autopilot.
    pub seed: u64,
    /// Of a queue that is new; drawn by the board if it is not given.
    pub epoch: Option<u32>,
}

fn value<'a, T: core::str::FromStr>(key: &'static str, value: &str) -> Result<T, SettingsError<'a>> {
    value.parse().map_err(|_| SettingsError::BadValue(key))
}

fn name<'a>(key: &'static str, value: &'a str) -> Result<Name<'a>, SettingsError<'a>> {
    Name::new(value).map_err(|_| SettingsError::BadValue(key))
}

impl<'a> Settings<'a> {
    /// Reads what the flash holds.
    ///
    /// # Errors
    /// What is not understood, with its key.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SettingsError<'a>> {
        let end = bytes.iter().position(|&byte| matches!(byte, 0 | 0xff));
        let text = core::str::from_utf8(&bytes[..end.unwrap_or(bytes.len())]);
        Self::parse(text.map_err(|_| SettingsError::NotText)?)
    }

    /// Reads `key=value` pairs between semicolons.
    ///
    /// # Errors
    /// What is not understood, with its key.
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
    fn erased_flash_has_the_defaults() {
        let settings = Settings::read(&[0xff; 64]).unwrap();
        assert_eq!((settings.store.as_str(), settings.port), ("paris-1", 1883));
    }

    #[test]
    fn the_text_ends_where_the_flash_is_erased() {
        let settings =
            Settings::read(b"device=till-7;port=65535;seed=18446744073709551615\xff\xff;port=1").unwrap();
        assert_eq!(settings.device.as_str(), "till-7");
        assert_eq!((settings.port, settings.seed), (65_535, u64::MAX));
    }

    #[test]
    fn errors_name_the_key() {
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
