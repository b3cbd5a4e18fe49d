//! A tick: what came together, as the JSON that goes out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::dashboard::sales::item;
use crate::dashboard::{Shop, dto};
use crate::event::Kind;
use crate::journal::Offset;
use crate::projection::{Change, Confirmed, Delta, NEWEST};

/// JSON that is ready to be sent.
pub type Json = Box<RawValue>;

#[derive(Default)]
pub struct Tick {
    /// Of the last delta that is in it.
    pub version: u64,
    /// How many events are in it.
    pub events: usize,
    /// Something is missing: the state is to be sent anew.
    pub again: bool,
    /// For clients that take every event by itself, in order.
    pub singles: Vec<Single>,
    /// For the others.
    pub batch: Option<Json>,
}

pub struct Single {
    /// Of its delta: a state of at least this version has it. `None`: always news.
    pub version: Option<u64>,
    /// Of an event of this gateway: its place in the journal.
    pub entry: Option<Offset>,
    pub event: &'static str,
    pub data: Json,
}

pub fn render(
    shop: &Shop,
    deltas: &[Arc<Delta>],
    stats: Option<dto::Stats>,
    gateway: Option<dto::GatewayStatus>,
) -> Tick {
    let each = shop.audience.each.load(Ordering::SeqCst) > 0;
    let batched = shop.audience.batched.load(Ordering::SeqCst) > 0;
    let watermark = shop.journal.state().watermark;
    let oldest = shop
        .projection
        .recent(|recent| Kind::ALL.map(|kind| recent.oldest(kind)));
    let mut tick = Tick {
        version: deltas.last().map_or(0, |delta| delta.version),
        ..Tick::default()
    };
    // By row: of several states the last. A change of an old row must not push out a new one, so it is not the last
    // changes that count but the newest rows.
    let mut sales: [BTreeMap<u64, Json>; 3] = Default::default();
    let mut confirmed: Vec<&Confirmed> = Vec::new();
    for delta in deltas {
        match &delta.change {
            Change::Sales(changed) => {
                tick.events += changed.len();
                for (kind, row) in changed {
                    let place = row.row.unwrap_or(u64::MAX);
                    let shown = batched && place >= oldest[*kind as usize];
                    if !each && !shown {
                        continue;
                    }
                    let Some(json) = item(row, watermark) else {
                        continue;
                    };
                    if each {
                        tick.push(delta.version, row.entry(), event(*kind), json.clone());
                    }
                    if shown {
                        sales[*kind as usize].insert(place, json);
                    }
                }
            }
            Change::Confirmed(seen) => {
                tick.events += seen.len();
                if each {
                    for one in seen {
                        tick.push(delta.version, None, "event_confirmed", write(&dto_of(one)));
                    }
                }
                if batched {
                    confirmed.extend(seen);
                }
            }
            Change::Lost => tick.again = true,
        }
    }
    if batched {
        let [orders, payments, deliveries] = sales.map(|rows| rows.into_values().collect::<Vec<_>>());
        tick.batch = Some(write(&dto::Batch {
            orders,
            payments,
            deliveries,
            confirmed: shown(shop, confirmed).into_iter().map(dto_of).collect(),
            stats: stats.clone(),
            gateway: gateway.clone(),
        }));
    }
    if each {
        tick.singles
            .extend(stats.map(|stats| news("stats_update", &stats)));
        tick.singles
            .extend(gateway.map(|status| news("gateway_status", &status)));
    }
    tick
}

impl Tick {
    /// Bytes that it keeps, about.
    pub fn weight(&self) -> usize {
        let singles = self.singles.iter();
        let singles = singles.map(|single| size_of::<Single>() + single.data.get().len());
        singles.sum::<usize>() + self.batch.as_ref().map_or(0, |batch| batch.get().len())
    }

    fn push(&mut self, version: u64, entry: Option<Offset>, event: &'static str, data: Json) {
        self.singles.push(Single {
            version: Some(version),
            entry,
            event,
            data,
        });
    }
}

fn news(event: &'static str, data: &impl Serialize) -> Single {
    Single {
        version: None,
        entry: None,
        event,
        data: write(data),
    }
}

/// Those that a page with the newest rows can mark: a drained backlog confirms many that nobody sees.
fn shown<'a>(shop: &Shop, confirmed: Vec<&'a Confirmed>) -> Vec<&'a Confirmed> {
    if confirmed.len() <= NEWEST {
        return confirmed;
    }
    let names: HashSet<String> = shop.projection.recent(|recent| {
        let kinds = Kind::ALL.into_iter();
        kinds
            .flat_map(|kind| recent.newest(kind).map(|(_, row)| row.name()))
            .collect()
    });
    confirmed
        .into_iter()
        .filter(|one| names.contains(&*one.name))
        .collect()
}

pub fn event(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "new_order",
        Kind::Payment => "new_payment",
        Kind::Delivery => "new_delivery",
    }
}

pub fn dto_of(seen: &Confirmed) -> dto::Confirmed {
    dto::Confirmed {
        kind: seen.kind,
        ce_id: seen.name.to_string(),
        order_id: seen.order_id.to_string(),
        partition: seen.partition,
        offset: seen.offset,
    }
}

pub fn write(value: &impl Serialize) -> Json {
    // Maps with text keys, numbers and ready JSON: serde_json has no way to fail here.
    to_raw_value(value).unwrap_or_else(|error| unreachable!("a tick is always JSON: {error}"))
}
