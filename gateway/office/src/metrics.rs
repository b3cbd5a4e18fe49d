//! The counters of `/metrics` and their names.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::database::WriteSummary;
use crate::record::Reason;

pub struct Metrics {
    registry: Registry,
    events: IntCounter,
    repeated: IntCounter,
    expired: IntCounter,
    states: IntCounter,
    apart: IntCounterVec,
    sign_ins: IntCounterVec,
    pub batch_seconds: Histogram,
    pub overtaken: IntCounter,
    pub database_failures: IntCounter,
    pub lost_ranges: IntCounter,
    pub undecodable: IntCounter,
    pub commands_sent: IntCounter,
    pub commands_failed: IntCounter,
    pub alerts_sent: IntCounter,
    pub alerts_failed: IntCounter,
    pub live_connections: IntGauge,
    pub live_messages: IntCounter,
    pub live_dropped: IntCounter,
    pub live_refused: IntCounter,
}

impl Metrics {
    /// # Errors
    /// Two metrics have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("comptoir_office_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let apart = IntCounterVec::new(
            Opts::new(
                "comptoir_office_kept_apart_total",
                "Records that do not count, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(apart.clone()))?;
        for reason in Reason::ALL {
            apart.with_label_values(&[reason.as_str()]);
        }
        let sign_ins = IntCounterVec::new(
            Opts::new("comptoir_office_sign_ins_total", "Sign-ins, by result"),
            &["result"],
        )?;
        registry.register(Box::new(sign_ins.clone()))?;
        for result in ["ok", "wrong", "throttled"] {
            sign_ins.with_label_values(&[result]);
        }
        let batch_seconds = Histogram::with_opts(HistogramOpts::new(
            "comptoir_office_batch_seconds",
            "Time to write a batch to PostgreSQL",
        ))?;
        registry.register(Box::new(batch_seconds.clone()))?;
        let live_connections = IntGauge::new(
            "comptoir_office_live_connections",
            "Clients that have joined by Socket.IO",
        )?;
        registry.register(Box::new(live_connections.clone()))?;
        Ok(Self {
            events: counter("events", "Events written")?,
            repeated: counter("repeated_events", "Events that were there before")?,
            expired: counter(
                "expired_events",
                "Events that were not counted, because retention.events has deleted the sales of their time",
            )?,
            states: counter("states", "States of gateways read")?,
            overtaken: counter(
                "overtaken",
                "Batches that were not written, because another replica had the partition",
            )?,
            database_failures: counter("database_failures", "Batches that PostgreSQL did not write")?,
            commands_sent: counter("commands_sent", "Commands to a shop that Kafka has accepted")?,
            commands_failed: counter("commands_failed", "Attempts to send a command that failed")?,
            alerts_sent: counter(
                "alerts_sent",
                "Messages that the webhook or the mail server has accepted",
            )?,
            alerts_failed: counter(
                "alerts_failed",
                "Attempts to compare the troubles or to deliver a message that failed",
            )?,
            lost_ranges: counter(
                "lost_ranges",
                "Times that Kafka no longer had what was to be read",
            )?,
            undecodable: counter(
                "undecodable_batches",
                "Batches of records that could not be decoded, and were skipped",
            )?,
            live_messages: counter("live_messages", "Events handed to live clients")?,
            live_dropped: counter(
                "live_dropped",
                "Events that a live client missed, because it did not keep up or they were too long; it reloads",
            )?,
            live_refused: counter("live_refused", "Live connections refused at a limit")?,
            live_connections,
            apart,
            sign_ins,
            batch_seconds,
            registry,
        })
    }

    /// Counts the changes of a batch.
    pub fn note(&self, written: &WriteSummary) {
        self.events.inc_by(written.events as u64);
        self.repeated.inc_by(written.repeated as u64);
        self.expired.inc_by(written.expired as u64);
        self.states.inc_by(written.states as u64);
        for (reason, count) in &written.apart {
            self.apart
                .with_label_values(&[reason.as_str()])
                .inc_by(*count as u64);
        }
    }

    /// Counts a sign-in: `ok`, `wrong` or `throttled`.
    pub fn signed_in(&self, result: &'static str) {
        self.sign_ins.with_label_values(&[result]).inc();
    }

    /// The text of `/metrics`.
    pub fn text(&self) -> String {
        // Cannot fail, because names and labels are fixed.
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}
