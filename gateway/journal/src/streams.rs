//! The devices and streams in the journal's memory.
//!
//! Both are bounded, and no sender can use up the room of another. A device has a window of live epochs: the least
//! recently used one becomes _dormant_, which means that it is only in the file ([`super::dormant`]). New epochs are
//! rationed. The epoch of the gateway's own numbers, and the devices that the gateway itself uses, always have room.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::group::Group;
use super::pending::Pending;
use super::refusals::{Refusal, Refusals};
use super::reorder::ReorderBuffer;
use super::stream::Stream;
use super::{Encoding, Numbering, RelayReport, Submission};
use comptoir_core::event::{COUNTER, DeviceId, GATEWAY_EPOCH, UNKNOWN_DEVICE};

/// Most device names of the gateway's own store: far more than a shop has tills.
const MAX_HOME_DEVICES: usize = 4_096;
/// Most device names of all other stores. A client that may publish for any store cannot use up the own store's names.
const MAX_OTHER_DEVICES: usize = 4_096;
/// Epochs of a device kept in memory. A till has one; a device that draws one at each start uses only the latest.
const LIVE_EPOCHS: usize = 64;
/// The limit while no epoch can become dormant, because some of its events are not in Kafka.
const MAX_LIVE_EPOCHS: usize = 1_024;
/// How many epochs a device may draw at once, and how long until it may draw another. So a device that draws one at
/// each power-on is never refused, and a flood leaves fewer than a thousand rows a month.
const EPOCH_BURST: u32 = 64;
const EPOCH_INTERVAL: Duration = Duration::from_secs(3_600);

/// Identifies a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamKey {
    /// The id of the device's row in the file.
    pub device: i64,
    pub epoch: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    /// The id of the device's row in the file.
    pub row: i64,
    pub encoding: Encoding,
}

/// The limit that applies to a device name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Home,
    Other,
    /// The devices that the gateway itself uses.
    Unlimited,
}

/// How many new epochs a device may still draw.
#[derive(Debug, Clone, Copy)]
struct EpochRation {
    left: u32,
    refilled: Instant,
}

impl EpochRation {
    fn full(now: Instant) -> Self {
        Self {
            left: EPOCH_BURST,
            refilled: now,
        }
    }

    /// Takes one epoch. False if none is left.
    fn take(&mut self, now: Instant) -> bool {
        let intervals = now.saturating_duration_since(self.refilled).as_secs() / EPOCH_INTERVAL.as_secs();
        let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
        if self.left.saturating_add(intervals) >= EPOCH_BURST {
            *self = Self::full(now);
        } else {
            self.left += intervals;
            self.refilled += EPOCH_INTERVAL * intervals;
        }
        let has_one = self.left > 0;
        self.left -= u32::from(has_one);
        has_one
    }
}

/// The committed state for admission, and the events that are ahead of a gap. A [`Group`] copies the streams that it
/// changes; [`StreamTable::adopt`] writes them back once the group is committed.
#[derive(Default)]
pub(super) struct StreamTable {
    pub devices: HashMap<DeviceId, Device>,
    pub streams: HashMap<StreamKey, Stream>,
    pub reorder: ReorderBuffer,
    pub refusals: Refusals,
    /// The gateway's store.
    home: String,
    home_devices: usize,
    other_devices: usize,
    /// The highest row of a device, live or forgotten.
    pub(super) highest_row: i64,
    /// The live epochs of each device, without the gateway's own epoch.
    epochs: HashMap<i64, HashSet<u32>>,
    rations: HashMap<i64, EpochRation>,
    /// By device.
    pending: HashMap<i64, Pending>,
    pending_of_all: Pending,
    /// Commits so far, for [`Stream::touched`].
    commits: u64,
    /// Devices with dormant streams.
    pub(super) with_dormant: HashSet<i64>,
    /// Number of forgotten devices in the file.
    pub(super) forgotten_devices: usize,
    /// The forgotten devices among the senders of the next group.
    pub(super) returning: HashMap<DeviceId, Device>,
    /// The highest of the gateway's own numbers in dormant streams.
    pub(super) dormant_own: u32,
}

impl StreamTable {
    /// Sets the gateway's own store, whose devices have their own limit.
    pub fn set_home(&mut self, store: &str) {
        store.clone_into(&mut self.home);
        let names = |names| {
            self.devices
                .keys()
                .filter(|id| self.names_of(id) == names)
                .count()
        };
        let (home, other) = (names(Names::Home), names(Names::Other));
        (self.home_devices, self.other_devices) = (home, other);
    }

    /// Which limit applies to the device's name.
    fn names_of(&self, id: &DeviceId) -> Names {
        if id.is_gateway() {
            return Names::Unlimited;
        }
        match (id.store() == self.home, id.device()) {
            (true, COUNTER | UNKNOWN_DEVICE) => Names::Unlimited,
            (true, _) => Names::Home,
            (false, _) => Names::Other,
        }
    }

    fn count_name(&mut self, id: &DeviceId) -> Option<&mut usize> {
        match self.names_of(id) {
            Names::Home => Some(&mut self.home_devices),
            Names::Other => Some(&mut self.other_devices),
            Names::Unlimited => None,
        }
    }

