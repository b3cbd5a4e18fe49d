//! Publishes this gateway's state to Kafka, for those who monitor many shops. `docs/adr/0016-gateway-states.md` has the
//! reasons.

pub mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use comptoir_core::mac::{MAC_HEADER, MacKey};
use comptoir_journal::{Journal, ReadError};
use comptoir_kafka::{self as kafka, Deadline, Publisher, Record, Settings};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::archive::automatic::ArchiveStatus;
use crate::ingest::presence::Presence;
use crate::platform::clock::{Clock, Synchronisation};
use crate::platform::closing_key::PublicKey;
use crate::platform::handled_commands::HandledRange;
use crate::platform::last_exit::LastExit;
use crate::platform::peer::{Peer, PeerState};
use crate::platform::uplink::UplinkMeter;
use state::{Commands, Conditions, DeviceState, GatewayState, JournalLevel, Trouble};

/// Timeout of one publish.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the first state waits for the bridge, which creates the topic.
const BRIDGE_START: Duration = Duration::from_secs(30);
/// The same limit as in `GET /api/gateway`.
const MAX_DEVICES: u32 = 8_192;

/// The parts that a state is collected from.
#[derive(Clone)]
pub struct StateSources {
    pub store: String,
    pub closing_key: Option<PublicKey>,
    pub archive: Arc<ArchiveStatus>,
    pub journal: Journal,
    pub presence: Arc<Presence>,
    pub mqtt: Peer,
    pub kafka: Peer,
    pub bridge: Peer,
    pub commands: Peer,
    pub clock: Clock,
    pub started: Instant,
    pub last_exit: LastExit,
    pub handled_commands: Arc<HandledRange>,
    /// `None` without Kafka.
    pub uplink: Option<Arc<UplinkMeter>>,
}

/// Publishes states.
pub struct StateReporter {
    pub settings: Settings,
    pub key: MacKey,
    pub sources: StateSources,
}

/// The newest state that is in Kafka.
struct Published {
    at: Instant,
    conditions: Conditions,
}

/// The progress of publishing.
#[derive(Default)]
struct Progress {
    published: Option<Published>,
    /// Kept open between records, unless the uplink is metered.
    publisher: Option<Publisher>,
    /// Whether the last attempt failed.
    has_failed: bool,
}

