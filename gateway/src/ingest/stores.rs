//! The stores whose tills this gateway receives: all stores, or those listed in `mqtt.stores`.
//!
//! If two gateways on one MQTT broker receive the same store, both journal its events and both send them to Kafka.

use comptoir_core::event::Kind;

/// MQTT's wildcard for one topic level.
const ANY: &str = "+";

#[derive(Debug, Clone, Default)]
pub struct Stores(Option<Vec<String>>);

impl Stores {
    /// `None` accepts every store.
    pub fn new(stores: Option<Vec<String>>) -> Self {
        Self(stores)
    }

    /// The topics to subscribe to. The MQTT broker decides which till may publish to which topic.
    pub fn topics(&self) -> Vec<String> {
        match &self.0 {
            None => topics_of(ANY).collect(),
            Some(stores) => stores.iter().flat_map(|store| topics_of(store)).collect(),
        }
    }

    /// Subscriptions that an earlier start with another configuration may have left in the session at the MQTT broker.
    pub fn former_topics(&self) -> Vec<String> {
        match &self.0 {
            None => Vec::new(),
            Some(_) => topics_of(ANY).collect(),
        }
    }

    pub fn includes(&self, store: &str) -> bool {
        let stores = self.0.as_ref();
        stores.is_none_or(|stores| stores.iter().any(|included| included == store))
    }

    /// Whether this topic belongs to an accepted store. The session may still deliver publishes queued for former
    /// subscriptions.
    pub fn includes_topic(&self, topic: &[u8]) -> bool {
        let store = topic.split(|byte| *byte == b'/').nth(1).unwrap_or_default();
        self.0.is_none() || std::str::from_utf8(store).is_ok_and(|store| self.includes(store))
    }
}

fn topics_of(store: &str) -> impl Iterator<Item = String> {
    let leaves = Kind::ALL.map(Kind::topic).into_iter().chain(["status"]);
    leaves.map(move |leaf| format!("pos/{store}/+/{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_is_included_unless_some_are_named() {
        let all = Stores::default();
        assert_eq!(all.topics()[0], "pos/+/+/orders");
        assert!(all.includes("paris-1") && all.includes_topic(b"pos/paris-1/till-1/orders"));
        assert!(
            all.includes_topic(b"pos/Paris_1/till-1/orders"),
            "to become a dead letter"
        );
        assert!(all.former_topics().is_empty());

        let some = Stores::new(Some(vec!["paris-1".to_owned(), "lyon-2".to_owned()]));
        assert_eq!(some.topics().len(), 8);
        assert!(some.topics().contains(&"pos/lyon-2/+/status".to_owned()));
        assert!(some.includes_topic(b"pos/lyon-2/till-1/orders"));
        assert!(!some.includes_topic(b"pos/lyon-20/till-1/orders") && !some.includes_topic(b"pos"));
        assert_eq!(some.former_topics(), all.topics());
    }
}