    /// Carries over state that is not in the file, from the table before a disk error.
    pub fn continue_from(&mut self, before: StreamTable) {
        self.set_home(&before.home);
        self.refusals = before.refusals;
        self.rations = before.rations;
    }

    pub fn insert_device(&mut self, id: DeviceId, device: Device) {
        self.highest_row = self.highest_row.max(device.row);
        if !self.devices.contains_key(&id)
            && let Some(count) = self.count_name(&id)
        {
            *count += 1;
        }
        self.devices.insert(id, device);
    }

    pub fn insert_stream(&mut self, key: StreamKey, stream: Stream) {
        let before = self
            .streams
            .get(&key)
            .map_or(Pending::default(), |stream| stream.pending);
        let of_device = self.pending.entry(key.device).or_default();
        for sum in [of_device, &mut self.pending_of_all] {
            *sum += stream.pending;
            *sum -= before;
        }
        if key.epoch != GATEWAY_EPOCH {
            self.epochs.entry(key.device).or_default().insert(key.epoch);
        }
        self.streams.insert(key, stream);
    }

    /// Removes a stream from memory.
    fn remove_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.remove(&key) else {
            return;
        };
        self.pending_of_all -= stream.pending;
        if let Some(pending) = self.pending.get_mut(&key.device) {
            *pending -= stream.pending;
        }
        if let Some(epochs) = self.epochs.get_mut(&key.device) {
            epochs.remove(&key.epoch);
        }
    }

    /// Removes a stream that has become dormant.
    pub fn set_dormant(&mut self, key: StreamKey) {
        if key.epoch == GATEWAY_EPOCH
            && let Some(stream) = self.streams.get(&key)
        {
            self.dormant_own = self.dormant_own.max(stream.highest());
        }
        self.with_dormant.insert(key.device);
        self.remove_stream(key);
    }

    /// Removes a stream that has stored nothing.
    pub fn discard(&mut self, key: StreamKey) {
        self.remove_stream(key);
    }

    /// Removes a device without live streams.
    pub fn set_forgotten(&mut self, id: &DeviceId) {
        if let Some(device) = self.devices.remove(id) {
            if let Some(count) = self.count_name(id) {
                *count -= 1;
            }
            self.forgotten_devices += 1;
            self.epochs.remove(&device.row);
            self.pending.remove(&device.row);
        }
    }

    /// Refills a device's ration of new epochs.
    pub fn reset_ration(&mut self, device: i64) {
        self.rations.remove(&device);
    }

    /// The live streams of a device.
    pub fn streams_of(&self, device: i64) -> Vec<StreamKey> {
        let epochs = self.epochs.get(&device).into_iter().flatten().copied();
        let keys = epochs
            .chain([GATEWAY_EPOCH])
            .map(|epoch| StreamKey { device, epoch });
        keys.filter(|key| self.streams.contains_key(key)).collect()
    }

    /// The highest number that the gateway itself has assigned.
    pub fn highest_own(&self) -> u32 {
        let own = self.streams.iter().filter(|(key, _)| key.epoch == GATEWAY_EPOCH);
        own.map(|(_, stream)| stream.highest())
            .max()
            .unwrap_or(0)
            .max(self.dormant_own)
    }

    /// Number of events that were acked and then lost.
    pub fn lost(&self) -> u64 {
        let ranges = self.streams.values().flat_map(Stream::lost);
        ranges.map(|(from, to)| u64::from(to - from) + 1).sum()
    }

    /// The pending room of a device, including the group's events.
    pub fn pending_of(&self, device: i64, group: &Group) -> Pending {
        let mut pending = self.pending.get(&device).copied().unwrap_or_default();
        pending += group.pending.get(&device).copied().unwrap_or_default();
        pending
    }

    /// The pending room of all devices, including the group's events.
    pub fn pending_of_all(&self, group: &Group) -> Pending {
        let mut pending = self.pending_of_all;
        for of_device in group.pending.values() {
            pending += *of_device;
        }
        pending
    }

    /// Whether events of new devices of the gateway's own store are refused.
    pub fn are_names_used_up(&self) -> bool {
        self.home_devices >= MAX_HOME_DEVICES
    }

    /// Adds the events that the bridge has sent to Kafka to their streams' counts.
    pub fn count_relayed(&self, report: &RelayReport, group: &mut Group) {
        for ((device, epoch), relayed) in &report.counts {
            let Some(device) = self.devices.get(device) else {
                continue;
            };
            let key = StreamKey {
                device: device.row,
                epoch: *epoch,
            };
            if let Some(stream) = self.streams.get(&key) {
                let stream = group.streams.entry(key).or_insert_with(|| stream.clone());
                stream.in_kafka += relayed.events;
                stream.pending -= relayed.pending;
            }
        }
    }

    /// Takes over the devices and streams of a committed group.
    pub fn adopt(&mut self, group: &mut Group) {
        self.commits += 1;
        for (id, device) in group.devices.drain() {
            if self.returning.contains_key(&id) {
                self.forgotten_devices = self.forgotten_devices.saturating_sub(1);
            }
            self.insert_device(id, device);
        }
        self.returning.clear();
        for (key, mut stream) in group.streams.drain() {
            stream.touched = self.commits;
            self.insert_stream(key, stream);
        }
        for key in group.demoted.drain(..) {
            self.set_dormant(key);
        }
        group.pending.clear();
        group.new_epochs.clear();
    }

    /// Copies the submission's stream into the group.
    ///
    /// # Errors
    ///
    /// The device or the epoch is new, and there is no room for another one.
    pub fn stream_of(&mut self, submission: &Submission, group: &mut Group) -> Result<StreamKey, Refusal> {
        let key = StreamKey {
            device: self.row_of(submission, group)?,
            epoch: match submission.numbering {
                Numbering::Till { epoch, .. } => epoch,
                Numbering::Gateway { .. } => GATEWAY_EPOCH,
            },
        };
        let is_new = !group.streams.contains_key(&key) && !self.streams.contains_key(&key);
        if is_new && key.epoch != GATEWAY_EPOCH {
            self.make_room(key, group)?;
        }
        self.copy_into(key, group);
        Ok(key)
    }

    /// Copies a stream into the group, unless it is already there.
    pub fn copy_into(&self, key: StreamKey, group: &mut Group) {
        if let Slot::Vacant(slot) = group.streams.entry(key) {
            slot.insert(self.streams.get(&key).cloned().unwrap_or_default());
        }
    }

    /// Makes room for a new epoch of a device.
    fn make_room(&mut self, key: StreamKey, group: &mut Group) -> Result<(), Refusal> {
        let now = Instant::now();
        let epochs = self.epochs.get(&key.device);
        let new = group.new_epochs.entry(key.device).or_default();
        let live = epochs.map_or(0, HashSet::len) + *new;
        if live >= MAX_LIVE_EPOCHS {
            return Err(Refusal::Epochs);
        }
        let ration = self.rations.entry(key.device);
        if !ration.or_insert_with(|| EpochRation::full(now)).take(now) {
            return Err(Refusal::Epochs);
        }
        *new += 1;
        let demoted: HashSet<u32> = group
            .demoted
            .iter()
            .filter(|other| other.device == key.device)
            .map(|other| other.epoch)
            .collect();
        if live - demoted.len().min(live) < LIVE_EPOCHS {
            return Ok(());
        }
        let of_device = epochs
            .into_iter()
            .flatten()
            .map(|&epoch| StreamKey { epoch, ..key });
        let idle = of_device.filter(|key| {
            let is_idle = |stream: &Stream| stream.pending.bytes == 0;
            !demoted.contains(&key.epoch)
                && !group.streams.contains_key(key)
                && self.streams.get(key).is_some_and(is_idle)
        });
        let oldest = idle.min_by_key(|key| self.streams.get(key).map(|stream| stream.touched));
        group.demoted.extend(oldest);
        Ok(())
    }

    fn row_of(&self, submission: &Submission, group: &mut Group) -> Result<i64, Refusal> {
        let id = &submission.device;
        let known = self.device(id, group);
        let device = match (known, submission.encoding) {
            (Some(device), None) => return Ok(device.row),
            (Some(device), Some(encoding)) if device.encoding == encoding => return Ok(device.row),
            (Some(device), Some(encoding)) => Device { encoding, ..device },
            (None, encoding) => {
                self.check_name(id, group)?;
                let returning = self.returning.get(id);
                let encoding = encoding.or(returning.map(|device| device.encoding));
                Device {
                    row: returning.map_or_else(|| self.next_row(group), |device| device.row),
                    encoding: encoding.unwrap_or(Encoding::Json),
                }
            }
        };
        group.devices.insert(id.clone(), device);
        Ok(device.row)
    }

    /// Checks that there is room for the name of a new device.
    fn check_name(&self, id: &DeviceId, group: &Group) -> Result<(), Refusal> {
        let names = self.names_of(id);
        let (known, max) = match names {
            Names::Home => (self.home_devices, MAX_HOME_DEVICES),
            Names::Other => (self.other_devices, MAX_OTHER_DEVICES),
            Names::Unlimited => return Ok(()),
        };
        let new = group
            .devices
            .keys()
            .filter(|new| !self.devices.contains_key(*new) && self.names_of(new) == names);
        match known + new.count() < max {
            true => Ok(()),
            false => Err(Refusal::Devices),
        }
    }

    /// The device, in the group's version if the group has changed it.
    pub fn device(&self, id: &DeviceId, group: &Group) -> Option<Device> {
        group.devices.get(id).or_else(|| self.devices.get(id)).copied()
    }

    /// The row id of the next new device. Row ids count 1, 2, 3 … and are never reused.
    pub fn next_row(&self, group: &Group) -> i64 {
        let of_group = group.devices.values().map(|device| device.row);
        of_group.max().unwrap_or(0).max(self.highest_row) + 1
    }
}

#[cfg(test)]
mod tests;
