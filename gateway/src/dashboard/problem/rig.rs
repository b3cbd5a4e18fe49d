//! A gateway's HTTP side on real files, whose parts can be broken.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Secret;
use crate::dashboard::{Audience, Backlog, Password, Shop, router};
use crate::event::DeviceId;
use crate::ingest::decode::Decoder;
use crate::ingest::presence::Presence;
use crate::journal::{EntryKind, Journal, Numbering, Payload, Submission, Writer};
use crate::link::{Link, LinkState};
use crate::metrics::Metrics;
use crate::projection::{self, Folder, Home};
use crate::sale::Currency;

const STORE: &str = "paris-1";

pub struct Rig {
    pub shop: Arc<Shop>,
    folder: TempDir,
    /// Those that do not run are kept, so that requests to them wait.
    _idle: (Option<Writer>, Option<Folder>),
}

/// What is not as it is in a gateway that works.
struct Setup {
    max_bytes: u64,
    writes: bool,
    folds: bool,
    /// Done to the journal's file before the gateway starts.
    journal_sql: Option<&'static str>,
}

const SOUND: Setup = Setup {
    max_bytes: 1 << 30,
    writes: true,
    folds: true,
    journal_sql: None,
};

impl Rig {
    pub async fn start() -> Self {
        Self::build(SOUND, |_| {}).await
    }

    pub async fn adapted(adapt: impl FnOnce(&mut Shop)) -> Self {
        Self::build(SOUND, adapt).await
    }

    pub async fn with_max_bytes(max_bytes: u64) -> Self {
        Self::build(Setup { max_bytes, ..SOUND }, |_| {}).await
    }

    pub async fn with_journal(sql: &'static str) -> Self {
        let journal_sql = Some(sql);
        Self::build(Setup { journal_sql, ..SOUND }, |_| {}).await
    }

    pub async fn without_writer() -> Self {
        Self::build(
            Setup {
                writes: false,
                ..SOUND
            },
            |_| {},
        )
        .await
    }

    pub async fn without_fold() -> Self {
        Self::build(
            Setup {
                folds: false,
                ..SOUND
            },
            |_| {},
        )
        .await
    }

    async fn build(setup: Setup, adapt: impl FnOnce(&mut Shop)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        if let Some(sql) = setup.journal_sql {
            let (journal, writer) = Journal::open(&path, setup.max_bytes).await.unwrap();
            tokio::join!(writer.run(), journal.close());
            execute(path.clone(), sql).await;
        }
        let (journal, writer) = Journal::open(&path, setup.max_bytes).await.unwrap();
        let currency = Currency::EUR;
        let (_, read_back) = mpsc::channel(1);
        let (projection, fold, positions) = projection::open(
            &folder.path().join("projection.db"),
            journal.clone(),
            Home {
                store: STORE.to_owned(),
                currency,
            },
            String::new(),
            read_back,
        )
        .await
        .unwrap();
        let (mut idle_writer, mut idle_fold) = (Some(writer), Some(fold));
        if let Some(writer) = idle_writer.take_if(|_| setup.writes) {
            tokio::spawn(writer.run());
        }
        if let Some(fold) = idle_fold.take_if(|_| setup.folds) {
            tokio::spawn(fold.run(CancellationToken::new()));
        }
        let mut shop = Shop {
            store: STORE.to_owned(),
            currency,
            settings_problems: Vec::new(),
            password: None,
            hosts: Vec::new(),
            journal,
            projection,
            decoder: Decoder {
                store: STORE.to_owned(),
                currency,
            },
            presence: Arc::new(Presence::default()),
            positions,
            mqtt: Link::new("MQTT broker", LinkState::Up),
            kafka: Link::new("Kafka", LinkState::Off),
            bridge: Link::new("bridge to Kafka", LinkState::Off),
            commands: Link::new("commands from Kafka", LinkState::Off),
            clock: Clock::new(),
            consumer_group: None,
            demo: None,
            audience: Audience::default(),
            backlog: Backlog::default(),
            metrics: Arc::new(Metrics::new().unwrap()),
        };
        adapt(&mut shop);
        Self {
            shop: Arc::new(shop),
            folder,
            _idle: (idle_writer, idle_fold),
        }
    }

    pub fn password() -> Password {
        Password::new(&Secret::new("sésame"))
    }

    pub fn router(&self) -> Router {
        router(&self.shop).0
    }

    /// Changes the journal's file behind the gateway's back.
    pub async fn journal_sql(&self, sql: &'static str) {
        execute(self.folder.path().join("journal.db"), sql).await;
    }

    /// Changes the projection's file behind the gateway's back.
    pub async fn projection_sql(&self, sql: &'static str) {
        execute(self.folder.path().join("projection.db"), sql).await;
    }

    /// Journals bytes that came on a topic for payments as if they could not be decoded. The first one is at offset 1.
    pub async fn dead_letter(&self, bytes: &[u8]) {
        let letter = Submission {
            device: DeviceId::new(STORE, "till-1").unwrap(),
            encoding: None,
            numbering: Numbering::Gateway { fingerprint: None },
            kind: EntryKind::DeadLetter,
            time: Timestamp::now().as_millisecond(),
            key: format!("pos/{STORE}/till-1/payments").into(),
            payload: Payload::Bytes(bytes.into()),
            reason: Some("as this test wants it".into()),
        };
        self.shop.journal.append(vec![letter]).await.unwrap();
    }

    /// Adds a metric that cannot be written.
    pub fn break_metrics(&self) {
        let nameless = Box::new(NamelessMetric);
        self.shop.metrics.registry.register(nameless).unwrap();
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
