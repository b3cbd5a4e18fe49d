//! The overview of all shops, worst first.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::{Serialize, Serializer};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};

use comptoir_alerts::{SEVERE, ShopTrouble};
use comptoir_core::sale::{self, Currency, Money};

use crate::access::VisibleShops;
use crate::state::{DeviceState, GatewayState};

/// A shop is silent after this many of its own intervals without a new state.
const SILENT_AFTER: u32 = 3;
/// Events that wait longer than this for Kafka are a backlog: the uplink is too slow, or was down.
const BACKLOG_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// How far ahead a till's clock may be for its sales to still count today.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// A journal with this percentage of its limit counts as filling up.
const JOURNAL_FILLS: u64 = 80;
/// Below this number of free bytes on its disk, a journal cannot work for long.
const DISK_LOW: u64 = 500 << 20;

/// The troubles that get worse if nobody acts, worst first. They come after the [`SEVERE`] ones.
const BY_URGENCY: [&str; 10] = [
    "bridge-down",
    "payments-only",
    "backlog",
    "disk-low",
    "journal-fills",
    "archive-failing",
    "commands-down",
    "dead-letters",
    "clock-unsynchronised",
    "warnings",
];

/// A trouble of a shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The shop has not been heard from for too long.
    Silent,
    /// Numbers of a device are missing: sales that have not arrived.
    MissingNumbers,
    /// A problem word from the gateway's state, such as `journal-refusing`.
    Reported(String),
    /// Events have been waiting for Kafka for too long.
    Backlog,
    JournalFills,
    DiskLow,
    DeadLetters,
}

impl Trouble {
    /// The word used in JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Silent => "silent",
            Self::MissingNumbers => "missing-numbers",
            Self::Reported(word) => word,
            Self::Backlog => "backlog",
            Self::JournalFills => "journal-fills",
            Self::DiskLow => "disk-low",
            Self::DeadLetters => "dead-letters",
        }
    }

    /// The rank among all troubles, worst first. Words of a later version come last, because their severity is unknown.
    fn rank(&self) -> usize {
        let word = self.as_str();
        let mut known = SEVERE.iter().chain(&BY_URGENCY);
        let place = known.position(|known| *known == word);
        place.unwrap_or(SEVERE.len() + BY_URGENCY.len())
    }
}

impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One shop of the overview.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Shop {
    pub store: String,
    #[cfg_attr(test, ts(as = "Vec<String>"))]
    pub troubles: Vec<Trouble>,
    /// When Kafka had the newest record of the shop.
    pub heard: Timestamp,
    /// The same, of sales.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub sold: Option<Timestamp>,
    /// Absent until the gateway has published its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub gateway: Option<Gateway>,
    pub today: Today,
}

/// The state of the shop's gateway.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Gateway {
    pub version: String,
    pub started: Timestamp,
    pub last_exit: String,
    /// Events that were not in Kafka.
    pub pending: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub oldest_pending: Option<Timestamp>,
    /// Numbers whose events have not arrived.
    pub missing: u64,
    pub dead_letters: u64,
    pub journal_bytes: u64,
    pub journal_max_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub disk_free: Option<u64>,
    pub devices: u64,
    /// Of those whose connection is known.
    pub devices_offline: u64,
}

/// Sales since the beginning of the day.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Today {
    pub orders: i64,
    pub payments: i64,
    pub deliveries: i64,
    /// Successful payments, by currency.
    pub takings: Vec<Amount>,
}

/// An exact decimal number with its currency.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Amount {
    #[cfg_attr(test, ts(type = "number"))]
    pub amount: Money,
    #[cfg_attr(test, ts(as = "String"))]
    pub currency: Currency,
}

