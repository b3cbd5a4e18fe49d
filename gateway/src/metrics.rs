//! What `/metrics` counts. Every name stands here.

use prometheus::{Histogram, HistogramOpts, IntCounter, Registry, TextEncoder};

/// The counters; gauges are made from the parts' own state when somebody asks (see [`crate::admin`]).
pub struct Metrics {
    pub(crate) registry: Registry,
    pub received: IntCounter,
    pub stored: IntCounter,
    pub duplicates: IntCounter,
    pub ahead_of_gap: IntCounter,
    pub relayed: IntCounter,
    pub transactions: IntCounter,
    pub transaction_seconds: Histogram,
    pub relay_failures: IntCounter,
    pub read_back: IntCounter,
    pub commands: IntCounter,
    pub refused: IntCounter,
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let received = counter(
            "comptoir_events_received_total",
            "Events that came over MQTT, again and again if they were resent",
        )?;
        let stored = counter(
            "comptoir_events_stored_total",
            "Events committed to the journal from MQTT",
        )?;
        let duplicates = counter(
            "comptoir_events_duplicate_total",
            "Events that the journal already had",
        )?;
        let ahead_of_gap = counter(
            "comptoir_events_ahead_of_gap_total",
            "Events that came before an earlier one of their terminal, and had to wait for it",
        )?;
        let relayed = counter("comptoir_events_relayed_total", "Events committed to Kafka")?;
        let transactions = counter("comptoir_kafka_transactions_total", "Transactions committed")?;
        let relay_failures = counter(
            "comptoir_kafka_failures_total",
            "Times that the producer had to be made anew",
        )?;
        let read_back = counter("comptoir_events_read_back_total", "Records read back from Kafka")?;
        let commands = counter("comptoir_commands_total", "Commands handed to the MQTT broker")?;
        let refused = counter(
            "comptoir_mqtt_refused_total",
            "Acks and commands that the MQTT broker refused: too large for it, or against its access list",
        )?;
        let transaction_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "comptoir_kafka_transaction_seconds",
                "From a transaction's begin to its commit",
            )
            .buckets(vec![0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]),
        )?;
        registry.register(Box::new(transaction_seconds.clone()))?;
        Ok(Self {
            registry,
            received,
            stored,
            duplicates,
            ahead_of_gap,
            relayed,
            transactions,
            transaction_seconds,
            relay_failures,
            read_back,
            commands,
            refused,
        })
    }

    /// Prometheus's text format. `gauges` are added to what is counted here.
    pub fn encode(&self, gauges: &Registry) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(gauges.gather());
        TextEncoder::new().encode_to_string(&families)
    }
}
