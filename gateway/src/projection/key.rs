//! The identity of an order, a payment or a delivery.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::fact::sender_of;
use comptoir_core::event::{COUNTER, Kind};
use comptoir_journal::Entry;

/// Identifies an order, a payment or a delivery. Stores and tills number their receipts independently, so the id alone
/// is not enough: an order or a delivery is unique within a store, a payment within a store and device.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub kind: Kind,
    pub id: Arc<str>,
    pub store: Arc<str>,
    /// Empty unless this is a payment.
    pub device: Arc<str>,
}

impl Key {
    pub fn new(kind: Kind, id: &str, store: &str, device: &str) -> Self {
        Self {
            kind,
            id: id.into(),
            store: store.into(),
            device: Self::device_of(kind, device).into(),
        }
    }

    /// The `device` part of the key.
    pub fn device_of(kind: Kind, device: &str) -> &str {
        match kind {
            Kind::Payment => device,
            Kind::Order | Kind::Delivery => "",
        }
    }
}

/// The [`Key::device`] for a journal entry. If the counter changes a till's payment, the event's name is the counter's
/// but its JSON names the till.
pub(super) fn device_of_entry(kind: Kind, entry: &Entry) -> Cow<'_, str> {
    let author = entry.name.device.device();
    match kind {
        Kind::Payment if author == COUNTER => sender_of(entry.payload.json(), entry.name.device.as_str()).1,
        _ => Key::device_of(kind, author).into(),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            id,
            store,
            device,
        } = self;
        write!(f, "{kind:?} {store}/{device}/{id}")
    }
}
