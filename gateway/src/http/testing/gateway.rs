//! The HTTP part of a gateway on real files. Tests can break the other parts.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Follow;
use crate::http::connections::{ConnectionLimits, Connections};
use crate::http::{
    Access, AppState, Audience, Backlog, FailureLog, LiveConnections, RequestRates, answer_budget, router,
};
use crate::ingest::decode::Decoder;
use crate::ingest::presence::Presence;
use crate::platform::clock::Clock;
use crate::platform::closing_key::ClosingKey;
use crate::platform::metrics::Metrics;
use crate::platform::peer::{Peer, PeerState};
use crate::projection::{self, Home, Projector};
use comptoir_core::Secret;
use comptoir_core::event::DeviceId;
use comptoir_core::sale::Currency;
use comptoir_core::shop_secret::ShopSecret;
use comptoir_identity::{Accounts, Role, UserName};
use comptoir_journal::{EntryKind, Journal, Numbering, Payload, Submission, Writer};

const STORE: &str = "paris-1";
pub const PASSWORD: &str = "sésame ouvre-toi";

pub struct TestGateway {
    pub app: Arc<AppState>,
    folder: TempDir,
    accounts_folder: Option<TempDir>,
    /// Parts that are not running. They are kept alive, so that requests to them wait instead of failing.
    _idle: (Option<Writer>, Option<Projector>),
}

/// How the gateway differs from a normal one.
struct Setup {
    max_bytes: u64,
    has_writer: bool,
    has_projector: bool,
    /// SQL that changes the journal file before the gateway starts.
    journal_sql: Option<&'static str>,
    time_zone: TimeZone,
}

const WORKING: Setup = Setup {
    time_zone: TimeZone::UTC,
    max_bytes: 1 << 30,
    has_writer: true,
    has_projector: true,
    journal_sql: None,
};

impl TestGateway {
    pub async fn start() -> Self {
        Self::build(WORKING, |_| {}).await
    }

    pub async fn with_state(adapt: impl FnOnce(&mut AppState)) -> Self {
        Self::build(WORKING, adapt).await
    }

    pub async fn with_max_bytes(max_bytes: u64) -> Self {
        Self::build(Setup { max_bytes, ..WORKING }, |_| {}).await
    }

    pub async fn with_journal(sql: &'static str) -> Self {
        let journal_sql = Some(sql);
        Self::build(
            Setup {
                journal_sql,
                ..WORKING
            },
            |_| {},
        )
        .await
    }

    pub async fn in_time_zone(time_zone: TimeZone) -> Self {
        Self::build(Setup { time_zone, ..WORKING }, |_| {}).await
    }

    pub async fn without_writer() -> Self {
        Self::build(
            Setup {
                has_writer: false,
                ..WORKING
            },
            |_| {},
        )
        .await
    }

    pub async fn without_projector() -> Self {
        Self::build(
            Setup {
                has_projector: false,
                ..WORKING
            },
            |_| {},
        )
        .await
    }

