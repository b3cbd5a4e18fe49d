//! The counters of `/metrics` and their names.

use comptoir_journal::Refusal;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

/// The reasons of `broker_refused`. All are exported from the start, so that graphs have no gaps.
const BROKER_REFUSALS: [&str; 8] = [
    "client_id",
    "filter",
    "packet",
    "qos",
    "quota",
    "size",
    "topic",
    "waiting",
];

/// Counters that the parts of the gateway increase. Gauges are not here: each request of `/metrics` computes them from
/// the state of the parts.
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
    pub forged_watermarks: IntCounter,
    pub samples_verified: IntCounter,
    pub samples_failed: IntCounter,
    pub forged_records: IntCounter,
    pub invalid_records: IntCounter,
    pub commands: IntCounter,
    pub refused: IntCounter,
    pub sign_in_failures: IntCounter,
    pub card_numbers_masked: IntCounter,
    pub dead_letters_truncated: IntCounter,
    /// By `reason`: a `Refusal` of the journal.
    pub events_refused: IntCounterVec,
    /// By `reason`.
    pub broker_refused: IntCounterVec,
    pub certificate_renewals: IntCounter,
    pub personal_data_erased: IntCounter,
    pub alerts_sent: IntCounter,
    pub alerts_failed: IntCounter,
    pub alerts_dropped: IntCounter,
    /// By the name of the limit.
    http_limits: IntCounterVec,
}

/// A limit of the HTTP port that clients can reach. `docs/interfaces/http.md` lists the limits with their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpLimit {
    /// Total open connections: a waiting connection was closed for a new one, or the new one was not accepted.
    Connections,
    /// Open connections of one address.
    ConnectionsPerAddress,
    /// The head of a request did not arrive in time.
    HeadTimeout,
    /// A connection waited too long for its next request.
    IdleTimeout,
    /// A client read none of its pending data for too long.
    WriteStall,
    /// Requests of one address.
    Requests,
    /// Pending bytes of the counter in the journal.
    CounterShare,
    /// Total live connections.
    LiveConnections,
    /// Live connections of one address.
    LiveConnectionsPerAddress,
    /// A live connection sent more than a client needs to, or something other than text.
    LiveInput,
    /// A WebSocket did not become a live connection in time.
    JoinTimeout,
}

impl HttpLimit {
    /// Every limit, so that each is exported before it is reached.
    const ALL: [Self; 11] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::HeadTimeout,
        Self::IdleTimeout,
        Self::WriteStall,
        Self::Requests,
        Self::CounterShare,
        Self::LiveConnections,
        Self::LiveConnectionsPerAddress,
        Self::LiveInput,
        Self::JoinTimeout,
    ];

    /// The value of the label `limit`.
    const fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::HeadTimeout => "head_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteStall => "write_stall",
            Self::Requests => "requests",
            Self::CounterShare => "counter_share",
            Self::LiveConnections => "live_connections",
            Self::LiveConnectionsPerAddress => "live_connections_per_address",
            Self::LiveInput => "live_input",
            Self::JoinTimeout => "join_timeout",
        }
    }
}

