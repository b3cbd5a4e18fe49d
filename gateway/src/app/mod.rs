//! Assembles the gateway: builds every part from the configuration, starts the parts, and stops them in order.
//!
//! This is the only module that starts tasks and threads. [`App::build`] opens files and ports, [`App::start`] runs the
//! parts, and [`RunningApp::stop`] ends them within a deadline.

mod build;
mod health;
mod running;
mod section_checks;
mod serving;
mod supervisor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::alerts::Alerts;
use crate::archive::automatic::Archiver;
use crate::audit::AuditCopier;
use crate::bridge::read_back::ReadBack;
use crate::bridge::relay::Relay;
use crate::bridge::spot_check::SpotCheck;
use crate::commands::CommandForwarder;
use crate::config::{Config, MqttUrl, Uplink};
use crate::fleet::StateReporter;
use crate::http::AppState;
use crate::ingest::Ingest;
use crate::platform::embedded_broker::EmbeddedBroker;
use crate::platform::last_exit::RunMarker;
use crate::platform::tls::Certificate;
use crate::projection::Projector;
pub use build::accounts_path;
use comptoir_journal::{Journal, Writer};
use comptoir_kafka as kafka;
pub use health::{Health, Unresponsive};
pub use running::RunningApp;
pub use section_checks::SECTION_CHECKS;

/// Every part, built but not started.
pub struct App {
    /// Shared by the HTTP handlers.
    pub state: Arc<AppState>,
    /// The address that the pages are bound to, with the actual port if the configured port is 0.
    pub http: SocketAddr,
    /// The MQTT broker that ingest connects to: the configured one or the built-in one.
    pub mqtt: MqttUrl,
    /// `http.mdns`; empty disables the announcement.
    mdns: String,
    /// `retention.personal_data_days`
    personal_data_days: u32,
    /// `None` without `archive.path`.
    archiver: Option<Archiver>,
    certificate: Option<Certificate>,
    journal: Journal,
    writer: Writer,
    projector: Projector,
    ingest: Ingest,
    listener: TcpListener,
    broker: Option<EmbeddedBroker>,
    /// `None` on an open gateway, which has no audit log.
    audit: Option<AuditCopier>,
    /// `None` without a receiver.
    alerts: Option<Alerts>,
    /// `None` without `kafka.brokers`.
    kafka: Option<KafkaParts>,
    run_marker: RunMarker,
}

/// The parts that talk to Kafka. Each blocks in the Kafka client, so each has its own thread.
struct KafkaParts {
    relay: Relay,
    /// `None` with `kafka.follow = "own"`.
    read_back: Option<ReadBack>,
    commands: CommandForwarder,
    /// Only with `kafka.follow = "own"`.
    spot_check: Option<SpotCheck>,
    /// `None` without the shop's secret, because nothing is sent unsigned.
    state_reporter: Option<StateReporter>,
}

/// The Kafka settings of a configuration; `None` without brokers.
pub fn kafka_settings(config: &Config) -> Option<kafka::Settings> {
    Some(kafka::Settings {
        brokers: config.kafka.brokers.clone()?,
        prefix: config.kafka.topic_prefix.clone(),
        identity: config.store.clone(),
        replication_factor: config.kafka.replication_factor,
        partitions: config.kafka.partitions,
        uplink: match config.kafka.uplink {
            Uplink::Normal => kafka::Uplink::Normal,
            Uplink::Metered => kafka::Uplink::Metered {
                delay: Duration::from_secs(config.kafka.uplink_delay),
            },
        },
        properties: config.kafka.properties.clone(),
        connection_errors: kafka::ConnectionErrors::default(),
        traffic: kafka::Traffic::default(),
    })
}
