//! `GET /api/stats` and `GET /api/gateway`.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::dto;
use crate::config::{ConfigError, Follow};
use crate::http::problem::operations::{self, problems};
use crate::http::query::QueryParams;
use crate::http::{AppState, Problem, ProblemType};
use crate::platform::alert_status::AlertStatus;
use crate::platform::clock::{Clock, Synchronisation};
use crate::platform::peer::{Peer, PeerState};
use crate::platform::uplink::UplinkMeter;
use crate::projection::{ShopFilter, Totals};
use comptoir_core::sale::{Currency, Money};
use comptoir_journal::{DeviceReport, ReadError, Refusal, RefusalReport};

problems!(StatsProblems: operations::ACCESS, operations::READ, &[ProblemType::InvalidParameter]);
problems!(ShopsProblems: operations::ACCESS, operations::READ);
problems!(GatewayProblems: operations::ACCESS, operations::READ);

/// Returns the totals of a shop.
#[utoipa::path(get, path = "/api/stats", security(("token" = ["viewer"])), tag = "gateway", params(("store" = Option<String>, Query, description = "The shop. Default: this gateway's own. With `kafka.follow = \"all\"` others are available: see `GET /api/shops`.")), responses((status = 200, body = dto::Stats), StatsProblems))]
pub async fn stats(
    State(app): State<Arc<AppState>>,
    query: QueryParams,
) -> Result<Json<dto::Stats>, Problem> {
    let totals = match query.shop(&app.store)? {
        ShopFilter::Home => app.projection.view().totals,
        ShopFilter::Other(store) => Arc::new(app.projection.totals_of(store).await?.unwrap_or_default()),
    };
    Ok(Json(stats_of(&totals, app.currency)))
}

/// Lists the shops whose sales this gateway knows: its own and, with `kafka.follow = "all"`, those that it has read from
/// Kafka.
#[utoipa::path(get, path = "/api/shops", security(("token" = ["viewer"])), tag = "gateway", responses((status = 200, body = dto::Shops), ShopsProblems))]
pub async fn shops(State(app): State<Arc<AppState>>) -> Result<Json<dto::Shops>, Problem> {
    let others = app.projection.other_shops().await?;
    Ok(Json(dto::Shops {
        own: app.store.clone(),
        others: others.iter().map(ToString::to_string).collect(),
    }))
}

pub(in crate::http) fn stats_of(totals: &Totals, currency: Currency) -> dto::Stats {
    let revenue = totals.revenue.get(currency.code()).copied().unwrap_or(0);
    dto::Stats {
        total_orders: totals.orders,
        total_payments: totals.payments,
        success_payments: totals.success_payments,
        failed_payments: totals.failed_payments,
        total_deliveries: totals.deliveries,
        // A sum may exceed the maximum of one amount.
        total_revenue: Money::sum(revenue, currency),
        currency: currency.code(),
        payment_success_rate: totals.success_rate(),
        orders_per_hour: hours_of(totals, currency),
    }
}

/// The totals by hour of UTC, with their quarters.
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
        let index = quarter.rem_euclid(4) as usize;
        hour.orders += counts.orders;
        hour.success_payments += counts.success_payments;
        hour.failed_payments += counts.failed_payments;
        hour.deliveries += counts.deliveries;
        hour.revenue = Money::sum(hour.revenue.minor().saturating_add(counts.revenue), currency);
        hour.quarters.orders[index] = counts.orders;
        hour.quarters.success_payments[index] = counts.success_payments;
        hour.quarters.failed_payments[index] = counts.failed_payments;
        hour.quarters.deliveries[index] = counts.deliveries;
        hour.quarters.revenue[index] = Money::sum(counts.revenue, currency);
    }
    hours
}

/// The journal's device limits for its own store and for other stores, added up.
const MAX_DEVICES: u32 = 8_192;
/// Most missing ranges listed per epoch. Without a limit, a till that skips numbers could make the response arbitrarily
/// large.
const MAX_RANGES: usize = 100;

/// Returns the state of the gateway: its connections, its journal, and the events of each device.
#[utoipa::path(get, path = "/api/gateway", security(("token" = ["viewer"])), tag = "gateway", responses((status = 200, body = dto::Gateway), GatewayProblems))]
pub async fn gateway(State(app): State<Arc<AppState>>) -> Result<Json<dto::Gateway>, Problem> {
    // The status is read first: an event that is no longer pending in it then also counts as in Kafka for its device.
    let status = gateway_status(&app).await?;
    app.journal.settle_reports().await;
    let devices = app.journal.devices(MAX_DEVICES).await?;
    Ok(Json(dto::Gateway {
        status,
        devices: devices.into_iter().map(|report| device(report, &app)).collect(),
        refused: app.journal.refusals().into_iter().map(refused).collect(),
        backlog: app.backlog.points(&app.clock),
        uplink: app.uplink.as_ref().map(uplink),
        alerts: app.alerts.as_ref().map(|status| alerts(status, &app.clock)),
        settings_problems: app.settings_problems.iter().map(settings_problem).collect(),
    }))
}