    async fn build(setup: Setup, adapt: impl FnOnce(&mut AppState)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        if let Some(sql) = setup.journal_sql {
            let (journal, writer) = Journal::open(&path, setup.max_bytes).await.unwrap();
            tokio::join!(writer.run(), journal.close());
            execute(path.clone(), sql).await;
        }
        let (journal, writer) = Journal::open(&path, setup.max_bytes).await.unwrap();
        let currency = Currency::EUR;
        let (_, bridge) = mpsc::channel(1);
        let (projection, projector, positions) = projection::open(
            &folder.path().join("projection.db"),
            journal.clone(),
            Home {
                store: STORE.to_owned(),
                currency,
                time_zone: setup.time_zone.clone(),
            },
            String::new(),
            bridge,
        )
        .await
        .unwrap();
        let (mut idle_writer, mut idle_projector) = (Some(writer), Some(projector));
        if let Some(writer) = idle_writer.take_if(|_| setup.has_writer) {
            tokio::spawn(writer.of_store(STORE).run());
        }
        if let Some(projector) = idle_projector.take_if(|_| setup.has_projector) {
            tokio::spawn(projector.run(CancellationToken::new()));
        }
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut app = AppState {
            store: STORE.to_owned(),
            currency,
            time_zone: setup.time_zone,
            invents: true,
            settings_problems: Vec::new(),
            access: Access::Open,
            hosts: Vec::new(),
            archive: None,
            closing_key: Some(Arc::new(ClosingKey::of(&ShopSecret::new([7; 32])))),
            closing_turn: tokio::sync::Mutex::default(),
            journal,
            projection,
            decoder: Decoder {
                store: STORE.to_owned(),
                currency,
            },
            presence: Arc::new(Presence::default()),
            positions,
            mqtt: Peer::new("MQTT broker", PeerState::Up),
            kafka: Peer::new("Kafka", PeerState::Off),
            bridge: Peer::new("bridge to Kafka", PeerState::Off),
            commands: Peer::new("commands from Kafka", PeerState::Off),
            clock: Clock::new(),
            alerts: None,
            tls: None,
            follow: Follow::default(),
            consumer_group: None,
            demo: None,
            audience: Audience::default(),
            live: LiveConnections::new(ConnectionLimits::new(1_024)),
            backlog: Backlog::default(),
            uplink: None,
            metrics: Arc::clone(&metrics),
            connections: Connections::new(ConnectionLimits::new(1_024), metrics),
            request_rates: RequestRates::default(),
            failure_log: FailureLog::default(),
            answers: answer_budget(),
        };
        adapt(&mut app);
        Self {
            app: Arc::new(app),
            folder,
            accounts_folder: None,
            _idle: (idle_writer, idle_projector),
        }
    }

    /// A gateway with one user: `admin` with [`PASSWORD`].
    pub async fn with_users() -> Self {
        let gateway = Self::not_set_up().await;
        let admin = UserName::new("admin").unwrap();
        gateway
            .accounts()
            .add_user(&admin, Role::Administrator, &Secret::new(PASSWORD))
            .await
            .unwrap();
        gateway
    }

    /// A gateway that waits for its first administrator.
    pub async fn not_set_up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::new(&folder.path().join("accounts.db"), "paris-1");
        let access = Access::Accounts {
            accounts,
            plain_sign_in: false,
        };
        let mut gateway = Self::with_state(|app| app.access = access).await;
        gateway.accounts_folder = Some(folder);
        gateway
    }

    pub fn accounts(&self) -> &Accounts {
        self.app.access.accounts().unwrap()
    }

    /// The secret of a new token with this role.
    pub async fn token(&self, role: Role) -> Secret {
        self.accounts().add_token("a test", role, None).await.unwrap().1
    }

    pub fn router(&self) -> Router {
        router(&self.app).0
    }

    /// Changes the journal file behind the gateway's back.
    pub async fn journal_sql(&self, sql: &'static str) {
        execute(self.folder.path().join("journal.db"), sql).await;
    }

    /// Changes the accounts file behind the gateway's back.
    pub async fn accounts_sql(&self, sql: &'static str) {
        let folder = self.accounts_folder.as_ref().unwrap().path();
        execute(folder.join("accounts.db"), sql).await;
    }

    /// Changes the projection file behind the gateway's back.
    pub async fn projection_sql(&self, sql: &'static str) {
        execute(self.folder.path().join("projection.db"), sql).await;
    }

    /// Stores bytes from a payments topic as a dead letter. The first one gets offset 1.
    pub async fn dead_letter(&self, bytes: &[u8], reason: &str) {
        let letter = Submission {
            device: DeviceId::new(STORE, "till-1").unwrap(),
            encoding: None,
            numbering: Numbering::Gateway { fingerprint: None },
            kind: EntryKind::DeadLetter,
            time: Timestamp::now().as_millisecond(),
            key: format!("pos/{STORE}/till-1/payments").into(),
            payload: Payload::Bytes(bytes.into()),
            reason: Some(reason.into()),
        };
        self.app.journal.append(vec![letter]).await.unwrap();
    }

    /// Adds a metric that cannot be encoded.
    pub fn break_metrics(&self) {
        let nameless = Box::new(NamelessMetric);
        self.app.metrics.registry.register(nameless).unwrap();
    }
}

async fn execute(path: PathBuf, sql: &'static str) {
    let url = format!("sqlite://{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

struct NamelessMetric;

impl Collector for NamelessMetric {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_metric(vec![Metric::default()]);
        vec![family]
    }
}
