//! What makes an order, a payment or a delivery one and the same.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::fold::sender_of;
use crate::event::{COUNTER, Kind};
use crate::journal::Entry;

/// Shops and tills number their receipts independently of one another, so an id alone names nothing: orders and deliveries
/// are one within a store, payments within a store and device.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub kind: Kind,
    pub id: Arc<str>,
    pub store: Arc<str>,
    /// Of a payment; otherwise empty.
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

    /// The device as far as it is a part of the key.
    pub fn device_of(kind: Kind, device: &str) -> &str {
        match kind {
            Kind::Payment => device,
            Kind::Order | Kind::Delivery => "",
        }
    }
}

/// The device (see [`Key::device`]) of an entry of the journal. At the counter a till's payment may be changed, too: then
/// the event's name says who changed it, and its JSON whose payment it is.
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