impl StateReporter {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.publish_all(&stop)).await;
    }

    async fn publish_all(&self, stop: &CancellationToken) {
        let mut bridge = self.sources.bridge.watch();
        let is_up = bridge.wait_for(|status| status.state == PeerState::Up);
        // After the timeout the state is published anyway: head office should know if the bridge cannot start.
        let _ = tokio::time::timeout(BRIDGE_START, is_up).await;
        let mut progress = Progress::default();
        loop {
            match self.sources.state(self.settings.uplink.state_every()).await {
                Ok(state) => self.publish_if_due(&state, &mut progress, stop).await,
                // Other users of the journal report this.
                Err(error) => debug!(%error, "the gateway's state could not be read"),
            }
            tokio::time::sleep(self.settings.uplink.state_changes_every()).await;
        }
    }

    /// Publishes a state if the newest one in Kafka is too old or has different conditions.
    async fn publish_if_due(&self, state: &GatewayState, progress: &mut Progress, stop: &CancellationToken) {
        let uplink = self.settings.uplink;
        let conditions = state.conditions();
        let is_current = |published: &Published| {
            published.conditions == conditions && published.at.elapsed() < uplink.state_every()
        };
        if progress.published.as_ref().is_some_and(is_current) {
            return;
        }
        match self.publish(state, progress.publisher.take(), stop).await {
            Ok(publisher) => {
                progress.published = Some(Published {
                    at: Instant::now(),
                    conditions,
                });
                // With a metered uplink, records are so rare that an idle connection would cost more than it saves.
                progress.publisher = uplink.delay().is_none().then_some(publisher);
                progress.has_failed = false;
            }
            // The bridge reports that Kafka is unreachable.
            Err(error) if progress.has_failed || !self.sources.bridge.is_up() => {
                debug!(%error, "the gateway's state could not be published");
                progress.has_failed = true;
            }
            Err(error) => {
                warn!(
                    %error,
                    "the gateway's state could not be published, so head office does not see it; the gateway tries again"
                );
                progress.has_failed = true;
            }
        }
    }

    /// Publishes a state and returns the producer for reuse.
    async fn publish(
        &self,
        state: &GatewayState,
        publisher: Option<Publisher>,
        stop: &CancellationToken,
    ) -> Result<Publisher, kafka::Error> {
        let (settings, store) = (self.settings.clone(), self.sources.store.clone());
        let value = state.json();
        let code = state::sign(&store, value.as_bytes(), &self.key);
        let stop = stop.clone();
        let send = move || {
            let publisher = match publisher {
                Some(publisher) => publisher,
                None => Publisher::new(&settings)?,
            };
            let record = Record {
                topic: &settings.topic(kafka::GATEWAYS),
                partition: None,
                key: store.as_bytes(),
                payload: value.as_bytes(),
                headers: &[(MAC_HEADER, code.as_bytes())],
                id: 0,
            };
            publisher.publish(&record, &Deadline::new(TIMEOUT, &stop))?;
            Ok(publisher)
        };
        match tokio::task::spawn_blocking(send).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

impl StateSources {
    /// The current state. `every` is the longest time until the next one.
    async fn state(&self, every: Duration) -> Result<GatewayState, ReadError> {
        let journal = self.journal.state();
        let oldest = self.journal.oldest_pending().await?;
        self.journal.settle_reports().await;
        let devices = self.journal.devices(MAX_DEVICES).await?;
        let mut state = GatewayState {
            time: self.clock.time_of(Instant::now()),
            version: env!("CARGO_PKG_VERSION"),
            started: self.clock.time_of(self.started),
            last_exit: self.last_exit,
            problems: self.problems(),
            journal: JournalLevel {
                bytes: journal.bytes,
                max_bytes: journal.max_bytes,
                pending: journal.pending(),
                oldest_pending: oldest.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            },
            disk_free: disk_free(&self.journal),
            dead_letters: journal.dead_letters,
            commands: Commands(self.handled_commands.range()),
            closing_key: self.closing_key,
            devices: Vec::new(),
            more_devices: 0,
            every: every.as_secs(),
        };
        let devices = devices.iter();
        state.set_devices(
            devices
                .map(|report| DeviceState::new(report, &self.store, self.presence.is_online(&report.device)))
                .collect(),
        );
        Ok(state)
    }

    /// What is wrong at present.
    pub fn problems(&self) -> Vec<Trouble> {
        let journal = self.journal.state();
        let is_down = |peer: &Peer| peer.status().state == PeerState::Down;
        let peers = [&self.mqtt, &self.kafka, &self.bridge, &self.commands];
        let has_warnings = peers.iter().any(|peer| !peer.status().warnings.is_empty());
        let is_unsynchronised = self.clock.status().synchronisation == Synchronisation::Unsynchronised;
        let is_restricted = self
            .uplink
            .as_ref()
            .is_some_and(|uplink| uplink.is_nearly_used_up());
        [
            (Trouble::MqttDown, is_down(&self.mqtt)),
            (Trouble::BridgeDown, is_down(&self.bridge)),
            (Trouble::PaymentsOnly, is_restricted),
            (Trouble::CommandsDown, is_down(&self.commands)),
            (Trouble::Warnings, has_warnings),
            (Trouble::JournalRefusing, journal.refusing),
            (Trouble::EventsLost, journal.lost > 0),
            (Trouble::DevicesRefused, !self.journal.refusals().is_empty()),
            (Trouble::ArchiveFailing, self.archive.has_problem()),
            (Trouble::ClockUnsynchronised, is_unsynchronised),
        ]
        .into_iter()
        .filter_map(|(trouble, is_present)| is_present.then_some(trouble))
        .collect()
    }
}

/// Free bytes of the journal's file system that are available to unprivileged users.
fn disk_free(journal: &Journal) -> Option<u64> {
    let status = rustix::fs::statvfs(journal.path().parent()?).ok()?;
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}
