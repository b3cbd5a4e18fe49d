//! The name and the kind of an event, as everybody outside sees them.
//!
//! An event is named by `(store, device, epoch, seq)`. The journal keeps each name once; the name
//! travels to Kafka as `ce_id`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use comptoir_wire::topic::Name;
use serde::Serialize;

/// A terminal, or what stands for one: `{store}/{device}`. Both halves match
/// `[a-z0-9][a-z0-9-]{0,31}`.
///
/// Cheap to clone: it is shared by every event of the device.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    // "{store}/{device}" in one allocation; `slash` is where the halves meet.
    text: Arc<str>,
    slash: u8,
}

/// The device name under which the gateway itself numbers what a `POST` brings.
pub const COUNTER: &str = "counter";
/// The device name under which the gateway files what came without a usable sender.
pub const UNKNOWN_DEVICE: &str = "unknown";
/// The epoch of everything that the gateway numbers itself. Terminals never draw it.
pub const GATEWAY_EPOCH: u32 = 0;

/// A store or device name that breaks the rule of `[a-z0-9][a-z0-9-]{0,31}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?}: only a-z, 0-9 and '-', not starting with '-', 1 to 32 characters")]
pub struct InvalidName {
    what: &'static str,
    name: String,
}

impl DeviceId {
    /// Checks both halves.
    pub fn new(store: &str, device: &str) -> Result<Self, InvalidName> {
        let check = |what, name: &str| {
            Name::new(name).map(|_| ()).map_err(|_| InvalidName {
                what,
                name: name.chars().take(64).collect(),
            })
        };
        check("store", store)?;
        check("device", device)?;
        // At most 32 bytes each, by the check above, and ASCII.
        let mut text = [b'/'; 65];
        let len = store.len() + 1 + device.len();
        text[..store.len()].copy_from_slice(store.as_bytes());
        text[store.len() + 1..len].copy_from_slice(device.as_bytes());
        Ok(Self {
            text: std::str::from_utf8(&text[..len]).unwrap_or_default().into(),
            slash: store.len() as u8,
        })
    }

    pub fn store(&self) -> &str {
        &self.text[..usize::from(self.slash)]
    }

    pub fn device(&self) -> &str {
        &self.text[usize::from(self.slash) + 1..]
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for DeviceId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (store, device) = text.split_once('/').ok_or_else(|| InvalidName {
            what: "device",
            name: text.chars().take(64).collect(),
        })?;
        Self::new(store, device)
    }
}

/// The name of an event. Its text, `{store}/{device}/{epoch}/{seq}`, is the `ce_id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventName {
    pub device: DeviceId,
    pub epoch: u32,
    /// 1, 2, 3 … within the epoch.
    pub seq: u32,
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.device, self.epoch, self.seq)
    }
}

/// What an event is about, and so which topic it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Order,
    Payment,
    Delivery,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Order, Kind::Payment, Kind::Delivery];

    /// The Kafka topic without its prefix, the last part of the MQTT topic, and the HTTP path.
    pub const fn topic(self) -> &'static str {
        match self {
            Kind::Order => "orders",
            Kind::Payment => "payments",
            Kind::Delivery => "deliveries",
        }
    }

    /// The CloudEvents `type`.
    pub fn event_type(self) -> &'static str {
        match self {
            Kind::Order => "comptoir.order",
            Kind::Payment => "comptoir.payment",
            Kind::Delivery => "comptoir.delivery",
        }
    }

    pub fn from_topic(topic: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.topic() == topic)
    }
}

impl From<comptoir_wire::topic::Kind> for Kind {
    fn from(kind: comptoir_wire::topic::Kind) -> Self {
        match kind {
            comptoir_wire::topic::Kind::Orders => Kind::Order,
            comptoir_wire::topic::Kind::Payments => Kind::Payment,
            comptoir_wire::topic::Kind::Deliveries => Kind::Delivery,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_keeps_its_halves() {
        let device = DeviceId::new("paris-1", "till-9").unwrap();
        assert_eq!((device.store(), device.device()), ("paris-1", "till-9"));
        assert_eq!("paris-1/till-9".parse::<DeviceId>().unwrap(), device);
    }

    #[test]
    fn a_bad_name_is_refused_and_named() {
        for (store, device) in [("Paris", "till"), ("", "till"), ("p", "-till"), ("p", "a/b")] {
            assert!(DeviceId::new(store, device).is_err(), "{store:?} {device:?}");
        }
        let error = DeviceId::new("paris", "Caisse 1").unwrap_err().to_string();
        assert!(error.contains("device \"Caisse 1\""), "{error}");
    }
}
