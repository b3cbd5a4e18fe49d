//! `GET /api/stats` and `GET /api/gateway`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::problem::operations::{self, problems};
use super::{Problem, Shop, dto};
use crate::clock::{Clock, Synchronisation};
use crate::config::ConfigError;
use crate::journal::{DeviceReport, ReadError};
use crate::link::{Link, LinkState};
use crate::projection::fold::Totals;
use crate::sale::{Currency, Money};

problems!(StatsProblems: operations::ACCESS);
problems!(GatewayProblems: operations::ACCESS, operations::READ);

/// The totals of everything that the gateway has seen.
#[utoipa::path(get, path = "/api/stats", tag = "gateway", responses((status = 200, body = dto::Stats), StatsProblems))]
pub async fn stats(State(shop): State<Arc<Shop>>) -> Json<dto::Stats> {
    Json(stats_of(&shop.projection.view().totals, shop.currency))
}

pub(super) fn stats_of(totals: &Totals, currency: Currency) -> dto::Stats {
    let revenue = totals.revenue.get(currency.code()).copied().unwrap_or(0);
    dto::Stats {
        total_orders: totals.orders,
        total_payments: totals.payments,
        success_payments: totals.success_payments,
        failed_payments: totals.failed_payments,
        total_deliveries: totals.deliveries,
        // A sum may pass what one amount may be: it is shown as it is.
        total_revenue: Money::sum(revenue, currency),
        currency: currency.code(),
        payment_success_rate: totals.success_rate(),
        orders_per_hour: hours_of(totals, currency),
    }
}

/// The hours of UTC, with their quarters.
fn hours_of(totals: &Totals, currency: Currency) -> Vec<dto::Hour> {
    let mut hours: Vec<dto::Hour> = Vec::new();
    let zero = Money::sum(0, currency);
    for (quarter, counts) in totals.quarters.iter() {
        let Ok(beginning) = Timestamp::from_second(quarter.div_euclid(4).saturating_mul(3_600)) else {
            continue;
        };
        if hours.last().is_none_or(|last| last.hour != beginning) {
            hours.push(dto::Hour {
                hour: beginning,
                orders: 0,
                success_payments: 0,
                failed_payments: 0,
                deliveries: 0,
                revenue: zero,
                quarters: dto::Quarters {
                    orders: [0; 4],
                    success_payments: [0; 4],
                    failed_payments: [0; 4],
                    deliveries: [0; 4],
                    revenue: [zero; 4],
                },
            });
        }
        let Some(hour) = hours.last_mut() else { continue };
        let at = quarter.rem_euclid(4) as usize;
        hour.orders += counts.orders;
        hour.success_payments += counts.success_payments;
        hour.failed_payments += counts.failed_payments;
        hour.deliveries += counts.deliveries;
        hour.revenue = Money::sum(hour.revenue.minor().saturating_add(counts.revenue), currency);
        hour.quarters.orders[at] = counts.orders;
        hour.quarters.success_payments[at] = counts.success_payments;
        hour.quarters.failed_payments[at] = counts.failed_payments;
        hour.quarters.deliveries[at] = counts.deliveries;
        hour.quarters.revenue[at] = Money::sum(counts.revenue, currency);
    }
    hours
}

/// As many as the journal remembers.
const MAX_DEVICES: u32 = 65_536;
const MAX_RANGES: usize = 100;

/// How the gateway is: its links, its journal, and each device's numbers.
#[utoipa::path(get, path = "/api/gateway", tag = "gateway", responses((status = 200, body = dto::Gateway), GatewayProblems))]
pub async fn gateway(State(shop): State<Arc<Shop>>) -> Result<Json<dto::Gateway>, Problem> {
    // First, and then what it counts: what is not pending here is in Kafka in the devices' counts, too.
    let status = gateway_status(&shop).await?;
    shop.journal.settled().await;
    let devices = shop.journal.devices(MAX_DEVICES).await?;
    Ok(Json(dto::Gateway {
        status,
        devices: devices.into_iter().map(|report| device(report, &shop)).collect(),
        backlog: shop.backlog.points(&shop.clock),
        settings_problems: shop.settings_problems.iter().map(settings_problem).collect(),
    }))
}

