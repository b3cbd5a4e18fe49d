//! Records refusals by device, to show them to people: a refused event is not acked, so its till keeps it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tracing::warn;

use comptoir_core::event::DeviceId;

/// Most devices remembered. Beyond that, the one with the oldest refusal is dropped.
const MAX_DEVICES: usize = 256;
/// How long a refusal is shown after the last refused event, in seconds. A later one is logged again.
const SHOWN_FOR_S: i64 = 3_600;

/// Why the events of one device are refused while others are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There are already as many device names as the journal can manage.
    Devices,
    /// The device draws new epochs faster than a till ever does.
    Epochs,
    /// The device's events that are not in Kafka use up its share of the journal.
    PendingBytes,
    /// The device's dead letters use up their share of the journal.
    DeadLetters,
}

impl Refusal {
    pub const ALL: [Self; 4] = [Self::Devices, Self::Epochs, Self::PendingBytes, Self::DeadLetters];

    /// The name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Epochs => "epochs",
            Self::PendingBytes => "pending_bytes",
            Self::DeadLetters => "dead_letters",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Devices => {
                "too many device names: events of new devices are not accepted. Free unused names with `gateway forget`"
            }
            Self::Epochs => {
                "a device draws new epochs too fast: events of further ones are not accepted for now. Other devices are not \
                 affected; `gateway forget` frees what it left"
            }
            Self::PendingBytes => {
                "the events of a device that are not in Kafka fill half of the journal: its further events are not accepted \
                 until Kafka has taken some. Other devices are not affected"
            }
            Self::DeadLetters => {
                "the dead letters of a device that are not in Kafka take their share of the journal: of further ones only \
                 the beginning is kept, then only their number; numbered events that cannot be decoded are not accepted"
            }
        }
    }
}

/// A device whose events are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalReport {
    pub device: DeviceId,
    pub refusal: Refusal,
    /// Refused events since `since`.
    pub count: u64,
    pub since: Timestamp,
    pub last: Timestamp,
}

/// Shared by the writer, which adds, and the handles, which read.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals(Arc<Mutex<HashMap<DeviceId, RefusalReport>>>);

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, RefusalReport>> {
        // A panic elsewhere leaves the map consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refused event, and logs the first one.
    pub fn note(&self, device: &DeviceId, refusal: Refusal) {
        let now = Timestamp::now();
        let mut devices = self.lock();
        if let Some(report) = devices.get_mut(device)
            && report.refusal == refusal
            && is_current(report, now)
        {
            report.count += 1;
            report.last = now;
            return;
        }
        if devices.len() >= MAX_DEVICES
            && !devices.contains_key(device)
            && let Some(oldest) = devices.values().min_by_key(|report| report.last)
        {
            let oldest = oldest.device.clone();
            devices.remove(&oldest);
        }
        warn!(%device, reason = refusal.name(), "{}", refusal.sentence());
        let report = RefusalReport {
            device: device.clone(),
            refusal,
            count: 1,
            since: now,
            last: now,
        };
        devices.insert(device.clone(), report);
    }

    pub fn forget(&self, device: &DeviceId) {
        self.lock().remove(device);
    }

    /// The current refusals, latest first.
    pub fn current(&self) -> Vec<RefusalReport> {
        let now = Timestamp::now();
        let mut current: Vec<_> = self.lock().values().cloned().collect();
        current.retain(|report| is_current(report, now));
        current.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.device.cmp(&b.device)));
        current
    }
}

fn is_current(report: &RefusalReport, now: Timestamp) -> bool {
    now.as_second() - report.last.as_second() < SHOWN_FOR_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_device_and_the_oldest_gives_way() {
        let refusals = Refusals::default();
        let device = |number: usize| DeviceId::new("paris-1", &format!("till-{number}")).unwrap();
        for _ in 0..3 {
            refusals.note(&device(0), Refusal::Epochs);
        }
        let current = refusals.current();
        assert_eq!((current.len(), current[0].count), (1, 3));
        refusals.note(&device(0), Refusal::PendingBytes);
        assert_eq!(refusals.current()[0].refusal, Refusal::PendingBytes);
        for number in 1..=MAX_DEVICES {
            refusals.note(&device(number), Refusal::Devices);
        }
        assert_eq!(refusals.current().len(), MAX_DEVICES);
        refusals.forget(&device(MAX_DEVICES));
        assert_eq!(refusals.current().len(), MAX_DEVICES - 1);
    }
}
