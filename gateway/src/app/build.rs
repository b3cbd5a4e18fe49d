//! Builds every part of the gateway from the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::{App, KafkaParts, kafka_settings};
use crate::alerts::{self, Alerts};
use crate::archive::automatic::{ArchiveStatus, Archiver};
use crate::audit::AuditCopier;
use crate::bridge::ShopKeys;
use crate::bridge::read_back::ReadBack;
use crate::bridge::relay::{PaymentPriority, PlaceReports, Relay};
use crate::bridge::spot_check::{RecentPlaces, SpotCheck};
use crate::commands::CommandForwarder;
use crate::config::{Config, ConfigError, Follow, MqttUrl};
use crate::fleet::{StateReporter, StateSources};
use crate::http::connections::{ConnectionLimits, Connections};
use crate::http::{
    Access, AppState, Audience, Backlog, FailureLog, LiveConnections, RequestRates, answer_budget,
};
use crate::ingest::decode::Decoder;
use crate::ingest::downlink::Downlink;
use crate::ingest::presence::Presence;
use crate::ingest::{Ingest, Stores};
use crate::platform::address;
use crate::platform::clock::{Clock, Synchronisation};
use crate::platform::closing_key::ClosingKey;
use crate::platform::descriptors;
use crate::platform::embedded_broker::{EmbeddedBroker, GatewayClient};
use crate::platform::handled_commands::HandledRange;
use crate::platform::last_exit::RunMarker;
use crate::platform::metrics::Metrics;
use crate::platform::peer::{Peer, PeerState, WarningLimiter};
use crate::platform::shop_secret::{self, SecretProblem, Startup};
use crate::platform::tls::Certificate;
use crate::platform::uplink::{Counted, UplinkMeter};
use crate::projection;
use comptoir_core::event::DeviceId;
use comptoir_core::shop_secret::ShopSecret;
use comptoir_identity::Accounts;
use comptoir_journal::{Journal, OpenError, Writer};
use comptoir_kafka as kafka;

/// How many batches of bridge reports may wait for the projection. A small number bounds memory.
const BRIDGE_REPORTS: usize = 4;

/// How much Kafka's clock may be behind this machine's.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

impl App {
    /// Opens files and ports. Nothing runs yet, except the built-in MQTT broker's own threads.
    ///
    /// `problems` are the errors of the present configuration if `config` is the fallback; the gateway page shows them.
    ///
    /// # Errors
    /// A file or port cannot be opened. If a configured value is the cause, the error is a [`ConfigError`].
    pub async fn build(config: &Config, problems: Vec<ConfigError>) -> anyhow::Result<App> {
        Self::build_with(config, problems, None).await
    }

