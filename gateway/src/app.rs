//! Builds every part, then starts them: the only place that starts tasks and threads.

mod parts;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::address::{self, Announced, Scheme};
use crate::bridge::readback::ReadBackLoop;
use crate::bridge::relay::Relay;
use crate::broker::EmbeddedBroker;
use crate::clock::Clock;
use crate::commands::Commands;
use crate::config::{Config, ConfigError, MqttUrl};
use crate::dashboard::{self, Audience, Backlog, Live, Password, Shop};
use crate::heap;
use crate::ingest::decode::Decoder;
use crate::ingest::downlink::Downlink;
use crate::ingest::presence::Presence;
use crate::ingest::{Ingest, Stores};
use crate::journal::{Journal, OpenError, Writer};
use crate::kafka;
use crate::link::{Link, LinkState, Seldom};
use crate::metrics::Metrics;
use crate::projection::{self, Folder};
use crate::tls::Certificate;
use parts::Parts;

/// SIGTERM to the end of the process, at most; a Kafka that hangs is left behind (its open transaction is
/// aborted by the next start).
const SHUTDOWN: Duration = Duration::from_secs(8);
/// Of it, what the journal's end waits for a Kafka that may hang.
const FOR_KAFKA: Duration = Duration::from_secs(1);

/// Every part, built and not yet started.
pub struct App {
    pub shop: Arc<Shop>,
    pub http: SocketAddr,
    pub mqtt: MqttUrl,
    mdns: String,
    certificate: Option<Certificate>,
    journal: Journal,
    writer: Writer,
    folder: Folder,
    ingest: Ingest,
    listener: TcpListener,
    broker: Option<EmbeddedBroker>,
    kafka: Option<(Relay, ReadBackLoop, Commands)>,
}

/// The parts, running.
pub struct Running {
    journal: Journal,
    /// The pages' name on the network, if it could be had.
    announced: Option<Announced>,
    scheme: Scheme,
    parts: Parts,
}

/// The Kafka settings of a configuration; `None` without brokers.
pub fn kafka_settings(config: &Config) -> Option<kafka::Settings> {
    Some(kafka::Settings {
        brokers: config.kafka.brokers.clone()?,
        prefix: config.kafka.topic_prefix.clone(),
        identity: config.store.clone(),
        replication_factor: config.kafka.replication_factor,
        partitions: config.kafka.partitions,
        properties: config.kafka.properties.clone(),
        reasons: kafka::Reasons::default(),
    })
}

impl App {
    /// Opens files and ports. Nothing runs yet, but the built-in MQTT broker's own threads.
    /// `problems` are those of other settings, in whose place `config` is used. Where a setting is why it fails, the
    /// error is a [`ConfigError`].
    pub async fn build(config: &Config, problems: Vec<ConfigError>) -> anyhow::Result<App> {
        Self::build_with(config, problems, None).await
    }

