//! An event as live clients get it, rendered once for each view.

use std::borrow::Cow;
use std::cell::OnceCell;

use comptoir_core::event::Kind;
use comptoir_core::sale::personal::{fields, is_hidden};
use comptoir_identity::Role;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::record::EventRecord;

/// Longest event that is sent, in bytes. Clients are told to reload instead of a longer one, so that what waits for slow
/// clients is bounded.
const MAX_ITEM: usize = 16 << 10;
/// The fields that the office sets itself, from what the shop has signed and from the place in Kafka.
const OWN_FIELDS: [&str; 6] = ["store", "device", "ce_id", "partition", "offset", "appended"];

/// Whether a client may see the customers' e-mail addresses and postal addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonalData {
    Shown,
    /// `customer_email` and `address` are null.
    Hidden,
}

impl PersonalData {
    pub fn of(role: Role) -> Self {
        match role.sees_personal_data() {
            true => Self::Shown,
            false => Self::Hidden,
        }
    }
}

/// An event, and its JSON in each view once a client has that view.
pub struct LiveItem<'a> {
    event: &'a EventRecord,
    shown: OnceCell<Option<Box<RawValue>>>,
    hidden: OnceCell<Option<Box<RawValue>>>,
}

impl<'a> LiveItem<'a> {
    pub fn new(event: &'a EventRecord) -> Self {
        Self {
            event,
            shown: OnceCell::new(),
            hidden: OnceCell::new(),
        }
    }

    pub fn store(&self) -> &'a str {
        self.event.name.device.store()
    }

    /// The name of the Socket.IO event.
    pub fn name(&self) -> &'static str {
        match self.event.kind {
            Kind::Order => "new_order",
            Kind::Payment => "new_payment",
            Kind::Delivery => "new_delivery",
        }
    }

    /// The JSON in a view. `None` if it is too long to be sent.
    pub fn json(&self, view: PersonalData) -> Option<&RawValue> {
        let cell = match view {
            PersonalData::Shown => &self.shown,
            PersonalData::Hidden => &self.hidden,
        };
        cell.get_or_init(|| render(self.event, view)).as_deref()
    }
}

fn render(event: &EventRecord, view: PersonalData) -> Option<Box<RawValue>> {
    if event.value.len() > MAX_ITEM {
        return None;
    }
    // The value was an object when the record was checked.
    let fields = fields(&event.value)?;
    to_raw_value(&Item { event, view, fields }).ok()
}

struct Item<'a> {
    event: &'a EventRecord,
    view: PersonalData,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl serde::Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let fields = self.fields.iter();
        for (name, value) in fields.filter(|(name, _)| !OWN_FIELDS.contains(&&**name)) {
            match self.view {
                PersonalData::Hidden if is_hidden(name) => map.serialize_entry(name, &())?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        let (name, place) = (&self.event.name, &self.event.place);
        map.serialize_entry("store", name.device.store())?;
        map.serialize_entry("device", name.device.device())?;
        map.serialize_entry("ce_id", &name.to_string())?;
        map.serialize_entry("partition", &place.partition)?;
        map.serialize_entry("offset", &place.offset)?;
        map.serialize_entry("appended", &place.appended)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use comptoir_core::event::EventName;

    use super::*;
    use crate::record::Place;

    fn event(value: &str) -> EventRecord {
        EventRecord {
            place: Place {
                topic: "orders".to_owned(),
                partition: 2,
                offset: 41,
                appended: "2026-11-30T10:00:01Z".parse().unwrap(),
            },
            name: EventName::parse("paris-1/till-1/7/42").unwrap(),
            kind: Kind::Order,
            id: "o-1".to_owned(),
            order_id: "o-1".to_owned(),
            status: "Pending".to_owned(),
            amount: None,
            time: "2026-11-30T10:00:00Z".parse().unwrap(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn an_item_has_its_place_and_only_some_views_have_personal_data() {
        let event = event(
            r#"{"order_id":"o-1","customer_email":"a@b.example","amount":12.50,"store":"lyon-2","address":"Rue 1","offset":7}"#,
        );
        let item = LiveItem::new(&event);
        let own = r#""store":"paris-1","device":"till-1","ce_id":"paris-1/till-1/7/42","partition":2,"offset":41,"appended":"2026-11-30T10:00:01Z"}"#;
        assert_eq!(
            item.json(PersonalData::Shown).unwrap().get(),
            format!(
                r#"{{"order_id":"o-1","customer_email":"a@b.example","amount":12.50,"address":"Rue 1",{own}"#
            )
        );
        assert_eq!(
            item.json(PersonalData::Hidden).unwrap().get(),
            format!(r#"{{"order_id":"o-1","customer_email":null,"amount":12.50,"address":null,{own}"#)
        );
        assert_eq!((item.store(), item.name()), ("paris-1", "new_order"));
    }

    #[test]
    fn a_long_item_is_not_sent() {
        let event = event(&format!(
            r#"{{"order_id":"o-1","product":"{}"}}"#,
            "x".repeat(MAX_ITEM)
        ));
        assert!(LiveItem::new(&event).json(PersonalData::Shown).is_none());
    }
}
