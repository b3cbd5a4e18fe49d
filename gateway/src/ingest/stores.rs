//! Whose terminals are heard: every store's, or those that `mqtt.stores` names.
//!
//! Two gateways on one MQTT broker that both hear a store each take its events in, and both bring them into Kafka.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Filter;

use crate::event::Kind;

const EVERY: &str = "+";

#[derive(Debug, Clone, Default)]
pub struct Stores(Option<Vec<String>>);

impl Stores {
    /// Without a list: all.
    pub fn new(stores: Option<Vec<String>>) -> Self {
        Self(stores)
    }

    /// What to subscribe to. Which terminal may publish what is the MQTT broker's to say.
    pub fn filters(&self) -> Vec<Filter> {
        let filters = match &self.0 {
            None => topics(EVERY).collect::<Vec<_>>(),
            Some(stores) => stores.iter().flat_map(|store| topics(store)).collect(),
        };
        let filters = filters.into_iter();
        filters
            .map(|topic| Filter::new(topic, QoS::AtLeastOnce))
            .collect()
    }

    /// What an earlier start may have left in the session at the MQTT broker: it would go on.
    pub fn former(&self) -> Vec<String> {
        match &self.0 {
            None => Vec::new(),
            Some(_) => topics(EVERY).collect(),
        }
    }

    pub fn hear(&self, store: &str) -> bool {
        let stores = self.0.as_ref();
        stores.is_none_or(|stores| stores.iter().any(|heard| heard == store))
    }

    /// Of what the session still brings though it is no longer subscribed to.
    pub fn hear_topic(&self, topic: &[u8]) -> bool {
        let store = topic.split(|byte| *byte == b'/').nth(1).unwrap_or_default();
        self.0.is_none() || std::str::from_utf8(store).is_ok_and(|store| self.hear(store))
    }
}

fn topics(store: &str) -> impl Iterator<Item = String> {
    let leaves = Kind::ALL.map(Kind::topic).into_iter().chain(["status"]);
    leaves.map(move |leaf| format!("pos/{store}/+/{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(stores: &Stores) -> Vec<String> {
        stores.filters().into_iter().map(|filter| filter.path).collect()
    }

    #[test]
    fn all_are_heard_unless_some_are_named() {
        let all = Stores::default();
        assert_eq!(paths(&all)[0], "pos/+/+/orders");
        assert!(all.hear("paris-1") && all.hear_topic(b"pos/paris-1/till-1/orders"));
        assert!(
            all.hear_topic(b"pos/Paris_1/till-1/orders"),
            "to be a dead letter"
        );
        assert!(all.former().is_empty());

        let some = Stores::new(Some(vec!["paris-1".to_owned(), "lyon-2".to_owned()]));
        assert_eq!(paths(&some).len(), 8);
        assert!(paths(&some).contains(&"pos/lyon-2/+/status".to_owned()));
        assert!(some.hear_topic(b"pos/lyon-2/till-1/orders"));
        assert!(!some.hear_topic(b"pos/lyon-20/till-1/orders") && !some.hear_topic(b"pos"));
        assert_eq!(some.former(), paths(&all));
    }
}