impl Metrics {
    /// Registers all counters.
    ///
    /// # Errors
    /// Two metrics have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let received = counter(
            "comptoir_events_received_total",
            "Events received over MQTT, including resent ones",
        )?;
        let stored = counter(
            "comptoir_events_stored_total",
            "Events committed to the journal from MQTT",
        )?;
        let duplicates = counter(
            "comptoir_events_duplicate_total",
            "Events that were in the journal already",
        )?;
        let ahead_of_gap = counter(
            "comptoir_events_ahead_of_gap_total",
            "Events that arrived before an earlier event of the same till and had to wait for it",
        )?;
        let relayed = counter("comptoir_events_relayed_total", "Events committed to Kafka")?;
        let transactions = counter(
            "comptoir_kafka_transactions_total",
            "Kafka transactions committed",
        )?;
        let relay_failures = counter(
            "comptoir_kafka_failures_total",
            "Times that the Kafka producer failed and was created again",
        )?;
        let read_back = counter("comptoir_events_read_back_total", "Records read back from Kafka")?;
        let samples_verified = counter(
            "comptoir_kafka_samples_verified_total",
            "Own events that were read back from Kafka as samples and were right",
        )?;
        let samples_failed = counter(
            "comptoir_kafka_samples_failed_total",
            "Own events that were read back from Kafka as samples and were absent or different",
        )?;
        let forged_watermarks = counter(
            "comptoir_kafka_forged_watermarks_total",
            "Watermarks in Kafka that claim to be this gateway's and have no valid signature",
        )?;
        let forged_records = counter(
            "comptoir_kafka_forged_records_total",
            "Records in Kafka that claim to be this shop's and have no valid signature; they are ignored",
        )?;
        let invalid_records = counter(
            "comptoir_kafka_invalid_records_total",
            "Records of other gateways and programs in Kafka that are not valid sales; they are left out",
        )?;
        let commands = counter("comptoir_commands_total", "Commands published to the MQTT broker")?;
        let refused = counter(
            "comptoir_mqtt_refused_total",
            "Acks and commands that the MQTT broker refused because of their size or its access control list",
        )?;
        let sign_in_failures = counter(
            "comptoir_sign_in_failures_total",
            "Sign-ins and set-ups that failed: wrong names, passwords and codes, and too many attempts",
        )?;
        let card_numbers_masked = counter(
            "comptoir_card_numbers_masked_total",
            "Card numbers in texts of sales and in dead letters that were masked before they were stored",
        )?;
        let dead_letters_truncated = counter(
            "comptoir_dead_letters_truncated_total",
            "Dead letters of which only the beginning was stored, because their device has too many",
        )?;
        let events_refused = IntCounterVec::new(
            Opts::new(
                "comptoir_events_refused_total",
                "Events received over MQTT that were not stored because their device has used up its share, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(events_refused.clone()))?;
        for refusal in Refusal::ALL {
            events_refused.with_label_values(&[refusal.name()]);
        }
        let broker_refused = IntCounterVec::new(
            Opts::new(
                "comptoir_mqtt_broker_refused_total",
                "Clients that the built-in MQTT broker disconnected, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(broker_refused.clone()))?;
        for reason in BROKER_REFUSALS {
            broker_refused.with_label_values(&[reason]);
        }
        let certificate_renewals = counter(
            "comptoir_certificate_renewals_total",
            "Times that the certificate of the pages was replaced while the gateway ran",
        )?;
        let personal_data_erased = counter(
            "comptoir_personal_data_erased_total",
            "Events from which personal data was erased, because of their age or on request",
        )?;
        let alerts_sent = counter(
            "comptoir_alerts_sent_total",
            "Alerts that the webhook or the mail server has accepted",
        )?;
        let alerts_failed = counter(
            "comptoir_alerts_failed_total",
            "Attempts to deliver an alert that failed",
        )?;
        let alerts_dropped = counter(
            "comptoir_alerts_dropped_total",
            "Alerts that were given up after a day, or because too many waited",
        )?;
        let http_limits = IntCounterVec::new(
            Opts::new(
                "comptoir_http_limits_total",
                "How often a client reached a limit of the HTTP port",
            ),
            &["limit"],
        )?;
        registry.register(Box::new(http_limits.clone()))?;
        for limit in HttpLimit::ALL {
            http_limits.with_label_values(&[limit.label()]);
        }
        let transaction_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "comptoir_kafka_transaction_seconds",
                "Duration of a Kafka transaction from begin to commit",
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
            forged_watermarks,
            samples_verified,
            samples_failed,
            forged_records,
            invalid_records,
            commands,
            refused,
            sign_in_failures,
            card_numbers_masked,
            dead_letters_truncated,
            events_refused,
            broker_refused,
            certificate_renewals,
            personal_data_erased,
            alerts_sent,
            alerts_failed,
            alerts_dropped,
            http_limits,
        })
    }

    /// Counts that a client has reached a limit of the HTTP port.
    pub fn http_limit(&self, limit: HttpLimit) {
        self.http_limits.with_label_values(&[limit.label()]).inc();
    }

    /// All counters and `gauges` in the Prometheus text format.
    ///
    /// # Errors
    /// A metric cannot be encoded.
    pub fn encode(&self, gauges: &Registry) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(gauges.gather());
        TextEncoder::new().encode_to_string(&families)
    }
}
