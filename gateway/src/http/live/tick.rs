//! A tick: the changes of one moment, rendered as the JSON that is sent.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::snapshot::MAX_ROW;
use super::view::{PerView, PersonalData};
use crate::http::AppState;
use crate::http::api::dto;
use crate::http::api::sales::item;
use crate::projection::{Change, Confirmation, Delta, NEWEST};
use comptoir_core::event::Kind;
use comptoir_journal::Offset;

/// Most bytes of the rows in a batch. Instead of a larger batch, clients get the state, which is also bounded.
const BATCH_BYTES: usize = 256 << 10;

/// JSON that is ready to be sent.
pub type Json = Box<RawValue>;

#[derive(Default)]
pub struct Tick {
    /// The version of its last delta.
    pub version: u64,
    /// The number of events.
    pub events: usize,
    /// Whether changes are missing, so that clients need the state again.
    pub has_gap: bool,
    /// In order, for clients that receive events one by one.
    pub packets: Vec<Packet>,
    /// For clients that receive batches.
    pub batch: PerView<Arc<Json>>,
    /// Whether the batch would be too large, so that clients with batches need the state again.
    pub is_batch_too_large: bool,
}

pub struct Packet {
    /// The delta's version; a state of at least this version contains the packet. `None` if no state does.
    pub version: Option<u64>,
    /// The journal offset of an event of this gateway.
    pub entry: Option<Offset>,
    pub event: &'static str,
    pub data: PerView<Arc<Json>>,
}

/// Renders only what the present audience needs.
pub fn render(
    app: &AppState,
    deltas: &[Arc<Delta>],
    stats: Option<dto::Stats>,
    gateway: Option<dto::GatewayStatus>,
) -> Tick {
    let single = app.audience.single_views();
    let batched = app.audience.batched_views();
    let wanted = [single[0] || batched[0], single[1] || batched[1]];
    let (has_single, has_batched) = (single.contains(&true), batched.contains(&true));
    let state = app.journal.state();
    let oldest = app
        .projection
        .recent(|recent| Kind::ALL.map(|kind| recent.oldest(kind)));
    let mut tick = Tick {
        version: deltas.last().map_or(0, |delta| delta.version),
        ..Tick::default()
    };
    // The last state of each row. A batch keeps the newest rows, not the latest changes: a change of an old row must
    // not displace a new row.
    let mut sales: [BTreeMap<u64, PerView<Arc<Json>>>; 3] = Default::default();
    let mut confirmations: Vec<&Confirmation> = Vec::new();
    for delta in deltas {
        match &delta.change {
            Change::Sales(changed) => {
                tick.events += changed.len();
                for (kind, row) in changed {
                    let position = row.row.unwrap_or(u64::MAX);
                    let is_in_batch =
                        has_batched && position >= oldest[*kind as usize] && row.payload().len() <= MAX_ROW;
                    if !has_single && !is_in_batch {
                        continue;
                    }
                    let Some(json) = item(row, state.in_kafka_upto(*kind)) else {
                        continue;
                    };
                    let views = PerView::of_item(*kind, json, wanted);
                    if has_single {
                        tick.push(delta.version, row.entry(), event(*kind), views.clone());
                    }
                    if is_in_batch {
                        sales[*kind as usize].insert(position, views);
                    }
                }
            }
            Change::Confirmed(confirmed) => {
                tick.events += confirmed.len();
                if has_single {
                    for one in confirmed {
                        let json = PerView::same(write(&confirmation(one)));
                        tick.push(delta.version, None, "event_confirmed", json);
                    }
                }
                if has_batched {
                    confirmations.extend(confirmed);
                }
            }
            Change::Lost => tick.has_gap = true,
        }
    }
    if has_batched {
        let rows = sales.iter().flat_map(BTreeMap::values);
        tick.is_batch_too_large = rows.map(PerView::weight).sum::<usize>() > BATCH_BYTES;
        if !tick.is_batch_too_large {
            let confirmed = of_newest_rows(app, confirmations);
            for view in PersonalData::ALL
                .into_iter()
                .filter(|view| batched[*view as usize])
            {
                let [orders, payments, deliveries] = sales.each_ref().map(|rows| {
                    let rows = rows.values().filter_map(|row| row.get(view));
                    rows.map(|json| &***json).collect::<Vec<&RawValue>>()
                });
                let batch = write(&dto::Batch {
                    orders,
                    payments,
                    deliveries,
                    confirmed: confirmed.iter().copied().map(confirmation).collect(),
                    stats: stats.clone(),
                    gateway: gateway.clone(),
                });
                tick.batch.set(view, Arc::new(batch));
            }
        }
    }
    if has_single {
        tick.packets
            .extend(stats.map(|stats| unversioned("stats_update", &stats)));
        tick.packets
            .extend(gateway.map(|status| unversioned("gateway_status", &status)));
    }
    tick
}

impl Tick {
    /// The approximate size in bytes.
    pub fn weight(&self) -> usize {
        let packets = self.packets.iter();
        let packets = packets.map(|packet| size_of::<Packet>() + packet.data.weight());
        packets.sum::<usize>() + self.batch.values().map(|batch| batch.get().len()).sum::<usize>()
    }

    fn push(&mut self, version: u64, entry: Option<Offset>, event: &'static str, data: PerView<Arc<Json>>) {
        self.packets.push(Packet {
            version: Some(version),
            entry,
            event,
            data,
        });
    }
}

fn unversioned(event: &'static str, data: &impl Serialize) -> Packet {
    Packet {
        version: None,
        entry: None,
        event,
        data: PerView::same(write(data)),
    }
}

/// The confirmations of the newest rows only. A drained backlog confirms many events that no page shows any more.
fn of_newest_rows<'a>(app: &AppState, confirmations: Vec<&'a Confirmation>) -> Vec<&'a Confirmation> {
    if confirmations.len() <= NEWEST {
        return confirmations;
    }
    let names: HashSet<String> = app.projection.recent(|recent| {
        let kinds = Kind::ALL.into_iter();
        kinds
            .flat_map(|kind| recent.newest(kind).map(|(_, row)| row.name()))
            .collect()
    });
    confirmations
        .into_iter()
        .filter(|one| names.contains(&*one.name))
        .collect()
}

/// The name of the Socket.IO event.
pub fn event(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "new_order",
        Kind::Payment => "new_payment",
        Kind::Delivery => "new_delivery",
    }
}

pub fn confirmation(confirmed: &Confirmation) -> dto::Confirmation {
    dto::Confirmation {
        kind: confirmed.kind,
        ce_id: confirmed.name.to_string(),
        order_id: confirmed.order_id.to_string(),
        partition: confirmed.place.partition,
        offset: confirmed.place.offset,
    }
}

pub fn write(value: &impl Serialize) -> Json {
    // Cannot fail: serde_json always serialises maps with string keys, numbers and raw JSON.
    to_raw_value(value).unwrap_or_else(|error| unreachable!("a tick is always JSON: {error}"))
}
