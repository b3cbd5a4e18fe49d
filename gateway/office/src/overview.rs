//! The overview of all shops: the worst first.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::{Serialize, Serializer};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};

use comptoir_core::sale::{self, Currency, Money};

use crate::state::{DeviceState, GatewayState};

/// A shop is silent after this many of its own intervals between states.
const SILENT_AFTER: u32 = 3;
/// Events wait for Kafka longer than this: the uplink is too slow, or was away.
const BACKLOG_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// How far a till's clock may be ahead for its sales to count in the present day.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// Of the journal's limit, in per cent.
const JOURNAL_FILLS: u64 = 80;
/// Free bytes of a disk on which a journal can no longer work for long.
const DISK_LOW: u64 = 500 << 20;

/// What is wrong with a shop, the worst first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nothing was heard of it for too long.
    Silent,
    /// Numbers of a device are missing: sales that have not arrived.
    MissingNumbers,
    /// In the words of the gateway's state, such as `journal-refusing`.
    Reported(String),
    /// Events have been waiting for Kafka for too long.
    Backlog,
    JournalFills,
    DiskLow,
    DeadLetters,
}

impl Trouble {
    /// As it stands in the JSON.
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
}

impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A trouble of a shop, as an alert names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ShopTrouble {
    pub store: String,
    /// As in the overview: `silent`.
    pub trouble: String,
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
        // No trouble is last.
        let rank = |shop: &Shop| (shop.troubles.is_empty(), shop.troubles.clone());
        rank(a).cmp(&rank(b)).then_with(|| a.store.cmp(&b.store))
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

/// The troubles of all shops.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn troubles_of_all(
    connection: &mut PgConnection,
    prefix: &str,
) -> Result<BTreeSet<ShopTrouble>, sqlx::Error> {
    let as_of = read_as_of(connection, prefix).await?;
    let shops = known_shops(connection).await?;
    let troubles = shops.iter().flat_map(|shop| {
        let troubles = shop.troubles(as_of);
        troubles.into_iter().map(|trouble| ShopTrouble {
            store: shop.store.clone(),
            trouble: trouble.as_str().to_owned(),
        })
    });
    Ok(troubles.collect())
}

/// Everything that the gateways had published at this time was read. `None` before the first state.
///
/// # Errors
/// PostgreSQL does not reply.
pub async fn read_as_of(
    connection: &mut PgConnection,
    prefix: &str,
) -> Result<Option<Timestamp>, sqlx::Error> {
    // Not by the partitions of a former topic of this name.
    let as_of: Option<SqlTimestamp> = sqlx::query_scalar(
        "SELECT min(as_of) FROM position WHERE topic = $1 AND topic_id IS NOT DISTINCT FROM \
         (SELECT topic_id FROM position WHERE topic = $1 ORDER BY as_of DESC LIMIT 1)",
    )
    .bind(format!("{prefix}{}", comptoir_kafka::GATEWAYS))
    .fetch_one(connection)
    .await?;
    // A replica's clock may have been ahead.
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
            // It was read before it was stored.
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
    // A till whose clock is years ahead sells on no other day.
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
    /// `as_of`: what the gateways had published until then was read. A shop is not called silent because the office has not
    /// read what it said, nor if its gateway is of a version that publishes no state.
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
            // A later gateway may say the same itself.
            if troubles.iter().all(|trouble| trouble.as_str() != word) {
                troubles.push(Trouble::Reported(word.clone()));
            }
        }
        troubles.sort();
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
        // Nothing was read, or the gateway publishes no state.
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
                "later-word",
                "mqtt-down",
                "backlog",
                "journal-fills",
                "disk-low",
                "dead-letters",
            ]
        );
        assert_eq!(serde_json::to_value(&found).unwrap(), serde_json::json!(words));
    }
}
