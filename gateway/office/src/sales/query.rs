//! The query parameters of the sales: their validation, the SQL that they become, and the cursor between two pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comptoir_core::event::{DeviceId, Kind};
use comptoir_core::sale::is_rfc3339;
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use crate::access::{Caller, VisibleShops};
use crate::fold::kind_name;

/// Most sales on a page.
pub const MAX_LIMIT: u32 = 500;
const DEFAULT_LIMIT: u32 = 50;
/// Longest search text, in characters.
const MAX_SEARCH: usize = 128;

/// The query parameters of `GET /api/sales` and `GET /api/sales.csv`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalesQuery {
    pub store: Option<String>,
    /// `order`, `payment` or `delivery`.
    pub kind: Option<String>,
    /// Sales at or after this time.
    pub since: Option<Timestamp>,
    /// Sales before this time.
    pub until: Option<Timestamp>,
    /// A prefix of a sale's id or of its order's id.
    pub search: Option<String>,
    pub limit: Option<u32>,
    /// The `next` of the previous page.
    pub after: Option<String>,
}

/// An invalid parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct QueryError {
    pub parameter: &'static str,
    /// Names the parameter and what is accepted, with an example.
    text: String,
}

impl QueryError {
    pub fn new(parameter: &'static str, text: String) -> Self {
        Self { parameter, text }
    }
}

/// The sale after which a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    time: Timestamp,
    store: String,
    kind: String,
    device: String,
    id: String,
}

impl Cursor {
    /// The cursor after the sale of this row.
    pub(super) fn after(row: &PgRow) -> Result<Self, sqlx::Error> {
        let time: SqlTimestamp = row.try_get("time")?;
        Ok(Self {
            time: time.to_jiff(),
            store: row.try_get("store")?,
            kind: row.try_get("kind")?,
            device: row.try_get("device")?,
            id: row.try_get("id")?,
        })
    }

    pub(super) fn encode(&self) -> String {
        // Cannot fail: strings and a time only.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        let cursor: Self = serde_json::from_slice(&json).ok()?;
        let texts = [&cursor.store, &cursor.kind, &cursor.device, &cursor.id];
        let is_sound = is_rfc3339(cursor.time) && texts.iter().all(|text| !text.contains('\0'));
        is_sound.then_some(cursor)
    }
}

/// A validated query.
#[derive(Debug, Clone)]
pub struct Filter {
    visible: VisibleShops,
    /// Whether the customers' e-mail and other addresses are shown.
    pub(super) has_personal_data: bool,
    store: Option<String>,
    kind: Option<Kind>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    search: Option<String>,
    pub(super) limit: u32,
    after: Option<Cursor>,
}

impl SalesQuery {
    /// Validates the query. The filter shows only what the caller may see.
    ///
    /// # Errors
    /// Names the invalid parameter, with an example.
    pub fn check(self, caller: &Caller) -> Result<Filter, QueryError> {
        let wrong = |parameter, text: String| QueryError { parameter, text };
        if let Some(store) = &self.store {
            DeviceId::gateway(store).map_err(|error| wrong("store", error.to_string()))?;
        }
        let named = |name: &String| Kind::ALL.into_iter().find(|kind| kind_name(*kind) == name);
        let kind = match &self.kind {
            Some(name) => {
                let error = || wrong("kind", "kind: one of order, payment and delivery".to_owned());
                Some(named(name).ok_or_else(error)?)
            }
            None => None,
        };
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let text = format!("limit: from 1 to {MAX_LIMIT}, for example 50");
            return Err(wrong("limit", text));
        }
        let search = self.search.filter(|text| !text.is_empty());
        if search
            .as_ref()
            .is_some_and(|text| text.chars().count() > MAX_SEARCH || text.contains('\0'))
        {
            let text = format!("search: at most {MAX_SEARCH} characters of an id");
            return Err(wrong("search", text));
        }
        for (name, time) in [("since", self.since), ("until", self.until)] {
            if time.is_some_and(|time| !is_rfc3339(time)) {
                let text = format!("{name}: a year from 0000 to 9999, for example 2026-11-30T00:00:00Z");
                return Err(wrong(name, text));
            }
        }
        let after = match &self.after {
            Some(text) => {
                let error = || wrong("after", "after: not the `next` of another page".to_owned());
                Some(Cursor::decode(text).ok_or_else(error)?)
            }
            None => None,
        };
        Ok(Filter {
            visible: caller.shops.clone(),
            has_personal_data: caller.sees_personal_data(),
            store: self.store,
            kind,
            since: self.since,
            until: self.until,
            search,
            limit,
            after,
        })
    }
}

