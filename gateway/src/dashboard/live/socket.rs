//! One connection: the state, what was missed, then every tick.

use std::time::{Duration, Instant};

use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::history::Next;
use super::pace::Pace;
use super::tick::{self, Json, write};
use crate::dashboard::sales::item;
use crate::dashboard::status::{gateway_status, stats_of};
use crate::dashboard::{Shop, dto};
use crate::event::Kind;
use crate::journal::{EntryKind, Offset, ReadError};
use crate::projection::{Confirmed, Listed, ProjectionError};

/// Ticks that wait for a slow client of batches: after more of them the state is less.
const TICKS: u64 = 32;
/// How often a client of batches is told `alive`: two of them are missing before `web/src/lib/live/silence.ts` calls
/// the link dead. Engine.IO's own ping cannot be as frequent: who answers it late, as a slow reader does, is closed.
const ALIVE: Duration = Duration::from_secs(4);
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
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

/// Talks to one client until it goes.
pub async fn serve(socket: &SocketRef, auth: dto::Auth, shop: &Shop) {
    let gone = CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    let mut talk = Talk {
        socket,
        batch: auth.batch,
        shop,
        pace: Pace::new(Instant::now()),
    };
    tokio::select! {
        () = gone.cancelled() => {}
        ended = talk.run(auth.after.map(Offset)) => {
            if let Err(error @ (Ended::Read(_) | Ended::Projection(_))) = ended {
                // The client connects again by itself, and gets everything.
                debug!(%error, "a page's connection is closed");
                let _ = socket.clone().disconnect();
            }
        }
    }
}

struct Talk<'a> {
    socket: &'a SocketRef,
    batch: bool,
    shop: &'a Shop,
    pace: Pace,
}

/// What a client has been told.
#[derive(Clone, Copy)]
struct Told {
    /// Of the rows and deltas.
    version: u64,
    /// Every event of the journal at or below it.
    upto: Offset,
}

impl Talk<'_> {
    async fn run(&mut self, after: Option<Offset>) -> Result<(), Ended> {
        let shop = self.shop;
        let _seat = shop.audience.join(self.batch);
        // Before the state: what is not in that comes as a tick.
        let mut ticks = shop.audience.ticks.follow();
        let mut told = self.state().await?;
        if let Some(after) = after.filter(|_| !self.batch) {
            self.missed(after, told.upto).await?;
        }
        let mut alive = tokio::time::interval(ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                next = ticks.next() => next,
                _ = alive.tick(), if self.batch => {
                    self.send("alive", &write(&())).await?;
                    continue;
                }
            };
            let tick = match next {
                Next::Tick(tick) if !tick.again => Some(tick),
                Next::Tick(_) | Next::Gone => None,
                Next::End => return Ok(()),
            };
            match tick {
                Some(tick) if self.batch && ticks.waiting() <= TICKS => {
                    if let Some(batch) = &tick.batch {
                        self.send("batch", batch).await?;
                    }
                }
                Some(tick) if !self.batch => {
                    let news = |version: Option<u64>| version.is_none_or(|version| version > told.version);
                    for single in tick.singles.iter().filter(|single| news(single.version)) {
                        self.send(single.event, &single.data).await?;
                        told.upto = single.entry.unwrap_or(told.upto);
                    }
                    told.version = tick.version.max(told.version);
                }
                _ => {
                    ticks.skip();
                    told = match self.batch {
                        true => self.state().await?,
                        false => self.catch_up(told).await?,
                    };
                }
            }
        }
    }

    /// `initial_data`.
    async fn state(&mut self) -> Result<Told, Ended> {
        let shop = self.shop;
        let gateway = gateway_status(shop).await?;
        let watermark = shop.journal.state().watermark;
        let (told, totals, rows) = shop.projection.recent(|recent| {
            let rows = Kind::ALL.map(|kind| {
                let newest = recent.newest(kind);
                newest.map(|(_, row)| row.clone()).collect::<Vec<Listed>>()
            });
            let told = Told {
                version: recent.version,
                upto: recent.folded,
            };
            (told, shop.projection.view().totals, rows)
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
            stats: stats_of(&totals, shop.currency),
            gateway,
        };
        self.send("initial_data", &write(&state)).await?;
        Ok(told)
    }

    /// For a client whose ticks have gone: what it was not told, from the journal. The state only if there is more
    /// than that.
    async fn catch_up(&mut self, told: Told) -> Result<Told, Ended> {
        let shop = self.shop;
        let (mut now, foreign) = shop.projection.recent(|recent| {
            let now = Told {
                version: recent.version,
                upto: recent.folded,
            };
            (now, recent.foreign > told.version)
        });
        let pruned = shop.journal.state().first.0 > told.upto.0 + 1;
        if foreign || pruned {
            now = self.state().await?;
        }
        self.confirmed(told).await?;
        self.missed(told.upto, now.upto).await?;
        let stats = stats_of(&shop.projection.view().totals, shop.currency);
        self.send("stats_update", &write(&stats)).await?;
        let gateway = gateway_status(shop).await?;
        self.send("gateway_status", &write(&gateway)).await?;
        Ok(now)
    }

    /// Those of the events that the client had been told that were seen in Kafka since.
    async fn confirmed(&mut self, told: Told) -> Result<(), Ended> {
        let mut after = Offset(0);
        loop {
            let projection = &self.shop.projection;
            let seen =
                projection.recent(|recent| recent.lately.confirmed(after, told.upto, told.version, MISSED));
            let Some((last, _)) = seen.last() else {
                return Ok(());
            };
            after = *last;
            let offsets: Vec<Offset> = seen.iter().map(|(entry, _)| *entry).collect();
            let entries = self.shop.journal.entries(&offsets).await?;
            for (entry, (partition, offset)) in seen {
                let Some(entry) = entries.get(&entry) else {
                    continue;
                };
                let EntryKind::Event(kind) = entry.kind else {
                    continue;
                };
                let seen = Confirmed {
                    kind,
                    name: entry.name.to_string().into(),
                    order_id: entry.key.as_ref().into(),
                    partition,
                    offset,
                };
                self.send("event_confirmed", &write(&tick::dto_of(&seen))).await?;
            }
        }
    }

    /// The events after the last one that the client had, in the order of the journal.
    async fn missed(&mut self, mut after: Offset, upto: Offset) -> Result<(), Ended> {
        while after < upto {
            let mut entries = self.shop.journal.read(after, MISSED, MISSED_BYTES).await?;
            entries.retain(|entry| entry.offset <= upto);
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.offset;
            let located = self.shop.projection.located(entries).await?;
            let watermark = self.shop.journal.state().watermark;
            for (kind, row) in &located {
                if let Some(json) = item(row, watermark) {
                    self.send(tick::event(*kind), &json).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits while the connection is full.
    async fn send(&mut self, event: &'static str, data: &Json) -> Result<(), Ended> {
        loop {
            let rest = self.pace.rest(Instant::now());
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
            match self.socket.emit(event, data) {
                Ok(()) => {
                    self.pace.took();
                    return Ok(());
                }
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    tokio::time::sleep(self.pace.full(Instant::now())).await;
                }
                Err(_) => return Err(Ended::Gone),
            }
        }
    }
}
