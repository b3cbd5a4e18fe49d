//! Liveness, readiness, metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus::{IntGauge, Registry};

use crate::clock::Synchronisation;
use crate::dashboard::problem::operations::{self, problems};
use crate::dashboard::{Problem, ProblemType, Shop};
use crate::link::{Link, LinkState};

problems!(HealthProblems: operations::ANY);
problems!(ReadyProblems: operations::ANY, &[ProblemType::NotReady]);
problems!(MetricsProblems: operations::ANY, &[ProblemType::InternalError]);

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "gateway", responses((status = 200, body = String), HealthProblems))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Events are taken in: the MQTT broker is reached and the journal accepts. Kafka need not be there: while
/// it is away the gateway buffers, which is what it is for.
#[utoipa::path(get, path = "/readyz", tag = "gateway", responses((status = 200, body = String),
    ReadyProblems))]
pub async fn readyz(State(shop): State<Arc<Shop>>) -> Response {
    let mqtt = shop.mqtt.status();
    let mut reasons = Vec::new();
    if mqtt.state != LinkState::Up {
        let problem = mqtt.problem.unwrap_or_else(|| "connecting".to_owned());
        reasons.push(format!("MQTT broker: {problem}"));
    }
    if shop.journal.state().refusing {
        reasons.push("journal: not accepting events (it is full, or its disk cannot be written)".to_owned());
    }
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    Problem::new(ProblemType::NotReady, reasons.join("; ")).into_response()
}

/// For Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "gateway", responses((status = 200, body = String), MetricsProblems))]
pub async fn metrics(State(shop): State<Arc<Shop>>) -> Result<Response, Problem> {
    let gauges = gauges(&shop).map_err(Problem::internal)?;
    let text = shop.metrics.encode(&gauges).map_err(Problem::internal)?;
    let content = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content, text).into_response())
}

/// Made from the parts' own state at each scrape: nothing to keep in step.
fn gauges(shop: &Shop) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    let state = shop.journal.state();
    let clock = shop.clock.status();
    let up = |link: &Link| u64::from(link.is_up());
    for (name, help, value) in [
        (
            "comptoir_mqtt_up",
            "1 if the MQTT broker is reached",
            up(&shop.mqtt),
        ),
        ("comptoir_kafka_up", "1 if Kafka is reached", up(&shop.kafka)),
        (
            "comptoir_bridge_up",
            "1 if the transactional producer works",
            up(&shop.bridge),
        ),
        (
            "comptoir_commands_up",
            "1 if commands are read from Kafka",
            up(&shop.commands),
        ),
        (
            "comptoir_clock_unsynchronised",
            "1 while the operating system says that nothing sets this machine's clock",
            u64::from(clock.synchronisation == Synchronisation::Unsynchronised),
        ),
        (
            "comptoir_clock_jumps",
            "How often this machine's clock was set since the start",
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
            "Bytes in use in the journal",
            state.bytes,
        ),
        (
            "comptoir_journal_max_bytes",
            "At this size nothing is accepted",
            state.max_bytes,
        ),
        (
            "comptoir_journal_refusing",
            "1 while nothing is accepted",
            u64::from(state.refusing),
        ),
        (
            "comptoir_journal_commits",
            "Group commits since the start",
            state.commits,
        ),
        (
            "comptoir_journal_committed",
            "Events in those group commits",
            state.committed,
        ),
        (
            "comptoir_journal_lost",
            "Events that were acked and have since been lost with a part of the journal's files",
            state.lost,
        ),
        (
            "comptoir_numbers_reused",
            "Events since the start that came under a number that their till had used for another sale, and were kept",
            state.reused,
        ),
        (
            "comptoir_dead_letters",
            "Dead letters in the journal",
            state.dead_letters,
        ),
    ] {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))?;
    }
    Ok(registry)
}