    /// As [`App::build`], on a Kafka in memory that the pages can take down.
    pub async fn build_with(
        config: &Config,
        problems: Vec<ConfigError>,
        demo: Option<kafka::Switch>,
    ) -> anyhow::Result<App> {
        // An error means that somebody has chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = Certificate::of(&config.http)?;
        let metrics = Arc::new(Metrics::new().context("the metrics could not be set up")?);
        let (journal, writer) = match Journal::open(&config.journal.path, config.journal.max_bytes).await {
            Err(error @ OpenError::Unreadable { .. }) => {
                return Err(ConfigError::of("journal.path", error.to_string()).into());
            }
            opened => opened?,
        };
        // Read back at most a few batches ahead of the fold.
        let (output, read_back) = mpsc::channel(4);
        let (projection, folder, positions) = projection::open(
            &projection_path(config),
            journal.clone(),
            projection::Home {
                store: config.store.clone(),
                currency: config.currency,
            },
            config.kafka.topic_prefix.clone(),
            read_back,
        )
        .await?;
        let listener = TcpListener::bind(config.http.listen).await.map_err(|error| {
            ConfigError::of(
                "http.listen",
                format!("{} cannot be used: {error}", config.http.listen),
            )
        })?;
        let http = listener.local_addr()?;
        if let Some(file) = &config.http.port_file {
            std::fs::write(file, http.port().to_string())
                .map_err(|error| ConfigError::of("http.port_file", format!("{}: {error}", file.display())))?;
        }
        let mut mqtt = config.mqtt.url.clone();
        let broker = match config.mqtt.embedded {
            None => None,
            Some(listen) => {
                let broker = EmbeddedBroker::start(listen)
                    .await
                    .map_err(|error| ConfigError::of("mqtt.embedded", error.to_string()))?;
                let address = address::reachable(broker.address()?);
                mqtt = MqttUrl {
                    host: address.ip().to_string(),
                    port: address.port(),
                    tls: false,
                    credentials: None,
                };
                Some(broker)
            }
        };
        let settings = kafka_settings(config);
        let kafka_state = match settings {
            Some(_) => LinkState::Down,
            None => LinkState::Off,
        };
        let clock = Clock::new();
        let decoder = Decoder {
            store: config.store.clone(),
            currency: config.currency,
        };
        let shop = Arc::new(Shop {
            store: config.store.clone(),
            currency: config.currency,
            settings_problems: problems,
            password: config.http.password.as_ref().map(Password::new),
            hosts: config
                .http
                .hosts
                .iter()
                .cloned()
                .chain(address::own_name())
                .collect(),
            journal: journal.clone(),
            projection,
            decoder: decoder.clone(),
            presence: Arc::new(Presence::default()),
            positions: positions.clone(),
            mqtt: Link::new("MQTT broker", LinkState::Down),
            kafka: Link::new("Kafka", kafka_state),
            bridge: Link::new("bridge to Kafka", kafka_state),
            commands: Link::new("commands from Kafka", kafka_state),
            clock: clock.clone(),
            consumer_group: settings.as_ref().map(kafka::Settings::transactional_id),
            demo,
            audience: Audience::default(),
            backlog: Backlog::default(),
            metrics: metrics.clone(),
        });
        let downlink = Arc::new(Downlink::default());
        let stores = Stores::new(config.mqtt.stores.clone());
        let kafka = settings.map(|settings| {
            let relay = Relay {
                settings: settings.clone(),
                journal: journal.clone(),
                link: shop.bridge.clone(),
                metrics: metrics.clone(),
                clock: clock.clone(),
                cut: false.into(),
            };
            let readback = ReadBackLoop {
                settings: settings.clone(),
                journal: journal.clone(),
                positions,
                link: shop.kafka.clone(),
                metrics: metrics.clone(),
                output,
            };
            let commands = Commands {
                settings,
                store: config.store.clone(),
                stores: stores.clone(),
                journal: journal.clone(),
                downlink: downlink.clone(),
                presence: shop.presence.clone(),
                mqtt: shop.mqtt.clone(),
                link: shop.commands.clone(),
                clock,
                metrics: metrics.clone(),
            };
            (relay, readback, commands)
        });
        let ingest = Ingest {
            url: mqtt.clone(),
            client_id: config.mqtt_client_id(),
            stores,
            journal: journal.clone(),
            decoder,
            downlink,
            presence: shop.presence.clone(),
            link: shop.mqtt.clone(),
            metrics,
            complaints: Seldom::default(),
        };
        Ok(App {
            shop,
            http,
            mqtt,
            mdns: config.http.mdns.clone(),
            certificate,
            journal,
            writer,
            folder,
            ingest,
            listener,
            broker,
            kafka,
        })
    }

