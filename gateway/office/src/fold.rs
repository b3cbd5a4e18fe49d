//! The fold: applies events to the present state of sales, by the gateway's own rules.

use comptoir_core::event::Kind;
use comptoir_core::sale::Currency;
use comptoir_core::sale::ownership::{Difference, is_forward, may_change, with_status};
use jiff::Timestamp;

use crate::record::EventRecord;

/// Identifies a sale: orders and deliveries within a store, payments within a store and a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaleKey {
    pub store: String,
    pub kind: Kind,
    /// Only for payments; empty otherwise.
    pub device: String,
    pub id: String,
}

/// The present state of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// The device that created the sale.
    pub creator: String,
    /// Epoch and number of the creator's newest event for this sale.
    pub newest: (u32, u32),
    pub order_id: String,
    pub status: String,
    pub time: Timestamp,
    pub amount: Option<(i64, Currency)>,
    /// Number of changes by other devices that were rejected.
    pub corrections: i32,
    pub value: String,
}

/// The name of a kind in the database.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "order",
        Kind::Payment => "payment",
        Kind::Delivery => "delivery",
    }
}

pub fn key_of(event: &EventRecord) -> SaleKey {
    let device = &event.name.device;
    SaleKey {
        store: device.store().to_owned(),
        kind: event.kind,
        device: match event.kind {
            Kind::Payment => device.device().to_owned(),
            Kind::Order | Kind::Delivery => String::new(),
        },
        id: event.id.clone(),
    }
}

/// The sale after the event. A device's events may arrive out of order: an order's key may map to another partition
/// once a topic has more of them, and anyone can write a copy of a signed record elsewhere. So an older event of the
/// sale's creator changes nothing.
pub fn fold(before: Option<Sale>, event: &EventRecord) -> Sale {
    let author = event.name.device.device();
    let number = (event.name.epoch, event.name.seq);
    match before {
        Some(before)
            if *before.creator == *author && before.newest.0 == number.0 && number.1 < before.newest.1 =>
        {
            before
        }
        Some(before) if !may_change(event.kind, author, &before.creator) => correct(before, event),
        before => Sale {
            creator: match &before {
                Some(before) => before.creator.clone(),
                None => author.to_owned(),
            },
            newest: match &before {
                // Another device, the counter, changes the sale.
                Some(before) if *before.creator != *author => before.newest,
                _ => number,
            },
            order_id: event.order_id.clone(),
            status: event.status.clone(),
            time: event.time,
            amount: event.amount,
            corrections: before.map_or(0, |before| before.corrections),
            value: event.value.clone(),
        },
    }
}

/// The sale after an event of another device. Only its status may have moved forwards.
fn correct(mut sale: Sale, event: &EventRecord) -> Sale {
    let is_other_status = sale.status != event.status;
    let moved = (is_other_status && is_forward(event.kind, &sale.status, &event.status))
        .then(|| with_status(&sale.value, &event.status))
        .flatten();
    let has_more = Difference::between(event.kind, &sale.value, &event.value) != Difference::default();
    if has_more || (is_other_status && moved.is_none()) {
        sale.corrections = sale.corrections.saturating_add(1);
    }
    if let Some(value) = moved {
        sale.status.clone_from(&event.status);
        sale.value = value.to_string();
    }
    sale
}

#[cfg(test)]
mod tests {
    use comptoir_core::event::EventName;

    use super::*;
    use crate::record::Place;

    fn event(device: &str, status: &str, amount: i64) -> EventRecord {
        EventRecord {
            place: Place {
                topic: "orders".to_owned(),
                partition: 0,
                offset: 0,
                appended: Timestamp::UNIX_EPOCH,
            },
            name: EventName::parse(&format!("paris-1/{device}/7/1")).unwrap(),
            kind: Kind::Order,
            id: "o-1".to_owned(),
            order_id: "o-1".to_owned(),
            status: status.to_owned(),
            amount: Some((amount, Currency::EUR)),
            time: Timestamp::UNIX_EPOCH,
            value: format!(
                r#"{{"order_id":"o-1","product":"Pain","amount":{}.{:02},"currency":"EUR","status":"{status}"}}"#,
                amount / 100,
                amount % 100
            ),
        }
    }

    #[test]
    fn another_till_moves_an_order_forwards_and_changes_nothing_else() {
        let made = fold(None, &event("till-1", "Pending", 1_250));
        let done = fold(Some(made.clone()), &event("till-2", "Completed", 1_250));
        assert_eq!((&*done.status, done.corrections), ("Completed", 0));
        assert!(done.value.contains(r#""status":"Completed""#));
        let forged = fold(Some(made.clone()), &event("till-2", "Cancelled", 1));
        assert_eq!(
            (&*forged.status, forged.amount, forged.corrections),
            ("Pending", made.amount, 1)
        );
        assert_eq!(forged.value, made.value);
    }

    #[test]
    fn an_older_event_of_its_till_changes_nothing() {
        let with = |seq, status, amount| {
            let mut event = event("till-1", status, amount);
            event.name.seq = seq;
            event
        };
        let newest = fold(None, &with(2, "Completed", 1_000));
        assert_eq!(fold(Some(newest.clone()), &with(1, "Pending", 1_250)), newest);
        let again = fold(Some(newest), &with(3, "Cancelled", 1_000));
        assert_eq!((&*again.status, again.newest), ("Cancelled", (7, 3)));
    }

    #[test]
    fn its_own_till_and_the_counter_may_change_an_order() {
        let made = fold(None, &event("till-1", "Pending", 1_250));
        for device in ["till-1", "counter"] {
            let changed = fold(Some(made.clone()), &event(device, "Cancelled", 100));
            assert_eq!(
                (&*changed.status, changed.amount),
                ("Cancelled", Some((100, Currency::EUR)))
            );
            assert_eq!(changed.creator, "till-1");
        }
    }
}
