//! Health, readiness and metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus::{IntCounter, IntGauge, Registry};

use crate::http::problem::operations::{self, problems};
use crate::http::{AppState, Problem, ProblemType};
use crate::platform::clock::Synchronisation;
use crate::platform::peer::{Peer, PeerState};

problems!(HealthProblems: operations::ANY);
problems!(ReadyProblems: operations::ANY, &[ProblemType::NotReady]);
problems!(MetricsProblems: operations::ANY, &[ProblemType::InternalError]);

/// Returns 200 while the process is running.
#[utoipa::path(get, path = "/healthz", security(()), tag = "gateway", responses((status = 200, body = String), HealthProblems))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Returns 200 while the gateway accepts events: the MQTT broker is reachable and the journal is writable. Kafka may be
/// unreachable, because the journal buffers the events.
#[utoipa::path(get, path = "/readyz", security(()), tag = "gateway", responses((status = 200, body = String),
    ReadyProblems))]
pub async fn readyz(State(app): State<Arc<AppState>>) -> Response {
    let mqtt = app.mqtt.status();
    let mut reasons = Vec::new();
    if mqtt.state != PeerState::Up {
        let problem = mqtt.problem.unwrap_or_else(|| "connecting".to_owned());
        reasons.push(format!("MQTT broker: {problem}"));
    }
    if app.journal.state().refusing {
        reasons.push(
            "journal: not accepting events, because it is full or its disk cannot be written".to_owned(),
        );
    }
    if reasons.is_empty() {
        // Known tills and the counter can still sell, so the gateway is ready. The response mentions the limit.
        return match app.journal.state().names_used_up {
            true => "ready\nnew tills: not accepted, because there are too many device names; see `gateway forget`\n",
            false => "ready\n",
        }
        .into_response();
    }
    Problem::new(ProblemType::NotReady, reasons.join("; ")).into_response()
}

/// Returns the metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", security(("token" = ["viewer"])), tag = "gateway", responses((status = 200, body = String), MetricsProblems))]
pub async fn metrics(State(app): State<Arc<AppState>>) -> Result<Response, Problem> {
    let gauges = gauges(&app).map_err(Problem::internal)?;
    let text = app.metrics.encode(&gauges).map_err(Problem::internal)?;
    let content = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content, text).into_response())
}

/// Builds the gauges from the state of the parts at each scrape, so that they cannot diverge from it.
fn gauges(app: &AppState) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    let state = app.journal.state();
    let clock = app.clock.status();
    let up = |peer: &Peer| u64::from(peer.is_up());
    let certificate = app.tls.as_ref().map(|tls| {
        (
            "comptoir_certificate_expiry_seconds",
            "Expiry of the certificate of the pages, in Unix seconds",
            u64::try_from(tls.expires()).unwrap_or(0),
        )
    });
    for (name, help, value) in [
        (
            "comptoir_mqtt_up",
            "1 if the MQTT broker is reachable",
            up(&app.mqtt),
        ),
        ("comptoir_kafka_up", "1 if Kafka is reachable", up(&app.kafka)),
        (
            "comptoir_bridge_up",
            "1 if the transactional producer works",
            up(&app.bridge),
        ),
        (
            "comptoir_commands_up",
            "1 if commands are read from Kafka",
            up(&app.commands),
        ),
        (
            "comptoir_clock_unsynchronised",
            "1 while the operating system reports that the clock is not synchronised",
            u64::from(clock.synchronisation == Synchronisation::Unsynchronised),
        ),
        (
            "comptoir_clock_jumps",
            "Steps of the clock since the start",
            clock.jumps,
        ),
        (
            "comptoir_journal_pending",
            "Events not yet in Kafka",
            state.pending(),
        ),
        ("comptoir_journal_events", "Events in the journal", state.events()),
        (
            "comptoir_journal_bytes",
            "Bytes in use by the journal",
            state.bytes,
        ),
        (
            "comptoir_journal_max_bytes",
            "Size in bytes at which the journal refuses events",
            state.max_bytes,
        ),
        (
            "comptoir_journal_refusing",
            "1 while the journal accepts no events",
            u64::from(state.refusing),
        ),
        (
            "comptoir_journal_names_used_up",
            "1 while events of new devices are refused, because there are too many device names",
            u64::from(state.names_used_up),
        ),
        (
            "comptoir_journal_refused_devices",
            "Devices whose events were refused within the last hour",
            app.journal.refusals().len() as u64,
        ),
        (
            "comptoir_journal_commits",
            "Group commits since the start",
            state.commits,
        ),
        (
            "comptoir_journal_committed",
            "Events in group commits since the start",
            state.committed,
        ),
        (
            "comptoir_journal_lost",
            "Acknowledged events that were later lost with a part of the journal's files",
            state.lost,
        ),
        (
            "comptoir_numbers_reused",
            "Events since the start whose number their till had already used for another sale, stored under a new number",
            state.reused,
        ),
        (
            "comptoir_kafka_kept_apart",
            "Records of other journals in Kafka since the start that concern sales of this gateway; they change nothing",
            app.projection.kept_apart.count(),
        ),
        (
            "comptoir_http_connections",
            "Open connections of the HTTP port",
            app.connections.count() as u64,
        ),
        (
            "comptoir_http_connections_max",
            "Limit of open connections of the HTTP port",
            app.connections.limits().total as u64,
        ),
        (
            "comptoir_live_connections",
            "Socket.IO connections",
            app.audience.count() as u64,
        ),
        (
            "comptoir_dead_letters",
            "Dead letters in the journal",
            state.dead_letters,
        ),
    ]
    .into_iter()
    .chain(certificate)
    {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))?;
    }
    if let Some(uplink) = &app.uplink {
        let restricted = IntGauge::new(
            "comptoir_kafka_payments_only",
            "1 while the day's bytes are nearly used up, so that only payments are sent to Kafka",
        )?;
        restricted.set(i64::from(uplink.is_nearly_used_up()));
        registry.register(Box::new(restricted))?;
        let bytes = uplink.total();
        for (name, help, value) in [
            (
                "comptoir_kafka_sent_bytes_total",
                "Bytes sent to Kafka, compressed, without TLS and TCP",
                bytes.sent,
            ),
            (
                "comptoir_kafka_received_bytes_total",
                "Bytes received from Kafka, compressed, without TLS and TCP",
                bytes.received,
            ),
        ] {
            let counter = IntCounter::new(name, help)?;
            counter.inc_by(value);
            registry.register(Box::new(counter))?;
        }
    }
    Ok(registry)
}
