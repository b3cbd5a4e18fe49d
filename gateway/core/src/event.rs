//! Names of devices and events, and the kinds of event.
//!
//! `(store, device, epoch, seq)` identifies an event. The journal stores each name once, and Kafka receives it as
//! `ce_id`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use comptoir_wire::topic::Name;
use serde::Serialize;

/// A till, or a program that publishes like one: `{store}/{device}`. Both parts match `[a-z0-9][a-z0-9-]{0,31}`.
///
/// Cheap to clone, because every event of the device shares it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    // "{store}/{device}" in one allocation; `slash` is the index of the separator.
    text: Arc<str>,
    slash: u8,
}

/// The device of events that arrive by `POST`; the gateway numbers them.
pub const COUNTER: &str = "counter";
/// The device name of the gateway's own records, such as its audit log. No till can use it, because names may not
/// contain `_`; see [`DeviceId::gateway`].
const GATEWAY: &str = "_gateway";
/// The device of dead letters whose topic names no valid device.
pub const UNKNOWN_DEVICE: &str = "unknown";
/// The epoch of events that the gateway numbers itself. A till never draws it.
pub const GATEWAY_EPOCH: u32 = 0;

/// A store or device name that does not match `[a-z0-9][a-z0-9-]{0,31}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?}: only a-z, 0-9 and '-', not starting with '-', 1 to 32 characters")]
pub struct InvalidName {
    what: &'static str,
    name: String,
}

impl DeviceId {
    /// # Errors
    ///
    /// Names the invalid part.
    pub fn new(store: &str, device: &str) -> Result<Self, InvalidName> {
        let check = |what, name: &str| {
            Name::new(name).map(|_| ()).map_err(|_| InvalidName {
                what,
                name: name.chars().take(64).collect(),
            })
        };
        check("store", store)?;
        check("device", device)?;
        Ok(Self::of_checked(store, device))
    }

    /// The device that stands for the gateway itself, as the sender of its own records.
    ///
    /// # Errors
    ///
    /// The store's name is invalid.
    pub fn gateway(store: &str) -> Result<Self, InvalidName> {
        Self::new(store, COUNTER).map(|device| Self::of_checked(device.store(), GATEWAY))
    }

    /// A device from the journal: a till, or the gateway itself.
    ///
    /// # Errors
    ///
    /// Names the invalid part.
    pub fn stored(store: &str, device: &str) -> Result<Self, InvalidName> {
        match device {
            GATEWAY => Self::gateway(store),
            device => Self::new(store, device),
        }
    }

    /// Like [`DeviceId::stored`], from `{store}/{device}`.
    ///
    /// # Errors
    ///
    /// Names the invalid part.
    pub fn parse_stored(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('/') {
            Some((store, GATEWAY)) => Self::gateway(store),
            _ => text.parse(),
        }
    }

    /// Whether this is the gateway itself rather than a till.
    pub fn is_gateway(&self) -> bool {
        self.device() == GATEWAY
    }

    /// Requires that both names are ASCII and at most 32 bytes long.
    fn of_checked(store: &str, device: &str) -> Self {
        let mut text = [b'/'; 65];
        let len = store.len() + 1 + device.len();
        text[..store.len()].copy_from_slice(store.as_bytes());
        text[store.len() + 1..len].copy_from_slice(device.as_bytes());
        Self {
            text: std::str::from_utf8(&text[..len]).unwrap_or_default().into(),
            slash: store.len() as u8,
        }
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

/// The name of an event, displayed as `{store}/{device}/{epoch}/{seq}`, which is the `ce_id` in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventName {
    pub device: DeviceId,
    pub epoch: u32,
    /// Counts 1, 2, 3 … within the epoch.
    pub seq: u32,
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.device, self.epoch, self.seq)
    }
}

impl EventName {
    /// The inverse of `Display`; `None` if `text` is not the name of an event.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, seq) = text.rsplit_once('/')?;
        let (device, epoch) = rest.rsplit_once('/')?;
        Some(Self {
            device: device.parse().ok()?,
            epoch: epoch.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

/// The kind of an event, which determines its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Order,
    Payment,
    Delivery,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Order, Kind::Payment, Kind::Delivery];

    /// The name of the Kafka topic (without its prefix), the last level of the MQTT topic, and the HTTP path.
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
    fn a_device_is_split_into_store_and_device() {
        let device = DeviceId::new("paris-1", "till-9").unwrap();
        assert_eq!((device.store(), device.device()), ("paris-1", "till-9"));
        assert_eq!("paris-1/till-9".parse::<DeviceId>().unwrap(), device);
    }

    #[test]
    fn the_gateways_own_device_is_read_from_the_journal_and_no_till_can_have_its_name() {
        let gateway = DeviceId::gateway("paris-1").unwrap();
        assert!(gateway.is_gateway());
        assert_eq!(DeviceId::stored("paris-1", gateway.device()), Ok(gateway.clone()));
        assert_eq!(DeviceId::parse_stored(gateway.as_str()), Ok(gateway.clone()));
        assert!(DeviceId::new("paris-1", gateway.device()).is_err());
        assert!(gateway.as_str().parse::<DeviceId>().is_err());
        let till = DeviceId::new("paris-1", "gateway").unwrap();
        assert!(!till.is_gateway());
        assert_eq!(DeviceId::stored("paris-1", "gateway"), Ok(till.clone()));
        assert_eq!(DeviceId::parse_stored("paris-1/gateway"), Ok(till));
        assert!(DeviceId::gateway("Paris").is_err());
    }

    #[test]
    fn an_events_name_is_read_as_it_is_written() {
        let text = "paris-1/till-1/7/42";
        let name = EventName::parse(text).unwrap();
        assert_eq!(
            (name.device.as_str(), name.epoch, name.seq),
            ("paris-1/till-1", 7, 42)
        );
        assert_eq!(name.to_string(), text);
        for text in [
            "",
            "a",
            "a/b",
            "a/b/1",
            "a/b/x/1",
            "a/b/1/x",
            "a/b/c/1/2",
            "A/b/1/2",
        ] {
            assert!(EventName::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_invalid_name_is_rejected_with_an_error_that_quotes_it() {
        for (store, device) in [("Paris", "till"), ("", "till"), ("p", "-till"), ("p", "a/b")] {
            assert!(DeviceId::new(store, device).is_err(), "{store:?} {device:?}");
        }
        let error = DeviceId::new("paris", "Caisse 1").unwrap_err().to_string();
        assert!(error.contains("device \"Caisse 1\""), "{error}");
    }
}
