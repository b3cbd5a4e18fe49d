//! One connection: the state, what was missed, then every tick.

use std::time::Duration;

use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::tick::{Json, write};
use crate::dashboard::sales::item;
use crate::dashboard::status::{gateway_status, stats_of};
use crate::dashboard::{Shop, dto};
use crate::event::Kind;
use crate::journal::{EntryKind, Offset, ReadError};
use crate::projection::Listed;

/// A client that takes nothing is asked again after this time.
const FULL: Duration = Duration::from_millis(10);
/// Entries that are read at a time for a client that was away.
const MISSED: usize = 500;
const MISSED_BYTES: usize = 1 << 20;

/// Why a conversation has ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the client has gone")]
    Gone,
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Talks to one client until it goes.
pub async fn serve(socket: &SocketRef, auth: dto::Auth, shop: &Shop) {
    let gone = CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    let talk = Talk { socket, auth, shop };
    tokio::select! {
        () = gone.cancelled() => {}
        ended = talk.run() => {
            if let Err(Ended::Read(error)) = ended {
                // The client connects again by itself, and gets everything.
                debug!(%error, "a page's connection is closed");
                let _ = socket.clone().disconnect();
            }
        }
    }
}

struct Talk<'a> {
    socket: &'a SocketRef,
    auth: dto::Auth,
    shop: &'a Shop,
}

/// What a client has been told.
struct Told {
    version: u64,
    folded: Offset,
}

impl Talk<'_> {
    async fn run(&self) -> Result<(), Ended> {
        let _seat = self.shop.audience.join(self.auth.batch);
        // Before the state: what is not in that comes as a tick.
        let mut ticks = self.shop.audience.ticks.subscribe();
        let mut told = self.state().await?;
        if let Some(after) = self.auth.after.filter(|_| !self.auth.batch) {
            self.missed(Offset(after), told.folded).await?;
        }
        loop {
            match ticks.recv().await {
                Ok(tick) if tick.again => told = self.state().await?,
                Ok(tick) => {
                    if self.auth.batch {
                        if let Some(batch) = &tick.batch {
                            self.send("batch", batch).await?;
                        }
                        continue;
                    }
                    let news = |version: Option<u64>| version.is_none_or(|version| version > told.version);
                    for single in tick.singles.iter().filter(|single| news(single.version)) {
                        self.send(single.event, &single.data).await?;
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    ticks = ticks.resubscribe();
                    told = self.state().await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// `initial_data`.
    async fn state(&self) -> Result<Told, Ended> {
        let shop = self.shop;
        let gateway = gateway_status(shop).await?;
        let watermark = shop.journal.state().watermark;
        // Before the rows, so that what is missing of these is not in the totals either, but comes after.
        let view = shop.projection.view();
        let (version, rows) = shop.projection.recent(|recent| {
            let rows = Kind::ALL.map(|kind| {
                let newest = recent.newest(kind);
                newest.map(|(_, row)| row.clone()).collect::<Vec<Listed>>()
            });
            (recent.version, rows)
        });
        let [orders, payments, deliveries] = rows.map(|rows| {
            rows.iter()
                .filter_map(|row| item(row, watermark))
                .collect::<Vec<Json>>()
        });
        let state = dto::InitialData {
            orders,
            payments,
            deliveries,
            stats: stats_of(&view.totals, shop.currency),
            gateway,
        };
        self.send("initial_data", &write(&state)).await?;
        Ok(Told {
            version,
            folded: view.folded,
        })
    }

    /// The events after the last one that the client had, in the order of the journal.
    async fn missed(&self, mut after: Offset, upto: Offset) -> Result<(), Ended> {
        while after < upto {
            let entries = self.shop.journal.read(after, MISSED, MISSED_BYTES).await?;
            let watermark = self.shop.journal.state().watermark;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.offset;
            for entry in entries.into_iter().filter(|entry| entry.offset <= upto) {
                let event = match entry.kind {
                    EntryKind::Event(kind) => super::tick::event(kind),
                    EntryKind::DeadLetter => continue,
                };
                if let Some(json) = item(&Listed::own(entry), watermark) {
                    self.send(event, &json).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits while the connection is full; ticks that pile up meanwhile are replaced by the state.
    async fn send(&self, event: &'static str, data: &Json) -> Result<(), Ended> {
        loop {
            match self.socket.emit(event, data) {
                Ok(()) => return Ok(()),
                Err(SendError::Socket(SocketError::InternalChannelFull)) => tokio::time::sleep(FULL).await,
                Err(_) => return Err(Ended::Gone),
            }
        }
    }
}