fn settings_problem(problem: &ConfigError) -> dto::SettingsProblem {
    dto::SettingsProblem {
        place: problem.place.clone(),
        key: problem.key.clone(),
        message: problem.message.clone(),
    }
}

pub(super) async fn gateway_status(shop: &Shop) -> Result<dto::GatewayStatus, ReadError> {
    let state = shop.journal.state();
    let oldest = shop.journal.oldest_pending().await?;
    let partitions = shop.positions.partitions().into_iter();
    Ok(dto::GatewayStatus {
        store: shop.store.clone(),
        version: env!("CARGO_PKG_VERSION"),
        demo: shop.demo.is_some(),
        mqtt: link(&shop.mqtt, &shop.clock),
        kafka: link(&shop.kafka, &shop.clock),
        bridge: link(&shop.bridge, &shop.clock),
        commands: link(&shop.commands, &shop.clock),
        clock: clock(&shop.clock),
        journal: dto::JournalStatus {
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
            lost: state.lost,
        },
        consumer_group: shop.consumer_group.clone(),
        partitions: partitions
            .map(|partition| dto::Partition {
                lag: partition.lag,
                topic: partition.topic,
                partition: partition.partition,
                position: partition.position,
                end: partition.end,
            })
            .collect(),
        dead_letters: state.dead_letters,
    })
}

fn clock(clock: &Clock) -> dto::Clock {
    let status = clock.status();
    dto::Clock {
        state: match status.synchronisation {
            Synchronisation::Synchronised => dto::ClockState::Synchronised,
            Synchronisation::Unsynchronised => dto::ClockState::Unsynchronised,
            Synchronisation::Unknown => dto::ClockState::Unknown,
        },
        jump: status.jump.map(|jump| dto::ClockJump {
            at: jump.time(clock),
            seconds: jump.by.as_secs_f64().round() as i64,
        }),
    }
}

fn link(link: &Link, clock: &Clock) -> dto::Link {
    let status = link.status();
    dto::Link {
        state: match status.state {
            LinkState::Off => dto::LinkState::Off,
            LinkState::Down => dto::LinkState::Down,
            LinkState::Up => dto::LinkState::Up,
        },
        since: clock.time_of(status.since),
        problem: status.problem,
        warnings: status.warnings,
    }
}

fn ranges(ranges: Vec<(u32, u32)>) -> Vec<[u32; 2]> {
    let ranges = ranges.into_iter().take(MAX_RANGES);
    ranges.map(|(from, to)| [from, to]).collect()
}

fn device(report: DeviceReport, shop: &Shop) -> dto::Device {
    let reused = report.streams.iter().map(|stream| stream.reused).sum();
    let epochs: Vec<dto::Epoch> = report
        .streams
        .into_iter()
        .map(|stream| dto::Epoch {
            epoch: stream.epoch,
            received: stream.received,
            stored: stream.stored,
            in_kafka: stream.in_kafka,
            elsewhere: stream.elsewhere,
            missing: ranges(stream.missing),
            lost: ranges(stream.lost),
        })
        .collect();
    dto::Device {
        online: shop.presence.is_online(&report.device),
        store: report.device.store().to_owned(),
        device: report.device.device().to_owned(),
        received: epochs.iter().map(|epoch| u64::from(epoch.received)).sum(),
        stored: epochs.iter().map(|epoch| epoch.stored).sum(),
        in_kafka: epochs.iter().map(|epoch| epoch.in_kafka).sum(),
        missing: epochs.iter().flat_map(|epoch| epoch.missing.clone()).collect(),
        reused,
        epochs,
    }
}
