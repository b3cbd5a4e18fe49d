//! `GET /api/stats` and `GET /api/gateway`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;

use super::{Problem, Shop};
use crate::journal::DeviceReport;
use crate::link::{Link, LinkState};
use crate::sale::Money;

#[derive(Serialize)]
pub struct Stats {
    total_orders: u64,
    total_payments: u64,
    success_payments: u64,
    failed_payments: u64,
    total_deliveries: u64,
    /// Of successful payments in the shop's currency.
    total_revenue: Money,
    currency: &'static str,
    /// Per cent, 0 to 100.
    payment_success_rate: f64,
    /// By the hour in which they were placed, oldest first, the last three days; hours without are left out.
    orders_per_hour: Vec<Hour>,
}

#[derive(Serialize)]
struct Hour {
    /// Its beginning.
    hour: Timestamp,
    orders: u64,
}

pub async fn stats(State(shop): State<Arc<Shop>>) -> Json<Stats> {
    let totals = shop.projection.view().totals;
    let currency = shop.currency;
    let revenue = totals.revenue.get(currency.code()).copied().unwrap_or(0);
    // A sum may pass what one amount may be: it is shown as it is.
    let total_revenue = Money::sum(revenue, currency);
    Json(Stats {
        total_orders: totals.orders,
        total_payments: totals.payments,
        success_payments: totals.success_payments,
        failed_payments: totals.failed_payments,
        total_deliveries: totals.deliveries,
        total_revenue,
        currency: currency.code(),
        payment_success_rate: totals.success_rate(),
        orders_per_hour: totals
            .hours
            .iter()
            .filter_map(|(&hour, &orders)| {
                let hour = Timestamp::from_second(hour * 3_600).ok()?;
                Some(Hour { hour, orders })
            })
            .collect(),
    })
}

#[derive(Serialize)]
pub struct Gateway {
    store: String,
    version: &'static str,
    mqtt: LinkBody,
    kafka: LinkBody,
    /// The transactional producer, journal → Kafka.
    bridge: LinkBody,
    journal: JournalBody,
    partitions: Vec<PartitionBody>,
    devices: Vec<DeviceBody>,
    dead_letters: u64,
}

#[derive(Serialize)]
struct LinkBody {
    /// `up`, `down`, or `off`: not configured.
    state: &'static str,
    since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct JournalBody {
    /// Kept here, in Kafka or not.
    events: u64,
    /// Not yet in Kafka.
    pending: u64,
    oldest_pending: Option<Timestamp>,
    bytes: u64,
    max_bytes: u64,
    /// True while nothing is accepted: full, or the disk does not work.
    refusing: bool,
    first_offset: u64,
    last_offset: u64,
    /// Everything at or below it is in Kafka.
    watermark: u64,
    duplicates: u64,
}

#[derive(Serialize)]
struct PartitionBody {
    topic: String,
    partition: i32,
    /// The next offset to be read back.
    position: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<i64>,
}

#[derive(Serialize)]
struct DeviceBody {
    store: String,
    device: String,
    /// What its status topic says; null if it never said.
    online: Option<bool>,
    epochs: Vec<EpochBody>,
    received: u64,
    stored: u64,
    in_kafka: u64,
    /// Inclusive ranges of numbers that never came, of the latest epochs.
    missing: Vec<[u32; 2]>,
}

#[derive(Serialize)]
struct EpochBody {
    epoch: u32,
    /// The highest number that came.
    received: u32,
    stored: u64,
    in_kafka: u64,
    /// Numbers that another gateway has acked, as the terminal says.
    elsewhere: u64,
    missing: Vec<[u32; 2]>,
}

/// More devices than a page can show; the metrics count them all.
const MAX_DEVICES: u32 = 1_000;
const MAX_RANGES: usize = 100;

pub async fn gateway(State(shop): State<Arc<Shop>>) -> Result<Json<Gateway>, Problem> {
    let state = shop.journal.state();
    let oldest = shop.journal.oldest_pending().await?;
    let devices = shop.journal.devices(MAX_DEVICES).await?;
    Ok(Json(Gateway {
        store: shop.store.clone(),
        version: env!("CARGO_PKG_VERSION"),
        mqtt: link(&shop.mqtt),
        kafka: link(&shop.kafka),
        bridge: link(&shop.bridge),
        journal: JournalBody {
            events: state.events(),
            pending: state.pending(),
            oldest_pending: oldest.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            bytes: state.bytes,
            max_bytes: state.max_bytes,
            refusing: state.refusing,
            first_offset: state.first.0,
            last_offset: state.last.0,
            watermark: state.watermark.0,
            duplicates: state.duplicates,
        },
        partitions: shop
            .positions
            .partitions()
            .into_iter()
            .map(|partition| PartitionBody {
                lag: partition.end.map(|end| (end - partition.position).max(0)),
                topic: partition.topic,
                partition: partition.partition,
                position: partition.position,
                end: partition.end,
            })
            .collect(),
        devices: devices.into_iter().map(|report| device(report, &shop)).collect(),
        dead_letters: state.dead_letters,
    }))
}

fn link(link: &Link) -> LinkBody {
    let status = link.status();
    LinkBody {
        state: match status.state {
            LinkState::Off => "off",
            LinkState::Down => "down",
            LinkState::Up => "up",
        },
        since: status.since,
        problem: status.problem,
    }
}

fn device(report: DeviceReport, shop: &Shop) -> DeviceBody {
    let epochs: Vec<EpochBody> = report
        .streams
        .into_iter()
        .map(|stream| EpochBody {
            epoch: stream.epoch,
            received: stream.received,
            stored: stream.stored,
            in_kafka: stream.in_kafka,
            elsewhere: stream.elsewhere,
            missing: stream
                .missing
                .into_iter()
                .take(MAX_RANGES)
                .map(|(from, to)| [from, to])
                .collect(),
        })
        .collect();
    DeviceBody {
        online: shop.presence.is_online(&report.device),
        store: report.device.store().to_owned(),
        device: report.device.device().to_owned(),
        received: epochs.iter().map(|epoch| u64::from(epoch.received)).sum(),
        stored: epochs.iter().map(|epoch| epoch.stored).sum(),
        in_kafka: epochs.iter().map(|epoch| epoch.in_kafka).sum(),
        missing: epochs.iter().flat_map(|epoch| epoch.missing.clone()).collect(),
        epochs,
    }
}
