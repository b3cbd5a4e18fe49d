//! Which terminals say that they are online: from their retained `status` and last wills.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use comptoir_wire::topic::{Leaf, Topic};

use crate::event::DeviceId;

/// More terminals than any gateway serves; beyond it new ones are not listed as online.
const MAX_DEVICES: usize = 65_536;

/// What a publish to a `status` topic says.
#[derive(Debug, PartialEq, Eq)]
pub enum Status {
    Online(DeviceId),
    Offline,
    /// The topic names no till.
    Unreadable,
}

/// Which terminals there are by their own word, and whether they are online.
#[derive(Default)]
pub struct Presence(Mutex<HashMap<DeviceId, Option<bool>>>);

impl Presence {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Option<bool>>> {
        // A panic elsewhere leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note if the publish is a `status`; `None` if it is something else.
    pub fn note(&self, topic: &[u8], payload: &[u8]) -> Option<Status> {
        if !topic.ends_with(b"/status") {
            return None;
        }
        let device = std::str::from_utf8(topic)
            .ok()
            .and_then(|topic| Topic::parse(topic).ok())
            .filter(|topic| topic.leaf == Leaf::Status)
            .and_then(|topic| DeviceId::new(topic.store.as_str(), topic.device.as_str()).ok());
        let Some(device) = device else {
            return Some(Status::Unreadable);
        };
        let online = payload == b"online";
        let mut devices = self.lock();
        if devices.len() < MAX_DEVICES || devices.contains_key(&device) {
            devices.insert(device.clone(), Some(online));
        }
        Some(match online {
            true => Status::Online(device),
            false => Status::Offline,
        })
    }

    /// Nobody knows then who is online. The terminals are still there.
    pub fn disconnected(&self) {
        self.lock().values_mut().for_each(|online| *online = None);
    }

    /// `None`: it never said, or the MQTT broker is not reached.
    pub fn is_online(&self, device: &DeviceId) -> Option<bool> {
        self.lock().get(device).copied().flatten()
    }

    /// It has said so since the gateway's start, or the MQTT broker has kept that it did.
    pub fn knows(&self, device: &DeviceId) -> bool {
        self.lock().contains_key(device)
    }

    /// A store's terminals that are known.
    pub fn of_store(&self, store: &str) -> Vec<DeviceId> {
        let devices = self.lock();
        let of_store = devices.keys().filter(|device| device.store() == store);
        of_store.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_is_known_also_while_nobody_knows_who_is_online() {
        let presence = Presence::default();
        let till = |name| DeviceId::new("paris-1", name).unwrap();
        let note = |topic: &str, payload: &str| presence.note(topic.as_bytes(), payload.as_bytes());
        let online = Some(Status::Online(till("till-1")));
        assert_eq!(note("pos/paris-1/till-1/status", "online"), online);
        assert_eq!(
            note("pos/paris-1/till-2/status", "offline"),
            Some(Status::Offline)
        );
        assert!(note("pos/lyon-2/till-1/status", "online").is_some());
        assert_eq!(
            note("pos/Paris_1/till-1/status", "online"),
            Some(Status::Unreadable)
        );
        assert_eq!(note("pos/paris-1/till-3/orders", "online"), None);
        assert_eq!(presence.is_online(&till("till-1")), Some(true));
        assert_eq!(presence.is_online(&till("till-2")), Some(false));
        presence.disconnected();
        assert_eq!(presence.is_online(&till("till-1")), None);
        let mut known = presence.of_store("paris-1");
        known.sort();
        assert_eq!(known, [till("till-1"), till("till-2")]);
        assert!(presence.knows(&till("till-2")) && !presence.knows(&till("till-3")));
    }
}