    /// Like [`App::build`], for the demo: the pages can switch its in-memory Kafka with `demo`.
    ///
    /// # Errors
    /// See [`App::build`].
    pub async fn build_with(
        config: &Config,
        problems: Vec<ConfigError>,
        demo: Option<kafka::Switch>,
    ) -> anyhow::Result<App> {
        // Fails if a provider is already installed, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let limits = ConnectionLimits::new(descriptors::raise_limit());
        let metrics = Arc::new(Metrics::new().context("register the metrics")?);
        let clock = Clock::new();
        let (journal, mut writer) = open_journal(config).await?;
        let (run_marker, last_exit) = RunMarker::begin(&config.journal.path);
        // Opened after the journal, which creates their common folder.
        let certificate = Certificate::open(config, &clock)?;
        let secret = shop_secret(config, &journal, &mut writer).await?;
        let closing_key = secret
            .as_ref()
            .ok()
            .map(|secret| Arc::new(ClosingKey::of(secret)));
        let keys = secret.as_ref().map(ShopKeys::from).map_err(SecretProblem::clone);
        let (output, bridge) = mpsc::channel(BRIDGE_REPORTS);
        let (projection, projector, positions) = projection::open(
            &projection_path(config),
            journal.clone(),
            projection::Home {
                store: config.store.clone(),
                currency: config.currency,
                time_zone: config.time_zone(),
            },
            config.kafka.topic_prefix.clone(),
            bridge,
        )
        .await?;
        let (listener, http) = bind_http(config).await?;
        let (broker, mqtt) = start_broker(config, &metrics).await?;
        let settings = kafka_settings(config);
        let uplink = settings.as_ref().map(|settings| {
            let (traffic, metrics) = (settings.traffic.clone(), metrics.clone());
            let count = move || {
                let bytes = traffic.total();
                Counted {
                    sent: bytes.sent,
                    received: bytes.received,
                    events: metrics.relayed.get(),
                }
            };
            let (delay, budget) = (settings.uplink.delay(), config.kafka.uplink_budget);
            Arc::new(UplinkMeter::open(delay, budget, &config.journal.path, count))
        });
        let kafka_state = match settings {
            Some(_) => PeerState::Down,
            None => PeerState::Off,
        };
        let decoder = Decoder {
            store: config.store.clone(),
            currency: config.currency,
        };
        let host_names = config.http.hosts.iter().cloned();
        let archive = Arc::new(match config.archive.path {
            // Before the writer runs, so that it prunes nothing that is in no archive.
            Some(_) => ArchiveStatus::new(journal.keep_unarchived().await?),
            None => ArchiveStatus::default(),
        });
        let archiver = config.archive.path.clone().map(|folder| Archiver {
            journal: journal.clone(),
            folder,
            store: config.store.clone(),
            time_zone: config.time_zone(),
            key: closing_key.clone(),
            status: Arc::clone(&archive),
        });
        let handled_commands = Arc::new(HandledRange::default());
        let state_sources = StateSources {
            store: config.store.clone(),
            closing_key: closing_key.as_ref().map(|key| key.public()),
            archive,
            journal: journal.clone(),
            presence: Arc::new(Presence::default()),
            mqtt: Peer::new("MQTT broker", PeerState::Down),
            kafka: Peer::new("Kafka", kafka_state),
            bridge: Peer::new("bridge to Kafka", kafka_state),
            commands: Peer::new("commands from Kafka", kafka_state),
            clock: clock.clone(),
            started: Instant::now(),
            last_exit,
            handled_commands: handled_commands.clone(),
            uplink: uplink.clone(),
        };
        let alerts = Alerts::open(
            alerts::receivers(config)?,
            Duration::from_secs(config.alerts.after),
            &config.journal.path,
            state_sources.clone(),
            metrics.clone(),
        )
        .context("prepare the alerts")?;
        let state = Arc::new(AppState {
            archive: archiver.as_ref().map(|archiver| Arc::clone(&archiver.status)),
            store: config.store.clone(),
            currency: config.currency,
            time_zone: config.time_zone(),
            invents: config.invents(),
            settings_problems: problems,
            access: open_access(config).await?,
            hosts: host_names.chain(address::host_name()).collect(),
            closing_key: closing_key.clone(),
            closing_turn: tokio::sync::Mutex::default(),
            journal: journal.clone(),
            projection,
            decoder: decoder.clone(),
            presence: state_sources.presence.clone(),
            positions: positions.clone(),
            mqtt: state_sources.mqtt.clone(),
            kafka: state_sources.kafka.clone(),
            bridge: state_sources.bridge.clone(),
            commands: state_sources.commands.clone(),
            clock: clock.clone(),
            alerts: alerts.as_ref().map(Alerts::status),
            tls: certificate.as_ref().map(Certificate::status),
            follow: config.kafka.follow,
            consumer_group: settings
                .as_ref()
                .filter(|_| config.kafka.follow == Follow::All)
                .map(kafka::Settings::transactional_id),
            demo,
            audience: Audience::default(),
            live: LiveConnections::new(limits),
            backlog: Backlog::default(),
            uplink: uplink.clone(),
            metrics: metrics.clone(),
            connections: Connections::new(limits, metrics.clone()),
            request_rates: RequestRates::default(),
            failure_log: FailureLog::default(),
            answers: answer_budget(),
        });
        let audit = match state.access.accounts() {
            Some(accounts) => Some(AuditCopier::new(
                accounts.clone(),
                journal.clone(),
                DeviceId::gateway(&config.store)
                    .map_err(|error| ConfigError::for_key("store", error.to_string()))?,
            )),
            None => None,
        };
        let downlink = Arc::new(Downlink::default());
        let stores = Stores::new(config.mqtt.stores.clone());
        let recent_places = RecentPlaces::default();
        let placed_upto = state.projection.placed_upto().await?;
        let kafka = settings.zip(uplink).map(|(settings, uplink)| KafkaParts {
            state_reporter: keys.as_ref().ok().map(|keys| StateReporter {
                settings: settings.clone(),
                key: keys.records.clone(),
                sources: state_sources,
            }),
            relay: Relay {
                settings: settings.clone(),
                keys: keys.clone(),
                journal: journal.clone(),
                peer: state.bridge.clone(),
                metrics: metrics.clone(),
                clock: clock.clone(),
                places: match config.kafka.follow {
                    Follow::Own => Some(PlaceReports {
                        output: output.clone(),
                        positions: positions.clone(),
                        recent_places: recent_places.clone(),
                        placed_upto,
                        is_behind: false.into(),
                    }),
                    Follow::All => None,
                },
                priority: PaymentPriority {
                    at_once: config.kafka.payments_at_once,
                    uplink,
                },
                is_truncating: false.into(),
            },
            read_back: match config.kafka.follow {
                Follow::Own => None,
                Follow::All => Some(ReadBack {
                    settings: settings.clone(),
                    keys,
                    currency: config.currency,
                    journal: journal.clone(),
                    start: follow_from(config, &journal, &clock),
                    positions,
                    peer: state.kafka.clone(),
                    metrics: metrics.clone(),
                    output,
                }),
            },
            spot_check: match config.kafka.follow {
                Follow::Own => Some(SpotCheck {
                    interval: settings.uplink.spot_check_every(),
                    settings: settings.clone(),
                    journal: journal.clone(),
                    recent_places,
                    peer: state.kafka.clone(),
                    metrics: metrics.clone(),
                }),
                Follow::All => None,
            },
            commands: CommandForwarder {
                settings,
                store: config.store.clone(),
                stores: stores.clone(),
                journal: journal.clone(),
                downlink: downlink.clone(),
                presence: state.presence.clone(),
                mqtt: state.mqtt.clone(),
                peer: state.commands.clone(),
                kafka: match config.kafka.follow {
                    Follow::Own => Some(state.kafka.clone()),
                    Follow::All => None,
                },
                clock,
                metrics: metrics.clone(),
                handled: handled_commands,
            },
        });
        let ingest = Ingest {
            url: mqtt.clone(),
            client_id: config.mqtt_client_id(),
            stores,
            journal: journal.clone(),
            decoder,
            downlink,
            presence: state.presence.clone(),
            peer: state.mqtt.clone(),
            metrics,
            refusal_warnings: WarningLimiter::default(),
            card_warnings: WarningLimiter::default(),
        };
        Ok(App {
            state,
            http,
            mqtt,
            mdns: config.http.mdns.clone(),
            personal_data_days: config.retention.personal_data_days,
            archiver,
            certificate,
            journal,
            writer,
            projector,
            ingest,
            listener,
            broker,
            audit,
            alerts,
            kafka,
            run_marker,
        })
    }
}