/// The overview at one moment.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Overview {
    pub time: Timestamp,
    /// Everything that the gateways had published at this time was read. Absent before the first state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub as_of: Option<Timestamp>,
    /// Sorted: the worst troubles first, then by name.
    pub shops: Vec<Shop>,
    /// Records that do not count.
    pub kept_apart: i64,
    /// Ranges of records that Kafka no longer had.
    pub lost_ranges: i64,
}

/// # Errors
/// PostgreSQL does not reply.
pub async fn overview(
    pool: &PgPool,
    prefix: &str,
    now: Timestamp,
    day: Timestamp,
) -> Result<Overview, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut sales = sales_since(&mut connection, day, now).await?;
    let as_of = read_as_of(&mut connection, prefix).await?;
    let mut shops: Vec<Shop> = known_shops(&mut connection)
        .await?
        .into_iter()
        .map(|shop| Shop {
            troubles: shop.troubles(as_of),
            heard: shop.heard,
            sold: shop.sold,
            gateway: shop.state.map(Gateway::from),
            today: sales.remove(&shop.store).unwrap_or_default(),
            store: shop.store,
        })
        .collect();
    shops.sort_by(|a, b| {
        urgency(&a.troubles)
            .cmp(&urgency(&b.troubles))
            .then_with(|| a.store.cmp(&b.store))
    });
    let counts = sqlx::query(
        "SELECT (SELECT count(*) FROM kept_apart) AS apart, (SELECT count(*) FROM lost_records) AS lost",
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(Overview {
        time: now,
        as_of,
        shops,
        kept_apart: counts.try_get("apart")?,
        lost_ranges: counts.try_get("lost")?,
    })
}

impl Overview {
    /// The same, of the shops `visible` only.
    pub fn of_shops(&self, visible: &VisibleShops) -> Self {
        let mut overview = self.clone();
        overview.shops.retain(|shop| visible.contains(&shop.store));
        overview
    }
}

/// Sort key: shops with the worst trouble come first; among these, those with a worse second trouble or with more
/// troubles.
fn urgency(troubles: &[Trouble]) -> Vec<usize> {
    // Higher than every rank, so that a shop without another trouble comes after those with one.
    troubles.iter().map(Trouble::rank).chain([usize::MAX]).collect()
}

/// The troubles of all shops, as of the time up to which everything has been read.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn troubles_of_all(
    connection: &mut PgConnection,
    as_of: Timestamp,
) -> Result<BTreeSet<ShopTrouble>, sqlx::Error> {
    let shops = known_shops(connection).await?;
    let troubles = shops.iter().flat_map(|shop| {
        let troubles = shop.troubles(Some(as_of));
        troubles.into_iter().map(|trouble| ShopTrouble {
            store: shop.store.clone(),
            trouble: trouble.as_str().to_owned(),
        })
    });
    Ok(troubles.collect())
}

/// The time up to which every state that the gateways published has been read. `None` before the first state.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn read_as_of(
    connection: &mut PgConnection,
    prefix: &str,
) -> Result<Option<Timestamp>, sqlx::Error> {
    // Ignores the partitions of a former topic of this name.
    let as_of: Option<SqlTimestamp> = sqlx::query_scalar(
        "SELECT min(as_of) FROM position WHERE topic = $1 AND topic_id IS NOT DISTINCT FROM \
         (SELECT topic_id FROM position WHERE topic = $1 ORDER BY as_of DESC LIMIT 1)",
    )
    .bind(format!("{prefix}{}", comptoir_kafka::GATEWAYS))
    .fetch_one(connection)
    .await?;
    // The clock of another replica may have been ahead.
    Ok(as_of.map(|as_of| as_of.to_jiff().min(sale::now())))
}

/// A row of the table `shop`.
struct KnownShop {
    store: String,
    heard: Timestamp,
    sold: Option<Timestamp>,
    state: Option<GatewayState>,
}