    /// Starts every part.
    pub fn start(self) -> anyhow::Result<Running> {
        let mut parts = Parts::new();
        let (stop_intake, stop) = (parts.stop_intake.clone(), parts.stop.clone());
        parts.writer("journal", self.writer.run());
        parts.task("dashboard", self.folder.run(stop.clone()));
        if let Some(broker) = self.broker {
            parts.task("built-in MQTT broker", broker.run(stop.clone()));
        }
        parts.intake("MQTT", self.ingest.run(stop_intake.clone()));
        let scheme = match self.certificate {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        };
        let announced = match self.mdns.as_str() {
            "" => None,
            name => address::announce(name, &self.shop.store, scheme, self.http),
        };
        let clock = self.shop.clock.clone();
        let live = Live {
            shop: Arc::clone(&self.shop),
        };
        parts.task("live pages", live.run(stop.clone()));
        parts.task("clock", clock.watch(stop.clone()));
        parts.task("memory", heap::give_back(stop.clone()));
        let router = dashboard::router(&self.shop);
        let tls = match self.certificate {
            None => None,
            Some(certificate) => {
                let server = certificate.server().context("TLS")?;
                parts.task("certificate", certificate.renew(stop.clone()));
                Some(server)
            }
        };
        parts.intake("HTTP", dashboard::serve(self.listener, tls, router, stop_intake));
        if let Some((relay, readback, commands)) = self.kafka {
            let runtime = Handle::current();
            let (handle, token) = (runtime.clone(), stop.clone());
            parts.thread("relay", move || relay.run(&handle, &token))?;
            let token = stop.clone();
            parts.thread("read-back", move || readback.run(&token))?;
            parts.thread("commands", move || commands.run(&runtime, &stop))?;
        }
        Ok(Running {
            journal: self.journal,
            announced,
            scheme,
            parts,
        })
    }
}

/// Beside the journal: `journal.db` has `journal-dashboard.db`.
fn projection_path(config: &Config) -> PathBuf {
    let path = &config.journal.path;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-dashboard.db"))
}

impl Running {
    /// Where others on the network find the pages: by address, and by name.
    pub fn found_at(&self, http: SocketAddr) -> Vec<String> {
        let named = self.announced.as_ref();
        let named = named.map(|announced| {
            self.scheme
                .url(format_args!("{}:{}", announced.host, http.port()))
        });
        address::lan_url(self.scheme, http)
            .into_iter()
            .chain(named)
            .collect()
    }

    /// Waits for a part that ends though nobody has told it to, and says which. The gateway is of no use then.
    pub async fn failed(&mut self) -> &'static str {
        let part = self.parts.failed().await;
        error!(part, "a part of the gateway has ended: the gateway ends too");
        part
    }

    /// Ends in order: take no more in, let what was taken be committed, fold, let the bridge finish its transaction,
    /// close the files. True if everything ended in time.
    pub async fn stop(mut self) -> bool {
        let deadline = Instant::now() + SHUTDOWN;
        drop(self.announced.take());
        let mut in_time = tokio::time::timeout_at(deadline.into(), self.parts.stop())
            .await
            .is_ok();
        // Mostly they have ended by now, and the journal knows the bridge's last transaction. If Kafka hangs, it is not
        // waited for: what came of the transaction Kafka says at the next start.
        let kafka = deadline.min(Instant::now() + FOR_KAFKA);
        let _ = tokio::time::timeout_at(kafka.into(), self.parts.threads_ended()).await;
        // Closed in any case: it waits for nobody.
        self.journal.close().await;
        self.parts.written().await;
        in_time &= tokio::time::timeout_at(deadline.into(), self.parts.threads_ended())
            .await
            .is_ok();
        if !in_time {
            warn!("a part did not end in time; what it had open is settled at the next start");
        }
        info!("stopped");
        in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn running(folder: &tempfile::TempDir) -> Running {
        let mut config = Config::default();
        config.journal.path = folder.path().join("journal.db");
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.http.mdns = String::new();
        // Nobody listens there.
        config.mqtt.url.port = 1;
        App::build(&config, Vec::new()).await.unwrap().start().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_that_panics_is_named_and_the_others_still_end_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = running(&folder).await;
        running
            .parts
            .task("till", async { panic!("as this test wants it") });
        let failed = tokio::time::timeout(SHUTDOWN, running.failed()).await;
        assert_eq!(failed, Ok("till"));
        assert!(running.stop().await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_ends_in_time_also_where_the_journal_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = running(&folder).await;
        running.parts.writer.abort_all();
        let failed = tokio::time::timeout(SHUTDOWN, running.failed()).await;
        assert_eq!(failed, Ok("journal"));
        let stopped = tokio::time::timeout(SHUTDOWN + SHUTDOWN, running.stop()).await;
        assert!(stopped.is_ok());
    }
}
