//! Personal data: finds a person, erases a person's data, and erases data that has reached its age limit. See
//! `docs/adr/0013-personal-data.md`.
//!
//! The JSON of this gateway's own events is in the journal; that of other gateways' events is in the projection's file.
//! Erasing rewrites both, then reloads the newest rows in memory and notifies the pages.
//!
//! The journal is walked in small steps, each in its own transaction, so that neither readers nor events wait.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntCounter;
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Projection, ProjectionError, Request, kind_code};
use comptoir_core::event::Kind;
use comptoir_core::sale::personal::{PersonalData, Search, without_personal_data};
use comptoir_journal::{Entry, EntryKind, MAX_REWRITES, Offset, Payload, Rewrite};

/// The kinds of sales that can name a person.
pub(super) const KINDS: [Kind; 2] = [Kind::Order, Kind::Delivery];

/// Entries per read, so that no more than this are rewritten at a time.
const READ_ENTRIES: usize = MAX_REWRITES;
const READ_BYTES: usize = 1 << 20;
/// Entries per call. A call must end within the time limit of an HTTP request, even on a small computer.
const CALL_ENTRIES: usize = 16_384;
/// Most sales that one call finds. A text that matches more does not identify a person.
pub const MAX_FOUND: usize = 500;
/// Rows of the projection's file examined at a time.
pub(super) const STEP: i64 = 1_024;

/// How often ages are checked. Data may be kept up to an hour longer.
const EXPIRY_PERIOD: Duration = Duration::from_secs(3_600);
/// Pause between two steps, so that the walk uses only a small part of one core and of the disk.
const EXPIRY_PAUSE: Duration = Duration::from_millis(20);
/// How far ahead a till's clock may be. The time of an event beyond that is invalid.
const MAX_AHEAD_MS: i64 = 24 * 3_600_000;
/// The earliest valid time of an event: no till used this gateway before. 2025-01-01.
const EARLIEST_MS: i64 = 1_735_689_600_000;

/// Replaces the reason of an erased dead letter, which may have quoted its content.
const ERASED: &str = "the message was erased, because it may contain personal data";

/// A sale or a dead letter that names a person.
#[derive(Debug, Clone)]
pub struct PersonalSale {
    /// Never a payment: payments name nobody.
    pub kind: EntryKind,
    /// The store and the id of the order. For a dead letter: the store of its device, and its topic.
    pub store: String,
    pub order_id: String,
    /// The name of the event, its `ce_id` in Kafka.
    pub name: String,
    /// Unix milliseconds.
    pub time: i64,
    /// `None` for a dead letter.
    pub data: Option<PersonalData>,
    /// The offset in the journal; `None` if the sale was read from Kafka.
    pub entry: Option<Offset>,
    pub is_in_kafka: bool,
}

/// One part of a search result.
#[derive(Debug, Default)]
pub struct Found {
    pub sales: Vec<PersonalSale>,
    /// The last examined entry; `None` if everything was examined.
    pub next: Option<Offset>,
}

/// The orders and dead letters of a person.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// Store and order id. Their deliveries are erased too.
    pub orders: HashSet<(String, String)>,
    /// The names (`ce_id`) of the dead letters.
    pub dead_letters: HashSet<String>,
}

/// One part of an erasure's result.
#[derive(Debug, Default)]
pub struct Erased {
    pub erased: u64,
    /// Sales that cannot be erased until they are in Kafka.
    pub pending: u64,
    /// The last examined entry; `None` if everything was examined.
    pub next: Option<Offset>,
}

