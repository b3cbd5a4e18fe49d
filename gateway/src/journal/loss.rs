//! What the journal's files lack of what was acked: found at the start, said, and lived with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::sqlite::SqliteConnection;
use tracing::{error, warn};

use super::acked::{Acked, AckedStream};
use super::group::{Device, Group};
use super::runs::Runs;
use super::stored::{Loaded, branch_off};
use super::transaction;
use super::{Encoding, Identity};
use crate::event::{DeviceId, GATEWAY_EPOCH};

/// Devices that one log line names.
const MOST_NAMED: usize = 100;

type Ranges = Vec<(u32, u32)>;

/// Numbers by device and epoch.
#[derive(Debug, Default, PartialEq, Eq)]
struct Missing(BTreeMap<(DeviceId, u32), Ranges>);

impl Missing {
    /// What was acked by `acked` and is not among what was `loaded`.
    fn between(acked: &Acked, loaded: &Loaded, own_floor: u32) -> Self {
        let mut missing = Self::default();
        for said in &acked.streams {
            let Ok(device) = said.device.parse::<DeviceId>() else {
                continue;
            };
            let row = loaded.known.devices.get(&device);
            let here = row.and_then(|device| loaded.known.streams.get(&(device.row, said.epoch)));
            let ranges = said.missing(here, own_floor);
            if !ranges.is_empty() {
                missing.0.insert((device, said.epoch), ranges);
            }
        }
        missing
    }

    fn count(&self) -> u64 {
        let ranges = self.0.values().flatten();
        ranges.map(|(from, to)| u64::from(to - from) + 1).sum()
    }

    /// `paris-1/till-1 epoch 4: 14-30, 33; …`
    fn text(&self) -> String {
        let mut text = String::new();
        for (index, ((device, epoch), ranges)) in self.0.iter().enumerate() {
            if index == MOST_NAMED {
                let _ = write!(text, "; and of {} more", self.0.len() - index);
                break;
            }
            let separator = if index == 0 { "" } else { "; " };
            let _ = write!(text, "{separator}{device} epoch {epoch}:");
            for (index, (from, to)) in ranges.iter().enumerate() {
                let separator = if index == 0 { " " } else { ", " };
                let _ = match from == to {
                    true => write!(text, "{separator}{from}"),
                    false => write!(text, "{separator}{from}-{to}"),
                };
            }
        }
        text
    }
}

/// Compares the journal with what was acked before this start. Where it lacks something, its streams settle the lost
/// numbers, and it becomes a journal of its own, so that offsets and numbers that are given out again are not taken for
/// those of the lost events. `is_copy`: it was made by `gateway backup`, and is expected to lack the newest.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    acked: &Acked,
    loaded: &mut Loaded,
    identity: &mut Identity,
    is_copy: bool,
) -> Result<(), sqlx::Error> {
    if acked.journal != identity.uuid {
        // Of the journal that was here before: nothing is known about this one.
        return Ok(());
    }
    let missing = Missing::between(acked, loaded, identity.own_floor);
    let last = loaded.state.last;
    if is_copy {
        if !missing.0.is_empty() {
            warn!(
                events = missing.count(),
                missing = missing.text(),
                "this journal is a restored backup: it does not have what was acked after it was made. What was sent to Kafka \
                 is there; tills send again what they still hold"
            );
        }
        return Ok(());
    }
    let knows_run = acked.run.is_empty() || Runs::is_known(connection, &acked.run).await?;
    if acked.last <= last.0 && knows_run && missing.0.is_empty() {
        return Ok(());
    }
    // A run that is not here took in entries that are not here, and nobody knows from which offset on.
    let shared = match knows_run {
        true => last,
        false => last.min(loaded.state.watermark),
    };
    mark_lost(connection, acked, &missing, loaded).await?;
    let own = acked
        .streams
        .iter()
        .filter(|stream| stream.epoch == GATEWAY_EPOCH);
    let own = own.filter_map(|stream| stream.settled.last()).map(|(_, to)| *to);
    let own = own.chain([loaded.known.highest_own()]).max().unwrap_or(0);
    let parent = identity.uuid.clone();
    *identity = branch_off(connection, shared, own).await?;
    error!(
        events = missing.count().max(acked.last.saturating_sub(last.0)),
        missing = missing.text(),
        acked = acked.last,
        last = last.0,
        parent,
        uuid = identity.uuid,
        "events that were acked are missing from the journal: its files (-wal) were damaged, or not copied whole. It goes on \
         without them, as a journal of its own. What was sent to Kafka before is there; tills send again what they still hold"
    );
    Ok(())
}

/// Settles the missing numbers as lost.
async fn mark_lost(
    connection: &mut SqliteConnection,
    acked: &Acked,
    missing: &Missing,
    loaded: &mut Loaded,
) -> Result<(), sqlx::Error> {
    let known = &mut loaded.known;
    let mut group = Group::default();
    for ((id, epoch), ranges) in &missing.0 {
        let said = |stream: &&AckedStream| stream.device == id.as_str() && stream.epoch == *epoch;
        let encoding = acked
            .streams
            .iter()
            .find(said)
            .map_or(1, |stream| stream.encoding);
        let next = known.devices.len()
            + group
                .devices
                .keys()
                .filter(|id| !known.devices.contains_key(*id))
                .count();
        let device = match known.devices.get(id).or_else(|| group.devices.get(id)) {
            Some(device) => *device,
            None => Device {
                row: next as i64 + 1,
                encoding: Encoding::from_code(encoding),
            },
        };
        group.devices.insert(id.clone(), device);
        let key = (device.row, *epoch);
        let mut stream = known.streams.get(&key).cloned().unwrap_or_default();
        for (from, to) in ranges {
            stream.lose(*from, *to);
        }
        group.streams.insert(key, stream);
    }
    transaction::write(connection, &group, None)
        .await
        .map_err(|failed| failed.error)?;
    known.adopt(&mut group);
    loaded.state.lost = known.lost();
    Ok(())
}
