//! Detects events that were acked but are missing from the journal's files: at start, with a log line and a record.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::sqlite::SqliteConnection;
use tracing::{error, warn};

use super::ack_snapshot::{AckSnapshot, AckedStream};
use super::group::Group;
use super::runs::Runs;
use super::stored_state::{StoredState, branch_off};
use super::stream::SeqRange;
use super::streams::{Device, StreamKey};
use super::transaction;
use super::{Encoding, Identity};
use comptoir_core::event::{DeviceId, GATEWAY_EPOCH};

/// Most streams named in one log line.
const MAX_NAMED: usize = 100;

type Ranges = Vec<SeqRange>;

/// Missing numbers by device and epoch.
#[derive(Debug, Default, PartialEq, Eq)]
struct MissingNumbers(BTreeMap<(DeviceId, u32), Ranges>);

impl MissingNumbers {
    /// The numbers that were acked according to `acks` but are not in the journal.
    fn find(acks: &AckSnapshot, stored: &StoredState, own_floor: u32) -> Self {
        let mut missing = Self::default();
        for acked in &acks.streams {
            let Ok(device) = DeviceId::parse_stored(&acked.device) else {
                continue;
            };
            let here = stored.streams.devices.get(&device).and_then(|device| {
                stored.streams.streams.get(&StreamKey {
                    device: device.row,
                    epoch: acked.epoch,
                })
            });
            let ranges = acked.missing(here, own_floor);
            if !ranges.is_empty() {
                missing.0.insert((device, acked.epoch), ranges);
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
            if index == MAX_NAMED {
                let _ = write!(text, "; and {} more", self.0.len() - index);
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

/// Compares the journal with the acks recorded before this start.
///
/// If events are missing, settles their numbers as lost and branches the journal off: the offsets and numbers of the
/// lost events will be assigned again, and a branch keeps the two apart. `is_copy` says that `gateway backup` made the
/// file, which is expected to lack the newest events.
pub(super) async fn detect(
    connection: &mut SqliteConnection,
    acks: &AckSnapshot,
    stored: &mut StoredState,
    identity: &mut Identity,
    is_copy: bool,
) -> Result<(), sqlx::Error> {
    if acks.journal != identity.uuid {
        // The ack file belongs to another journal, which was here before.
        return Ok(());
    }
    let missing = MissingNumbers::find(acks, stored, identity.own_floor);
    let last = stored.state.last;
    if is_copy {
        if !missing.0.is_empty() {
            warn!(
                events = missing.count(),
                missing = missing.text(),
                "this journal is a restored backup, without the events that were acked after it was made. Those that were sent \
                 to Kafka are there; tills send again what they still hold"
            );
        }
        return Ok(());
    }
    let has_run = acks.run.is_empty() || Runs::is_known(connection, &acks.run).await?;
    if acks.last <= last.0 && has_run && missing.0.is_empty() {
        return Ok(());
    }
    // If the last run is missing, its entries are too, and it is unknown at which offset they began.
    let shared = match has_run {
        true => last,
        false => last.min(stored.state.payments),
    };
    settle_as_lost(connection, acks, &missing, stored).await?;
    let own = acks.streams.iter().filter(|stream| stream.epoch == GATEWAY_EPOCH);
    let own = own.filter_map(|stream| stream.settled.last()).map(|(_, to)| *to);
    let own = own.chain([stored.streams.highest_own()]).max().unwrap_or(0);
    let parent = identity.uuid.clone();
    *identity = branch_off(connection, shared, own).await?;
    error!(
        events = missing.count().max(acks.last.saturating_sub(last.0)),
        missing = missing.text(),
        acked = acks.last,
        last = last.0,
        parent,
        uuid = identity.uuid,
        "events that were acked are missing from the journal: its files (-wal) were damaged or not copied completely. The \
         gateway continues without them, in a journal that branches off. Those that were sent to Kafka are there; tills send \
         again what they still hold"
    );
    Ok(())
}

/// Settles the missing numbers as lost.
async fn settle_as_lost(
    connection: &mut SqliteConnection,
    acks: &AckSnapshot,
    missing: &MissingNumbers,
    stored: &mut StoredState,
) -> Result<(), sqlx::Error> {
    let table = &mut stored.streams;
    let mut group = Group::default();
    for ((id, epoch), ranges) in &missing.0 {
        let is_of_stream = |stream: &&AckedStream| stream.device == id.as_str() && stream.epoch == *epoch;
        let encoding = acks
            .streams
            .iter()
            .find(is_of_stream)
            .map_or(Encoding::Json, |stream| Encoding::from_code(stream.encoding));
        let device = table.device(id, &group).unwrap_or(Device {
            row: table.next_row(&group),
            encoding,
        });
        group.devices.insert(id.clone(), device);
        let key = StreamKey {
            device: device.row,
            epoch: *epoch,
        };
        let mut stream = table.streams.get(&key).cloned().unwrap_or_default();
        for (from, to) in ranges {
            stream.lose(*from, *to);
        }
        group.streams.insert(key, stream);
    }
    transaction::write(connection, &group, None)
        .await
        .map_err(|failed| failed.error)?;
    table.adopt(&mut group);
    stored.state.lost = table.lost();
    Ok(())
}