/// Where a gateway that reads all shops' events starts: at the time of its set-up, unless `kafka.follow_since` is set.
fn follow_from(config: &Config, journal: &Journal, clock: &Clock) -> kafka::InitialPosition {
    let since = match config.kafka.follow_since {
        Some(since) => since.as_millisecond(),
        // An unsynchronised clock may have been years ahead at set-up.
        None if clock.status().synchronisation == Synchronisation::Unsynchronised => 0,
        None => journal
            .signing()
            .since
            .saturating_sub(CLOCK_DIFFERENCE.as_millis() as i64),
    };
    match since {
        ..=0 => kafka::InitialPosition::Beginning,
        since => kafka::InitialPosition::Since(since),
    }
}

async fn open_journal(config: &Config) -> anyhow::Result<(Journal, Writer)> {
    match Journal::open(&config.journal.path, config.journal.max_bytes).await {
        Err(error @ OpenError::Unreadable { .. }) => {
            Err(ConfigError::for_key("journal.path", error.to_string()).into())
        }
        result => {
            let (journal, writer) = result?;
            Ok((journal, writer.of_store(&config.store)))
        }
    }
}

/// Opens the shop's secret. The journal records its public name. Without a secret the gateway sells and buffers.
async fn shop_secret(
    config: &Config,
    journal: &Journal,
    writer: &mut Writer,
) -> anyhow::Result<Result<ShopSecret, SecretProblem>> {
    let known = journal.signing().secret;
    let (secret, in_place_of_lost) = match shop_secret::start(&config.journal.path, known.as_deref()) {
        Ok(Startup::Known(secret)) => return Ok(Ok(secret)),
        Ok(Startup::New(secret)) => (secret, false),
        Ok(Startup::Replacement(secret)) => (secret, true),
        Err(problem) => {
            error!(%problem, "the shop's secret cannot be used");
            return Ok(Err(problem));
        }
    };
    writer.bind_secret(&secret.id(), in_place_of_lost).await?;
    if in_place_of_lost {
        warn!(
            "the shop has a new secret: what the lost one signed counts if it matches the journal, and only once"
        );
    }
    Ok(Ok(secret))
}

