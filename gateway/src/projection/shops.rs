//! The totals of other shops, whose events were read from Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::totals::Totals;

/// Most other shops with totals. Any shop of the chain may name any store in a record, and each takes some kilobytes of
/// memory. The sales of further shops are listed but not counted.
pub(super) const MAX_SHOPS: usize = 1_000;

/// The totals of each other shop.
#[derive(Debug, Default)]
pub(super) struct OtherShops {
    totals: BTreeMap<Arc<str>, Totals>,
    /// The shops that have changed since the last flush.
    changed: BTreeSet<Arc<str>>,
}

impl OtherShops {
    /// Restores the stored totals.
    pub fn stored(totals: BTreeMap<Arc<str>, Totals>) -> Self {
        Self {
            totals,
            changed: BTreeSet::new(),
        }
    }

    /// The totals of a shop, for changing them. `None` if there are too many shops.
    pub fn change(&mut self, store: &Arc<str>) -> Option<&mut Totals> {
        if !self.totals.contains_key(store) {
            if self.totals.len() >= MAX_SHOPS {
                return None;
            }
            self.totals.insert(Arc::clone(store), Totals::default());
        }
        self.changed.insert(Arc::clone(store));
        self.totals.get_mut(store)
    }

    pub fn of(&self, store: &str) -> Option<&Totals> {
        self.totals.get(store)
    }

    /// The names of the shops, sorted.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.totals.keys().cloned().collect()
    }

    /// The totals that have changed since the last flush.
    pub fn changed(&self) -> impl Iterator<Item = (&Arc<str>, &Totals)> {
        self.changed
            .iter()
            .filter_map(|store| self.totals.get_key_value(store))
    }

    pub fn mark_flushed(&mut self) {
        self.changed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_shops_is_bounded_and_only_changed_ones_are_written() {
        let mut shops = OtherShops::default();
        for at in 0..MAX_SHOPS {
            shops.change(&format!("shop-{at}").into()).unwrap().orders += 1;
        }
        assert!(shops.change(&"one-more".into()).is_none());
        assert_eq!(shops.changed().count(), MAX_SHOPS);
        shops.mark_flushed();
        shops.change(&"shop-7".into()).unwrap().orders += 1;
        let changed: Vec<_> = shops
            .changed()
            .map(|(store, totals)| (&**store, totals.orders))
            .collect();
        assert_eq!(changed, [("shop-7", 2)]);
        assert_eq!(shops.of("shop-8").map(|totals| totals.orders), Some(1));
    }
}