async fn known_shops(connection: &mut PgConnection) -> Result<Vec<KnownShop>, sqlx::Error> {
    let rows = sqlx::query("SELECT store, heard, sold, state::text AS state FROM shop")
        .fetch_all(connection)
        .await?;
    let read = |row: &PgRow| {
        let heard: SqlTimestamp = row.try_get("heard")?;
        let sold: Option<SqlTimestamp> = row.try_get("sold")?;
        let state: Option<String> = row.try_get("state")?;
        Ok(KnownShop {
            store: row.try_get("store")?,
            heard: heard.to_jiff(),
            sold: sold.map(SqlTimestamp::to_jiff),
            // Cannot fail: the state was parsed before it was stored.
            state: state.and_then(|state| serde_json::from_str(&state).ok()),
        })
    };
    rows.iter().map(read).collect()
}

async fn sales_since(
    connection: &mut PgConnection,
    day: Timestamp,
    now: Timestamp,
) -> Result<BTreeMap<String, Today>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT store, kind, CASE WHEN kind = 'payment' AND status = 'SUCCESS' THEN currency END AS currency, \
         count(*) AS count, least(sum(amount), 9223372036854775807)::bigint AS amount FROM sale \
         WHERE time >= $1 AND time < $2 GROUP BY 1, 2, 3",
    )
    .bind(day.to_sqlx())
    // Excludes sales of a till whose clock is years ahead.
    .bind((now + AHEAD).to_sqlx())
    .fetch_all(connection)
    .await?;
    let mut sales: BTreeMap<String, Today> = BTreeMap::new();
    for row in &rows {
        let today = sales.entry(row.try_get("store")?).or_default();
        let (kind, count): (String, i64) = (row.try_get("kind")?, row.try_get("count")?);
        match kind.as_str() {
            "order" => today.orders += count,
            "payment" => today.payments += count,
            _ => today.deliveries += count,
        }
        let currency: Option<String> = row.try_get("currency")?;
        let amount: Option<i64> = row.try_get("amount")?;
        if let Some((currency, minor)) = currency.and_then(|code| code.parse().ok()).zip(amount) {
            today.takings.push(Amount {
                amount: Money::sum(minor, currency),
                currency,
            });
        }
    }
    Ok(sales)
}

impl KnownShop {
    /// The shop's troubles. `as_of` is the time up to which the gateways' states have been read. A shop does not count
    /// as silent if the office has merely not read its states yet, or if its gateway is of a version that publishes
    /// none.
    fn troubles(&self, as_of: Option<Timestamp>) -> Vec<Trouble> {
        let Some(state) = &self.state else {
            return Vec::new();
        };
        let silence = SignedDuration::from_secs(i64::from(state.every) * i64::from(SILENT_AFTER));
        let is_silent = as_of.is_some_and(|as_of| as_of.duration_since(self.heard) > silence);
        let journal = &state.journal;
        let waits = |oldest: Timestamp| state.time.duration_since(oldest) > BACKLOG_AFTER;
        let fills = journal.max_bytes / 100 * JOURNAL_FILLS;
        let own = [
            (Trouble::Silent, is_silent),
            (Trouble::MissingNumbers, state.missing() > 0),
            (Trouble::Backlog, journal.oldest_pending.is_some_and(waits)),
            (Trouble::JournalFills, fills > 0 && journal.bytes >= fills),
            (
                Trouble::DiskLow,
                state.disk_free.is_some_and(|free| free < DISK_LOW),
            ),
            (Trouble::DeadLetters, state.dead_letters > 0),
        ];
        let own = own
            .into_iter()
            .filter_map(|(trouble, is_present)| is_present.then_some(trouble));
        let mut troubles: Vec<Trouble> = own.collect();
        for word in &state.problems {
            // A later gateway version may report the same trouble itself.
            if troubles.iter().all(|trouble| trouble.as_str() != word) {
                troubles.push(Trouble::Reported(word.clone()));
            }
        }
        troubles.sort_by_key(Trouble::rank);
        troubles
    }
}

