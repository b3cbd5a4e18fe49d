//! Health checks of the gateway's parts, for systemd's watchdog.
//!
//! The checks run inside the process. A request to the gateway's own port would fail if somebody on the network had
//! taken all its connections, and systemd would kill a working gateway.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::http::connections::Connections;
use crate::projection::Projection;
use comptoir_journal::Journal;

/// How often the check tests whether the accept loop has made a turn.
const TURN_POLL: Duration = Duration::from_millis(50);

/// The parts to check.
#[derive(Clone)]
pub struct Health {
    pub(super) journal: Journal,
    pub(super) projection: Projection,
    pub(super) connections: Arc<Connections>,
}

/// The part that did not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unresponsive {
    #[error("the runtime runs no new tasks")]
    Runtime,
    #[error("the journal's writer does not answer")]
    Journal,
    #[error("the projection does not answer")]
    Projection,
    #[error("the HTTP port accepts no connections")]
    Http,
}

impl Health {
    /// Checks all parts concurrently.
    ///
    /// # Errors
    /// A part did not answer within `deadline`.
    pub async fn check(&self, deadline: Duration) -> Result<(), Unresponsive> {
        let runtime = async { drop(tokio::spawn(tokio::task::yield_now()).await) };
        let answers = tokio::join!(
            answers_within(deadline, runtime),
            answers_within(deadline, self.journal.ping()),
            answers_within(deadline, self.projection.ping()),
            answers_within(deadline, self.next_turn()),
        );
        match answers {
            (false, ..) => Err(Unresponsive::Runtime),
            // While the disk fails, the writer waits for it. `/readyz` reports that, and a restart would not help.
            (_, false, ..) if !self.journal.state().refusing => Err(Unresponsive::Journal),
            (_, _, false, _) => Err(Unresponsive::Projection),
            (.., false) => Err(Unresponsive::Http),
            _ => Ok(()),
        }
    }

    async fn next_turn(&self) {
        let before = self.connections.turns();
        while self.connections.turns() == before {
            tokio::time::sleep(TURN_POLL).await;
        }
    }
}

async fn answers_within(deadline: Duration, answer: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(deadline, answer).await.is_ok()
}