/// Why personal data was not erased.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    #[error(transparent)]
    Read(#[from] ProjectionError),
    #[error(transparent)]
    Write(#[from] comptoir_journal::AppendError),
}

/// Selects the events of other gateways that the projector erases from its file.
#[derive(Debug, Clone)]
pub(super) enum ForeignScope {
    Orders(HashSet<(String, String)>),
    /// Those whose newest state is before this time, in Unix milliseconds.
    Before(i64),
}

impl ForeignScope {
    pub(super) fn contains(&self, store: &str, order_id: &str, time: i64) -> bool {
        match self {
            Self::Orders(orders) => orders.contains(&(store.to_owned(), order_id.to_owned())),
            Self::Before(cutoff) => (EARLIEST_MS..*cutoff).contains(&time),
        }
    }
}

impl Projection {
    /// Searches the entries after `after`, then, when the journal is finished, the events of other gateways.
    ///
    /// # Errors
    /// The projection has ended, or its file or the journal could not be read.
    pub async fn search_person(&self, search: &Search, after: Offset) -> Result<Found, ProjectionError> {
        let mut found = Found::default();
        let watermark = self.journal.state().watermark;
        let mut last = after;
        for _ in 0..CALL_ENTRIES / READ_ENTRIES {
            let entries = self.journal.read(last, READ_ENTRIES, READ_BYTES).await?;
            let Some(entry) = entries.last() else {
                found.sales.extend(self.search_foreign(search).await?);
                return Ok(found);
            };
            last = entry.offset;
            let matching = entries.iter().filter_map(|entry| matching(entry, search));
            found.sales.extend(matching.map(|(entry, data)| PersonalSale {
                kind: entry.kind,
                store: entry.name.device.store().to_owned(),
                order_id: entry.key.to_string(),
                name: entry.name.to_string(),
                time: entry.time,
                data,
                entry: Some(entry.offset),
                is_in_kafka: entry.offset <= watermark,
            }));
            if found.sales.len() >= MAX_FOUND {
                break;
            }
        }
        found.next = Some(last);
        Ok(found)
    }

    async fn search_foreign(&self, search: &Search) -> Result<Vec<PersonalSale>, ProjectionError> {
        self.flush().await?;
        let mut found = Vec::new();
        for kind in KINDS {
            let mut after = 0;
            loop {
                let rows = sqlx::query(FOREIGN).bind(kind_code(kind)).bind(after).bind(STEP);
                let rows = self.fetch_all(rows).await?;
                let Some(last) = rows.last() else { break };
                after = last.get("seq");
                for row in &rows {
                    let data = PersonalData::read(row.get("payload"));
                    let Some(data) = data.filter(|data| data.matches(search)) else {
                        continue;
                    };
                    found.push(PersonalSale {
                        kind: EntryKind::Event(kind),
                        store: row.get("store"),
                        order_id: row.get("order_id"),
                        name: row.get("name"),
                        time: row.get("time"),
                        data: Some(data),
                        entry: None,
                        is_in_kafka: true,
                    });
                }
            }
        }
        Ok(found)
    }

    /// Erases a person from the entries after `after`, then, when the journal is finished, from the events of other
    /// gateways.
    ///
    /// # Errors
    /// The projection has ended, or one of the files could not be read or written. Some of the data may be erased.
    pub async fn erase_person(&self, person: &Person, after: Offset) -> Result<Erased, ErasureError> {
        let mut total = Erased::default();
        let watermark = self.journal.state().watermark;
        let mut last = after;
        for _ in 0..CALL_ENTRIES / READ_ENTRIES {
            let entries = self
                .journal
                .read(last, READ_ENTRIES, READ_BYTES)
                .await
                .map_err(ProjectionError::from)?;
            let Some(entry) = entries.last() else {
                let scope = ForeignScope::Orders(person.orders.clone());
                total.erased += self.erase_foreign(scope).await?;
                self.show_erasure().await?;
                return Ok(total);
            };
            last = entry.offset;
            let mut rewrites = HashMap::new();
            for entry in entries.iter().filter(|entry| is_of(entry, person)) {
                match erased(entry) {
                    Some(_) if entry.offset > watermark => total.pending += 1,
                    Some(rewrite) => drop(rewrites.insert(entry.offset, rewrite)),
                    None => {}
                }
            }
            total.erased += self.rewrite(rewrites, &entries).await?;
        }
        total.next = Some(last);
        Ok(total)
    }

    /// Erases personal data older than `keep`, until `stop`, and counts the erased sales.
    pub async fn expire_personal_data(self, keep: Duration, erased: IntCounter, stop: CancellationToken) {
        let mut walk = Walk::default();
        loop {
            let now = Timestamp::now().as_millisecond();
            let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
            let step = self
                .expire_step(&mut walk, now, now.saturating_sub(keep_ms))
                .await;
            let pause = match step {
                Ok((count, is_done)) => {
                    if count > 0 {
                        erased.inc_by(count);
                        info!(sales = count, "erased personal data because of its age");
                    }
                    if is_done { EXPIRY_PERIOD } else { EXPIRY_PAUSE }
                }
                Err(error) => {
                    warn!(%error, "personal data that is too old could not be erased; the next attempt is in an hour");
                    EXPIRY_PERIOD
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One step of the walk. Returns how many sales were erased, and whether the walk is finished.
    async fn expire_step(&self, walk: &mut Walk, now: i64, cutoff: i64) -> Result<(u64, bool), ErasureError> {
        let read = async |after| {
            let entries = self.journal.read(after, READ_ENTRIES, READ_BYTES).await;
            entries.map_err(ProjectionError::from)
        };
        if walk.erased < walk.old {
            let mut entries = read(walk.erased).await?;
            entries.retain(|entry| entry.offset <= walk.old);
            let Some(last) = entries.last().map(|entry| entry.offset) else {
                // The entries have been pruned.
                walk.erased = walk.old;
                return Ok((0, false));
            };
            let rewrites = entries
                .iter()
                .filter_map(|entry| Some((entry.offset, erased(entry)?)));
            let count = self.rewrite(rewrites.collect(), &entries).await?;
            walk.erased = last;
            walk.has_erased |= count > 0;
            return Ok((count, false));
        }
        let mut entries = read(walk.examined).await?;
        let watermark = self.journal.state().watermark;
        entries.retain(|entry| entry.offset <= watermark);
        let is_end = walk.examine(&entries, now, cutoff);
        if !is_end || walk.erased < walk.old {
            return Ok((0, false));
        }
        let count = self.erase_foreign(ForeignScope::Before(cutoff)).await?;
        if count > 0 || std::mem::take(&mut walk.has_erased) {
            self.show_erasure().await?;
        }
        Ok((count, true))
    }

    /// Rewrites entries, which are among `entries`, in the journal, and then what the search index has of them. Noted
    /// before, so that the index is completed even if the gateway ends in between.
    async fn rewrite(
        &self,
        rewrites: HashMap<Offset, Rewrite>,
        entries: &[Arc<Entry>],
    ) -> Result<u64, ErasureError> {
        if rewrites.is_empty() {
            return Ok(0);
        }
        let orders: HashSet<(String, String)> = entries
            .iter()
            .filter(|entry| matches!(entry.kind, EntryKind::Event(_)) && rewrites.contains_key(&entry.offset))
            .map(|entry| (entry.name.device.store().to_owned(), entry.key.to_string()))
            .collect();
        let orders = Arc::new(orders);
        self.ask(|reply| Request::BeginErasure(Arc::clone(&orders), reply))
            .await??;
        let count = self.journal.rewrite(rewrites).await?;
        self.ask(|reply| Request::EndErasure(orders, reply)).await??;
        Ok(count)
    }

    async fn erase_foreign(&self, scope: ForeignScope) -> Result<u64, ProjectionError> {
        self.ask(|reply| Request::EraseForeign(scope, reply)).await?
    }

    /// Removes erased data from memory and from open pages.
    async fn show_erasure(&self) -> Result<(), ProjectionError> {
        self.ask(Request::Reload).await?
    }
}

/// Other gateways' sales that still have their JSON. Bind the kind, the row to start after, and the number of rows.
pub(super) const FOREIGN: &str =
    "SELECT seq, store, coalesce(order_id, id) AS order_id, name, time, payload FROM sale
     WHERE kind = ? AND seq > ? AND entry IS NULL AND payload IS NOT NULL ORDER BY seq LIMIT ?";

/// The progress of walking the journal to find data that is too old.
///
/// The time of an entry is from its till's clock, which may be wrong. So an entry counts as at least as young as the
/// youngest one before it, and as too old if any later entry is. Entries with an impossible time are ignored.
#[derive(Debug, Default)]
struct Walk {
    /// The last examined entry.
    examined: Offset,
    /// The youngest time so far, in Unix milliseconds.
    youngest: i64,
    /// The last entry that is certainly too old.
    old: Offset,
    /// The last entry whose personal data was erased.
    erased: Offset,
    /// Whether pages may still show erased data.
    has_erased: bool,
}

impl Walk {
    /// Examines the next entries. True if the remaining entries are younger, or there are none.
    fn examine(&mut self, entries: &[Arc<Entry>], now: i64, cutoff: i64) -> bool {
        for entry in entries {
            let is_possible = (EARLIEST_MS..=now.saturating_add(MAX_AHEAD_MS)).contains(&entry.time);
            if is_possible {
                self.youngest = self.youngest.max(entry.time);
                if self.youngest >= cutoff {
                    return true;
                }
                self.old = entry.offset;
            }
            self.examined = entry.offset;
        }
        entries.is_empty()
    }
}

fn is_of(entry: &Entry, person: &Person) -> bool {
    match entry.kind {
        EntryKind::Event(Kind::Payment) => false,
        EntryKind::Event(Kind::Order | Kind::Delivery) => {
            let order = (entry.name.device.store().to_owned(), entry.key.to_string());
            person.orders.contains(&order)
        }
        EntryKind::DeadLetter => person.dead_letters.contains(&entry.name.to_string()),
        // The audit log and closings name users but no customers.
        EntryKind::Audit(_) | EntryKind::Closing => false,
    }
}

fn matching<'a>(entry: &'a Entry, search: &Search) -> Option<(&'a Entry, Option<PersonalData>)> {
    match entry.kind {
        EntryKind::Event(Kind::Payment) | EntryKind::Audit(_) | EntryKind::Closing => None,
        EntryKind::Event(Kind::Order | Kind::Delivery) => PersonalData::read(entry.payload.json())
            .filter(|data| data.matches(search))
            .map(|data| (entry, Some(data))),
        EntryKind::DeadLetter => search
            .is_in(&String::from_utf8_lossy(&entry.payload))
            .then_some((entry, None)),
    }
}

/// The content of an entry without its personal data; `None` if it has none.
fn erased(entry: &Entry) -> Option<Rewrite> {
    match entry.kind {
        EntryKind::Event(kind) => {
            let json = without_personal_data(kind, entry.payload.json())?;
            Some(Rewrite {
                payload: Payload::Json(json.into()),
                reason: None,
            })
        }
        EntryKind::DeadLetter if entry.payload.is_empty() => None,
        // The content is unknown, so all of it is erased.
        EntryKind::DeadLetter => Some(Rewrite {
            payload: Payload::Bytes(Arc::from([])),
            reason: Some(ERASED.into()),
        }),
        EntryKind::Audit(_) | EntryKind::Closing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_core::event::{DeviceId, EventName};

    const DAY_MS: i64 = 24 * 3_600_000;

    fn entries(first: u64, times: &[i64]) -> Vec<Arc<Entry>> {
        let entry = |(offset, time)| Entry {
            offset: Offset(offset),
            kind: EntryKind::Event(Kind::Order),
            name: EventName {
                device: DeviceId::new("paris-1", "till-1").unwrap(),
                epoch: 1,
                seq: 1,
            },
            time,
            key: "o".into(),
            payload: Payload::Json(r#"{"customer_name":"Zoé"}"#.into()),
            reason: None,
        };
        let offsets = first..;
        offsets
            .zip(times.iter().copied())
            .map(entry)
            .map(Arc::new)
            .collect()
    }

    #[test]
    fn an_entry_is_old_if_all_before_it_are_and_a_wrong_clock_proves_nothing() {
        let now = Timestamp::now().as_millisecond();
        let (cutoff, old, young) = (now - 400 * DAY_MS, now - 500 * DAY_MS, now - DAY_MS);
        let (in_1970, in_2099) = (7, now + 26_000 * DAY_MS);
        for (times, expected, is_end) in [
            (&[old, old, young][..], 2, true),
            (&[old, old], 2, false),
            (&[], 0, true),
            // It arrived after a young entry, so it counts as young.
            (&[young, old], 0, true),
            (&[old, in_1970, old, young], 3, true),
            (&[old, in_1970, young], 1, true),
            (&[in_1970, in_1970], 0, false),
            (&[in_2099, old, young], 2, true),
            (&[old, in_2099], 1, false),
        ] {
            let mut walk = Walk::default();
            assert_eq!(walk.examine(&entries(1, times), now, cutoff), is_end, "{times:?}");
            assert_eq!(walk.old, Offset(expected), "{times:?}");
        }
    }

    #[test]
    fn the_walk_goes_on_where_it_stopped_once_more_is_old() {
        let (day, mut walk) = (DAY_MS, Walk::default());
        let begin = EARLIEST_MS;
        let times: Vec<i64> = (0..10).map(|number| begin + number * day).collect();
        let all = entries(1, &times);
        for (passed, expected) in [(3, 3), (3, 3), (7, 7), (20, 10)] {
            let rest: Vec<_> = all
                .iter()
                .filter(|entry| entry.offset > walk.examined)
                .cloned()
                .collect();
            walk.examine(&rest, begin + 1_000 * day, begin + passed * day);
            assert_eq!(walk.old, Offset(expected), "after {passed} days");
        }
    }
}