/// The projection's database, next to the journal: `journal.db` has `journal-dashboard.db`.
fn projection_path(config: &Config) -> PathBuf {
    beside_journal(config, "dashboard")
}

/// The database of users and sessions: `journal.db` has `journal-accounts.db`.
pub fn accounts_path(config: &Config) -> PathBuf {
    beside_journal(config, "accounts")
}

fn beside_journal(config: &Config, name: &str) -> PathBuf {
    let path = &config.journal.path;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{name}.db"))
}

/// Opens the accounts, unless `http.open` is set. If `http.password` cannot be stored, the gateway starts anyway: sales
/// do not depend on it.
async fn open_access(config: &Config) -> anyhow::Result<Access> {
    if config.http.open {
        return Ok(Access::Open);
    }
    let accounts = Accounts::new(&accounts_path(config), &config.store);
    if let Some(password) = &config.http.password
        && let Err(error) = accounts.adopt_password(password).await
    {
        error!(%error, "http.password could not be stored as the password of the user admin");
    }
    Ok(Access::Accounts {
        accounts,
        plain_sign_in: config.http.plain_sign_in,
    })
}

/// Binds `http.listen` and writes the bound port to `http.port_file`.
async fn bind_http(config: &Config) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listen = config.http.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        ConfigError::for_key("http.listen", format!("cannot listen on {listen}: {error}"))
    })?;
    let http = listener.local_addr()?;
    if let Some(file) = &config.http.port_file {
        std::fs::write(file, http.port().to_string()).map_err(|error| {
            ConfigError::for_key(
                "http.port_file",
                format!("cannot write {}: {error}", file.display()),
            )
        })?;
    }
    Ok((listener, http))
}

/// Starts the built-in MQTT broker if one is configured, and returns the URL that ingest connects to.
async fn start_broker(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(Option<EmbeddedBroker>, MqttUrl)> {
    let Some(listen) = config.mqtt.embedded else {
        return Ok((None, config.mqtt.url.clone()));
    };
    let gateway = GatewayClient::new(config.mqtt_client_id());
    let credentials = Some((gateway.user_name.clone(), gateway.password.clone()));
    let broker = EmbeddedBroker::start(listen, gateway, Arc::clone(metrics))
        .await
        .map_err(|error| ConfigError::for_key("mqtt.embedded", error.to_string()))?;
    let address = address::reachable(broker.address()?);
    let url = MqttUrl {
        host: address.ip().to_string(),
        port: address.port(),
        tls: false,
        credentials,
    };
    Ok((Some(broker), url))
}
