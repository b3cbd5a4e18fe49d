//! Records of another journal about this gateway's own sales. They change no row; they are counted, and the gateway
//! page describes the last one.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use super::Key;
use comptoir_core::event::Kind;

#[derive(Debug, Default)]
struct Records {
    count: u64,
    /// A description of the last one.
    last: String,
}

/// The records kept apart since the start. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct KeptApart(Arc<Mutex<Records>>);

impl KeptApart {
    /// Adds a record with this `ce_id`, which claims that the sale has this status.
    pub(super) fn add(&self, key: &Key, status: &str, ce_id: &str) {
        let last = format!("{ce_id} says that {} {:?} is {status}", noun(key.kind), key.id);
        // A panic elsewhere leaves the values consistent.
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.count == 0 {
            warn!(
                "a record of another journal in Kafka concerns a sale of this gateway and changes nothing: {last}"
            );
        }
        records.count += 1;
        records.last = last;
    }

    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// The warning for the gateway page; `None` if there are no such records.
    pub fn warning(&self) -> Option<String> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Records { count, last } = &*records;
        (*count > 0).then(|| {
            format!(
                "{count} records of other journals in Kafka concern sales of this gateway and change nothing here. The last \
                 one: {last}"
            )
        })
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "order",
        Kind::Payment => "payment",
        Kind::Delivery => "delivery",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_apart_is_counted_and_the_last_one_is_described() {
        let kept_apart = KeptApart::default();
        assert_eq!(kept_apart.warning(), None);
        for id in ["p-1", "p-2"] {
            let key = Key::new(Kind::Payment, id, "paris-1", "till-1");
            kept_apart.add(&key, "FAILED", "paris-1/till-1/7/42");
        }
        let warning = kept_apart.warning().unwrap();
        assert_eq!(kept_apart.count(), 2);
        assert!(
            warning.ends_with("paris-1/till-1/7/42 says that payment \"p-2\" is FAILED"),
            "{warning}"
        );
    }
}
