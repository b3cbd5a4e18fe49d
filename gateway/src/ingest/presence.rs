//! Tracks which tills are online, from their retained `status` messages and last wills.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use comptoir_wire::topic::{Leaf, Topic};

use comptoir_core::event::DeviceId;

/// More tills than any gateway serves. Tills beyond this number are not tracked.
const MAX_DEVICES: usize = 65_536;

/// The content of a publish to a `status` topic.
#[derive(Debug, PartialEq, Eq)]
pub enum Status {
    Online(DeviceId),
    Offline,
    /// The topic does not name a valid till.
    InvalidTopic,
}

/// Whether each till that has published a `status` is online. `None`: unknown, because the MQTT broker is not
/// connected.
#[derive(Default)]
pub struct Presence(Mutex<HashMap<DeviceId, Option<bool>>>);

impl Presence {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Option<bool>>> {
        // A panic elsewhere leaves the map consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a publish if it is a `status`; otherwise returns `None`.
    pub fn record(&self, topic: &[u8], payload: &[u8]) -> Option<Status> {
        if !topic.ends_with(b"/status") {
            return None;
        }
        let device = std::str::from_utf8(topic)
            .ok()
            .and_then(|topic| Topic::parse(topic).ok())
            .filter(|topic| topic.leaf == Leaf::Status)
            .and_then(|topic| DeviceId::new(topic.store.as_str(), topic.device.as_str()).ok());
        let Some(device) = device else {
            return Some(Status::InvalidTopic);
        };
        let is_online = payload == b"online";
        let mut devices = self.lock();
        if devices.len() < MAX_DEVICES || devices.contains_key(&device) {
            devices.insert(device.clone(), Some(is_online));
        }
        Some(match is_online {
            true => Status::Online(device),
            false => Status::Offline,
        })
    }

    /// Marks every till's presence as unknown, because the MQTT broker is not connected. The tills stay listed.
    pub fn disconnected(&self) {
        self.lock().values_mut().for_each(|is_online| *is_online = None);
    }

    /// `None` if the till never published a `status`, or the MQTT broker is not connected.
    pub fn is_online(&self, device: &DeviceId) -> Option<bool> {
        self.lock().get(device).copied().flatten()
    }

    /// Whether the till has published a `status` since the gateway started, or the MQTT broker had retained one.
    pub fn is_known(&self, device: &DeviceId) -> bool {
        self.lock().contains_key(device)
    }

    /// The known tills of a store.
    pub fn tills_of(&self, store: &str) -> Vec<DeviceId> {
        let devices = self.lock();
        let of_store = devices.keys().filter(|device| device.store() == store);
        of_store.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tills_stay_known_while_it_is_unknown_which_are_online() {
        let presence = Presence::default();
        let till = |name| DeviceId::new("paris-1", name).unwrap();
        let record = |topic: &str, payload: &str| presence.record(topic.as_bytes(), payload.as_bytes());
        let online = Some(Status::Online(till("till-1")));
        assert_eq!(record("pos/paris-1/till-1/status", "online"), online);
        assert_eq!(
            record("pos/paris-1/till-2/status", "offline"),
            Some(Status::Offline)
        );
        assert!(record("pos/lyon-2/till-1/status", "online").is_some());
        assert_eq!(
            record("pos/Paris_1/till-1/status", "online"),
            Some(Status::InvalidTopic)
        );
        assert_eq!(record("pos/paris-1/till-3/orders", "online"), None);
        assert_eq!(presence.is_online(&till("till-1")), Some(true));
        assert_eq!(presence.is_online(&till("till-2")), Some(false));
        presence.disconnected();
        assert_eq!(presence.is_online(&till("till-1")), None);
        let mut known = presence.tills_of("paris-1");
        known.sort();
        assert_eq!(known, [till("till-1"), till("till-2")]);
        assert!(presence.is_known(&till("till-2")) && !presence.is_known(&till("till-3")));
    }
}