impl From<GatewayState> for Gateway {
    fn from(state: GatewayState) -> Self {
        let is_offline = |device: &&DeviceState| device.online == Some(false);
        Self {
            pending: state.journal.pending,
            oldest_pending: state.journal.oldest_pending,
            missing: state.missing(),
            dead_letters: state.dead_letters,
            journal_bytes: state.journal.bytes,
            journal_max_bytes: state.journal.max_bytes,
            disk_free: state.disk_free,
            devices: state.device_count(),
            devices_offline: state.devices.iter().filter(is_offline).count() as u64,
            version: state.version,
            started: state.started,
            last_exit: state.last_exit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(more: &str) -> GatewayState {
        let json = format!(
            r#"{{"time":"2026-11-30T18:00:00Z","version":"0.5.0","started":"2026-11-30T09:00:00Z","last_exit":"stopped"{more}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    const QUIET: &str = r#","devices":[],"journal":{"bytes":1000,"max_bytes":100000}"#;

    fn shop(state: Option<GatewayState>) -> KnownShop {
        KnownShop {
            store: "paris-1".to_owned(),
            heard: "2026-11-30T18:00:00Z".parse().unwrap(),
            sold: None,
            state,
        }
    }

    #[test]
    fn a_shop_is_silent_after_three_of_its_own_intervals() {
        let normal = shop(Some(state(QUIET)));
        let after = |minutes| Some(normal.heard + SignedDuration::from_mins(minutes));
        assert_eq!(normal.troubles(after(15)), []);
        assert_eq!(normal.troubles(after(16)), [Trouble::Silent]);
        let metered = shop(Some(state(&format!(r#"{QUIET},"every":1800"#))));
        assert_eq!(metered.troubles(after(90)), []);
        assert_eq!(metered.troubles(after(91)), [Trouble::Silent]);
        // Nothing has been read yet, or the gateway publishes no state.
        assert_eq!(normal.troubles(None), []);
        assert_eq!(shop(None).troubles(after(91)), []);
    }

    #[test]
    fn troubles_are_named_the_worst_first() {
        let shop = shop(Some(state(
            r#","journal":{"bytes":90000,"max_bytes":100000,"pending":5,"oldest_pending":"2026-11-30T17:00:00Z"},"problems":["mqtt-down","later-word","disk-low","mqtt-down"],"disk_free":1000,"dead_letters":2,"devices":[{"device":"till-1","received":9,"missing":2}]"#,
        )));
        let found = shop.troubles(Some(shop.heard));
        let words: Vec<&str> = found.iter().map(Trouble::as_str).collect();
        assert_eq!(
            words,
            [
                "missing-numbers",
                "mqtt-down",
                "backlog",
                "disk-low",
                "journal-fills",
                "dead-letters",
                "later-word",
            ]
        );
        assert_eq!(serde_json::to_value(&found).unwrap(), serde_json::json!(words));
    }
    #[test]
    fn a_shop_that_cannot_sell_is_before_one_whose_clock_is_wrong() {
        let reported = |words: &[&str]| -> Vec<Trouble> {
            words
                .iter()
                .map(|word| Trouble::Reported((*word).to_owned()))
                .collect()
        };
        let ordered = [
            reported(&["journal-refusing", "warnings"]),
            reported(&["journal-refusing"]),
            vec![Trouble::Backlog],
            reported(&["clock-unsynchronised"]),
            reported(&["warnings"]),
            reported(&["later-word"]),
            vec![],
        ];
        assert!(ordered.is_sorted_by_key(|troubles| urgency(troubles)));
        let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/office/lib/troubles.ts");
        let pages = std::fs::read_to_string(pages).unwrap();
        for word in SEVERE.iter().chain(&BY_URGENCY) {
            assert!(
                pages.contains(&format!("{word}: {{")) || pages.contains(&format!("'{word}': {{")),
                "{word}"
            );
        }
    }
}
