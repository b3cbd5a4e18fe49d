//! Entries of the journal, and the codes for their kinds and encodings in its tables.

use std::sync::Arc;

use super::{Offset, Payload};
use crate::reused::is_erased;
use comptoir_core::event::{EventName, Kind};

/// The content of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Event(Kind),
    /// A message that could not be decoded, stored unchanged.
    DeadLetter,
    /// An entry of the gateway's audit log.
    Audit(AuditClass),
    /// The closing of a day.
    Closing,
}

/// The classes of audit entries, each with its own limit. See [`Pending`](super::Pending).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditClass {
    Act,
    /// Anyone on the network can cause one.
    FailedSignIn,
}

impl EntryKind {
    pub(crate) fn code(self) -> i64 {
        match self {
            EntryKind::Event(Kind::Order) => 0,
            EntryKind::Event(Kind::Payment) => 1,
            EntryKind::Event(Kind::Delivery) => 2,
            EntryKind::DeadLetter => DEAD_LETTER,
            EntryKind::Audit(AuditClass::Act) => 4,
            EntryKind::Audit(AuditClass::FailedSignIn) => 5,
            EntryKind::Closing => 6,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(EntryKind::Event(Kind::Order)),
            1 => Some(EntryKind::Event(Kind::Payment)),
            2 => Some(EntryKind::Event(Kind::Delivery)),
            DEAD_LETTER => Some(EntryKind::DeadLetter),
            4 => Some(EntryKind::Audit(AuditClass::Act)),
            5 => Some(EntryKind::Audit(AuditClass::FailedSignIn)),
            6 => Some(EntryKind::Closing),
            _ => None,
        }
    }

    /// The name in the chain and in archives.
    pub fn name(self) -> &'static str {
        match self {
            EntryKind::Event(Kind::Order) => "order",
            EntryKind::Event(Kind::Payment) => "payment",
            EntryKind::Event(Kind::Delivery) => "delivery",
            EntryKind::DeadLetter => "dead-letter",
            EntryKind::Audit(AuditClass::Act) => "audit",
            EntryKind::Audit(AuditClass::FailedSignIn) => "failed-sign-in",
            EntryKind::Closing => "closing",
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        (0..=HIGHEST_CODE)
            .filter_map(Self::from_code)
            .find(|kind| kind.name() == name)
    }

    /// Whether an entry of this kind may hold personal data of a customer, which is erased.
    pub fn may_be_erased(self) -> bool {
        matches!(
            self,
            EntryKind::Event(Kind::Order | Kind::Delivery) | EntryKind::DeadLetter
        )
    }

    /// Whether it is a record of the gateway itself, which is not counted with the events.
    pub fn is_own_record(self) -> bool {
        matches!(self, EntryKind::Audit(_) | EntryKind::Closing)
    }
}

/// The statements that use the indexes `entry_dead_letter` and `entry_audit` contain the codes as literals, as the
/// indexes do.
const DEAD_LETTER: i64 = 3;
const HIGHEST_CODE: i64 = 6;

/// One committed event, dead letter or record of the gateway itself.
#[derive(Debug, Clone)]
pub struct Entry {
    pub offset: Offset,
    pub kind: EntryKind,
    pub name: EventName,
    /// When the event happened, in Unix milliseconds.
    pub time: i64,
    /// The key in Kafka: the order's id. For a dead letter, its MQTT topic; for a record of the gateway, the store.
    pub key: Arc<str>,
    /// The value in Kafka.
    pub payload: Payload,
    /// Why a dead letter could not be decoded.
    pub reason: Option<Box<str>>,
}

impl Entry {
    /// Whether a record in Kafka has this entry's value: the same bytes, or the event before its personal data was
    /// erased here.
    pub fn has_value(&self, value: &[u8]) -> bool {
        value == &self.payload[..]
            || (matches!(self.kind, EntryKind::Event(_))
                && std::str::from_utf8(value).is_ok_and(|whole| is_erased(self.payload.json(), whole)))
    }
}

/// The encoding of a device's events, and therefore of its acks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Postcard {
        /// The version of the wire format that the device writes; never 0.
        version: u8,
    },
    Json,
}

impl Encoding {
    /// The code in the table `device`. JSON has code 1, because it existed before version 2 of the wire format.
    pub(crate) fn code(self) -> i64 {
        match self {
            Encoding::Postcard { version: 1 } => 0,
            Encoding::Json => 1,
            Encoding::Postcard { version } => i64::from(version),
        }
    }

    pub(crate) fn from_code(code: i64) -> Self {
        match u8::try_from(code) {
            Ok(0) => Encoding::Postcard { version: 1 },
            Ok(version) if version > 1 => Encoding::Postcard { version },
            _ => Encoding::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_survives_its_code() {
        for version in 1..0x20 {
            let encoding = Encoding::Postcard { version };
            assert_eq!(Encoding::from_code(encoding.code()), encoding);
        }
        assert_eq!(Encoding::from_code(Encoding::Json.code()), Encoding::Json);
        // The codes of the first schema.
        assert_eq!(
            (Encoding::Postcard { version: 1 }.code(), Encoding::Json.code()),
            (0, 1)
        );
    }
}
