//! MQTT in: from a till's publish to its ack.
//!
//! One connection is a pipeline of loops connected by bounded channels (`pipeline.rs`):
//!
//! ```text
//! read ──publishes──▶ decode ──batches──▶ journal
//!                                            │ committed and fsynced
//! write ◀──PUBACKs──── acknowledge ◀─────────┘ receipts
//!   ▲                        │
//!   └──acks, commands── downlink
//! ```
//!
//! `read`, `decode` and `acknowledge` wait only for the journal, and `write` only for the MQTT broker to accept the
//! bytes. So there is no circular wait, and PUBACKs go out however slow the disk is.
//!
//! The gateway holds at most [`RECEIVE_MAXIMUM`] publishes without a PUBACK, with at most `UNACKED_KIB` of payload. It
//! announces that number as its Receive Maximum. If the broker exceeds it, the gateway stops reading until there is
//! room, and TCP applies backpressure. PUBACKs go out in order of receipt and only after the commit. If the journal
//! refuses events, the gateway disconnects, and reconnects when there is room; the tills keep their events until they
//! get an ack.
//!
//! The session is persistent: the broker redelivers every publish without a PUBACK. A PUBACK always goes out on the
//! connection on which its publish arrived, because each connection has its own pipeline.

mod advice;
mod backoff;
mod connection;
pub mod decode;
pub mod downlink;
mod error;
mod limits;
mod pipeline;
pub mod presence;
mod puback_watch;
mod report;
#[cfg(test)]
mod rig;
mod stores;
mod subscription;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unusable_broker_tests;

use std::sync::Arc;
use std::time::Duration;

use comptoir_mqtt::Error as SessionError;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info_span};

use crate::config::MqttUrl;
use crate::platform::metrics::Metrics;
use crate::platform::peer::{Peer, WarningLimiter};
use backoff::{Attempt, Backoff, Cause};
use comptoir_journal::{AppendError, Journal};
pub use connection::check_broker;
use connection::{Connection, ConnectionRequest};
use decode::Decoder;
use downlink::Downlink;
pub use error::ConnectionError;
use pipeline::Pipeline;
use presence::Presence;
use report::{Report, SUMMARY_INTERVAL};
pub use stores::Stores;

/// Most publishes held without a PUBACK.
pub const RECEIVE_MAXIMUM: u16 = 1_000;

/// The inputs of ingest; see [`Ingest::run`].
pub struct Ingest {
    pub url: MqttUrl,
    /// Two clients with the same client id disconnect each other.
    pub client_id: String,
    pub stores: Stores,
    pub journal: Journal,
    pub decoder: Decoder,
    pub downlink: Arc<Downlink>,
    pub presence: Arc<Presence>,
    /// Shows the connection status.
    pub peer: Peer,
    pub metrics: Arc<Metrics>,
    /// Limits the log lines about publishes refused by the broker.
    pub refusal_warnings: WarningLimiter,
    /// Limits the log lines about masked card numbers.
    pub card_warnings: WarningLimiter,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum IngestError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Journal(#[from] AppendError),
}

impl From<SessionError> for IngestError {
    fn from(error: SessionError) -> Self {
        Self::Connection(error.into())
    }
}

impl IngestError {
    fn cause(&self) -> Cause {
        match self {
            Self::Connection(error) => error.cause(),
            Self::Journal(_) => Cause::Journal,
        }
    }

    fn is_about_retain(&self) -> bool {
        matches!(self, Self::Connection(error) if error.is_about_retain())
    }
}

/// How far one connection got. Decides how soon the next attempt follows.
#[derive(Default)]
struct Progress {
    /// When the broker granted the subscriptions.
    subscribed_at: Option<Instant>,
    /// Whether the broker acknowledged an ack or a command.
    has_delivered: bool,
}

impl Ingest {
    /// Connects, and reconnects after each loss, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let report = Report::new(self.peer.clone());
        let summaries = async {
            let mut interval = interval_at(Instant::now() + SUMMARY_INTERVAL, SUMMARY_INTERVAL);
            loop {
                interval.tick().await;
                report.summarise();
            }
        };
        tokio::select! {
            () = self.reconnect_until(&stop, &report) => {}
            () = summaries => {}
        }
    }

    async fn reconnect_until(&self, stop: &CancellationToken, report: &Report) {
        let mut backoff = Backoff::new();
        // Some brokers refuse the retain flag although their CONNACK allows it.
        let mut may_retain = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.journal.wait_until_accepting() => {}
            }
            let span = info_span!("mqtt", client_id = self.client_id);
            let mut progress = Progress::default();
            let connection = self.serve_connection(stop, report, may_retain, &mut progress);
            let end = connection.instrument(span.clone()).await;
            self.downlink.disconnected();
            self.presence.disconnected();
            let error = match end {
                Ok(()) | Err(IngestError::Journal(AppendError::Closed)) => return,
                Err(error) => error,
            };
            may_retain &= !error.is_about_retain();
            let subscribed_at = progress.subscribed_at;
            let attempt = backoff.classify(Attempt {
                cause: error.cause(),
                lasted: subscribed_at.map_or(Duration::ZERO, |since| since.elapsed()),
                has_delivered: progress.has_delivered,
            });
            let problem = match (&error, attempt.cause) {
                (IngestError::Connection(ConnectionError::Session(SessionError::Closed)), Cause::Twin) => {
                    ConnectionError::PerhapsTakenOver(self.client_id.clone()).to_string()
                }
                _ => error.to_string(),
            };
            span.in_scope(|| report.disconnected(problem, attempt.cause));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.pause_after(attempt)) => {}
            }
        }
    }

    /// Serves one connection, from CONNECT until it is lost, or until `stop` and everything received is committed.
    async fn serve_connection(
        &self,
        stop: &CancellationToken,
        report: &Report,
        may_retain: bool,
        progress: &mut Progress,
    ) -> Result<(), IngestError> {
        let topics = self.stores.topics();
        let opening = connection::open(ConnectionRequest {
            url: &self.url,
            client_id: &self.client_id,
            receive_maximum: RECEIVE_MAXIMUM,
            topics: &topics,
            former_topics: self.stores.former_topics(),
        });
        let Connection {
            input,
            output,
            session_present,
            mut limits,
        } = opening.await?;
        if !may_retain {
            limits.disable_retain();
        }
        debug!(session_present, ?limits, "MQTT session");
        self.downlink.connected(limits.receive_maximum, limits.retain);
        let pipeline = Pipeline {
            ingest: self,
            report,
            stop,
        };
        pipeline.run(input, output, topics, limits, progress).await
    }
}