fn uplink(meter: &Arc<UplinkMeter>) -> dto::Uplink {
    let today = meter.today();
    dto::Uplink {
        mode: match meter.delay {
            None => dto::UplinkMode::Normal,
            Some(_) => dto::UplinkMode::Metered,
        },
        delay: meter.delay.map(|delay| delay.as_secs()),
        since: today.since,
        sent_bytes: today.counted.sent,
        received_bytes: today.counted.received,
        events: today.counted.events,
        budget: meter.budget,
        payments_only: meter.is_nearly_used_up(),
    }
}

fn alerts(status: &AlertStatus, clock: &Clock) -> dto::Alerts {
    let progress = status.progress();
    let time = |moment: Option<Instant>| moment.map(|moment| clock.time_of(moment));
    dto::Alerts {
        webhook: status.has_webhook,
        mail_recipients: status.mail_recipients as u64,
        waiting: progress.waiting as u64,
        delivered: time(progress.delivered),
        failed: time(progress.failed),
    }
}

fn refused(report: RefusalReport) -> dto::RefusedDevice {
    dto::RefusedDevice {
        store: report.device.store().to_owned(),
        device: report.device.device().to_owned(),
        reason: match report.refusal {
            Refusal::Devices => dto::RefusalReason::Devices,
            Refusal::Epochs => dto::RefusalReason::Epochs,
            Refusal::PendingBytes => dto::RefusalReason::PendingBytes,
            Refusal::DeadLetters => dto::RefusalReason::DeadLetters,
        },
        count: report.count,
        since: report.since,
        last: report.last,
    }
}

fn settings_problem(problem: &ConfigError) -> dto::SettingsProblem {
    dto::SettingsProblem {
        place: problem.place.clone(),
        key: problem.key.clone(),
        message: problem.message.clone(),
    }
}

/// The part of the state that is also pushed to live connections.
///
/// # Errors
///
/// The journal cannot be read.
pub(in crate::http) async fn gateway_status(app: &AppState) -> Result<dto::GatewayStatus, ReadError> {
    let state = app.journal.state();
    let oldest = app.journal.oldest_pending().await?;
    let partitions = app.positions.partitions().into_iter();
    let archived = app.archive.as_ref().map(|archive| archive.get());
    Ok(dto::GatewayStatus {
        store: app.store.clone(),
        version: env!("CARGO_PKG_VERSION"),
        demo: app.demo.is_some(),
        invent: app.invents,
        mqtt: peer(&app.mqtt, &app.clock),
        kafka: with_kept_apart(peer(&app.kafka, &app.clock), app),
        bridge: peer(&app.bridge, &app.clock),
        commands: peer(&app.commands, &app.clock),
        clock: clock(&app.clock),
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
            archived: archived.as_ref().map(|archived| archived.upto.0),
            archive_problem: archived.and_then(|archived| archived.problem),
        },
        follow: match app.follow {
            Follow::Own => dto::Follow::Own,
            Follow::All => dto::Follow::All,
        },
        consumer_group: app.consumer_group.clone(),
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

fn peer(peer: &Peer, clock: &Clock) -> dto::Peer {
    let status = peer.status();
    dto::Peer {
        state: match status.state {
            PeerState::Off => dto::PeerState::Off,
            PeerState::Down => dto::PeerState::Down,
            PeerState::Up => dto::PeerState::Up,
        },
        since: clock.time_of(status.since),
        problem: status.problem,
        warnings: status.warnings,
    }
}

/// Adds the warning about records that the projection keeps apart from this gateway's own sales.
fn with_kept_apart(mut kafka: dto::Peer, app: &AppState) -> dto::Peer {
    kafka.warnings.extend(app.projection.kept_apart.warning());
    kafka
}

fn ranges(ranges: Vec<(u32, u32)>) -> Vec<[u32; 2]> {
    let ranges = ranges.into_iter().take(MAX_RANGES);
    ranges.map(|(from, to)| [from, to]).collect()
}

fn device(report: DeviceReport, app: &AppState) -> dto::Device {
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
        online: app.presence.is_online(&report.device),
        store: report.device.store().to_owned(),
        device: report.device.device().to_owned(),
        received: epochs.iter().map(|epoch| u64::from(epoch.received)).sum(),
        stored: epochs.iter().map(|epoch| epoch.stored).sum(),
        in_kafka: epochs.iter().map(|epoch| epoch.in_kafka).sum(),
        missing: epochs.iter().flat_map(|epoch| epoch.missing.clone()).collect(),
        pending_bytes: report.pending_bytes,
        reused,
        epochs,
    }
}