impl Filter {
    /// The rows, newest first. `limit` is `None` for all rows.
    pub(super) fn query(&self, limit: Option<i64>) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new(
            "SELECT store, kind, device, id, creator, order_id, status, time, amount, currency, corrections, \
             creator_epoch, creator_seq, value::text AS value FROM sale WHERE true",
        );
        if let Some(stores) = self.visible.for_sql() {
            query.push(" AND store = ANY(").push_bind(stores).push(")");
        }
        if let Some(store) = &self.store {
            query.push(" AND store = ").push_bind(store.clone());
        }
        if let Some(kind) = self.kind {
            query.push(" AND kind = ").push_bind(kind_name(kind));
        }
        if let Some(since) = self.since {
            query.push(" AND time >= ").push_bind(since.to_sqlx());
        }
        if let Some(until) = self.until {
            query.push(" AND time < ").push_bind(until.to_sqlx());
        }
        if let Some(search) = &self.search {
            let pattern = format!(
                "{}%",
                search
                    .replace('\\', r"\\")
                    .replace('%', r"\%")
                    .replace('_', r"\_")
            );
            query.push(" AND (id LIKE ").push_bind(pattern.clone());
            query.push(" OR order_id LIKE ").push_bind(pattern).push(")");
        }
        if let Some(after) = &self.after {
            query.push(" AND (time, store, kind, device, id) < (");
            let mut values = query.separated(", ");
            values.push_bind(after.time.to_sqlx());
            for text in [&after.store, &after.kind, &after.device, &after.id] {
                values.push_bind(text.clone());
            }
            query.push(")");
        }
        query.push(" ORDER BY time DESC, store DESC, kind DESC, device DESC, id DESC");
        if let Some(limit) = limit {
            query.push(" LIMIT ").push_bind(limit);
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_named() {
        let with = |query: SalesQuery| query.check(&Caller::local()).map(|_| ()).unwrap_err();
        let empty = SalesQuery::default;
        for (query, parameter, words) in [
            (
                SalesQuery {
                    store: Some("Paris".to_owned()),
                    ..empty()
                },
                "store",
                "store",
            ),
            (
                SalesQuery {
                    kind: Some("orders".to_owned()),
                    ..empty()
                },
                "kind",
                "kind: one of",
            ),
            (
                SalesQuery {
                    limit: Some(501),
                    ..empty()
                },
                "limit",
                "limit: from 1 to 500",
            ),
            (
                SalesQuery {
                    after: Some("x".to_owned()),
                    ..empty()
                },
                "after",
                "after: not",
            ),
            (
                SalesQuery {
                    search: Some("o".repeat(129)),
                    ..empty()
                },
                "search",
                "search: at most 128",
            ),
        ] {
            let error = with(query.clone());
            assert_eq!(error.parameter, parameter, "{query:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(empty().check(&Caller::local()).is_ok());
    }

    #[test]
    fn a_cursor_survives_the_way_to_the_client_and_back() {
        let cursor = Cursor {
            time: "2026-11-30T10:00:00.5Z".parse().unwrap(),
            store: "paris-1".to_owned(),
            kind: "payment".to_owned(),
            device: "till-1".to_owned(),
            id: "ä/&".to_owned(),
        };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }
}
