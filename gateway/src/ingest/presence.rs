//! Which terminals say that they are online: from their retained `status` and last wills.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use comptoir_wire::topic::{Leaf, Topic};

use crate::event::DeviceId;

/// More terminals than any gateway serves; beyond it new ones are not listed as online.
const MAX_DEVICES: usize = 65_536;

/// Empty while the MQTT broker is not reached: nobody knows then.
#[derive(Default)]
pub struct Presence(Mutex<HashMap<DeviceId, bool>>);

impl Presence {
    /// Takes note if the publish is a `status`; false if it is something else.
    pub fn note(&self, topic: &[u8], payload: &[u8]) -> bool {
        if !topic.ends_with(b"/status") {
            return false;
        }
        let device = std::str::from_utf8(topic)
            .ok()
            .and_then(|topic| Topic::parse(topic).ok())
            .filter(|topic| topic.leaf == Leaf::Status)
            .and_then(|topic| DeviceId::new(topic.store.as_str(), topic.device.as_str()).ok());
        if let Some(device) = device {
            let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if devices.len() < MAX_DEVICES || devices.contains_key(&device) {
                devices.insert(device, payload == b"online");
            }
        }
        true
    }

    pub fn disconnected(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// `None`: it never said, or the MQTT broker is not reached.
    pub fn is_online(&self, device: &DeviceId) -> Option<bool> {
        let devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        devices.get(device).copied()
    }
}
