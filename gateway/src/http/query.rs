//! Query-string parsing whose errors name the field.

use std::convert::Infallible;
use std::fmt::Display;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;

use super::{Problem, ProblemType};
use crate::projection::{Cursor, ShopFilter};
use comptoir_core::sale::draft::FieldError;
use comptoir_core::sale::is_rfc3339;

/// The parameters in the order of the query string. Unknown parameters are ignored.
#[derive(Debug, Default)]
pub struct QueryParams(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        ))
    }
}

impl QueryParams {
    /// The value of a parameter; `None` if it is absent.
    ///
    /// # Errors
    ///
    /// The parameter occurs more than once.
    pub fn text(&self, field: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(name, _)| name == field);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            Some(_) => Err(invalid(field, "occurs more than once; write it once")),
            None => Ok(value),
        }
    }

    /// The parameter `store`, which selects a shop's sales. `own`, this gateway's store, is the default.
    ///
    /// # Errors
    ///
    /// The parameter occurs more than once.
    pub fn shop(&self, own: &str) -> Result<ShopFilter<'_>, Problem> {
        Ok(match self.text("store")? {
            Some(store) if store != own => ShopFilter::Other(store),
            _ => ShopFilter::Home,
        })
    }

    /// The page size.
    ///
    /// # Errors
    ///
    /// `limit` is not a number from 1 to [`MAX_LIMIT`].
    pub fn limit(&self) -> Result<u32, Problem> {
        let Some(text) = self.text("limit")? else {
            return Ok(DEFAULT_LIMIT);
        };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| {
            let problem = format!(
                "{text:?} is not a number from 1 to {MAX_LIMIT}; write for example {DEFAULT_LIMIT}, or leave it out"
            );
            invalid("limit", problem)
        })
    }

    /// The cursor of a list of sales.
    ///
    /// # Errors
    ///
    /// The value is not a cursor.
    pub fn list_cursor(&self) -> Result<Option<Cursor>, Problem> {
        let Some(text) = self.text("cursor")? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            let problem = format!(
                "{text:?} is not a cursor; use the `next_cursor` of the page before, or leave it out to get the newest"
            );
            Problem::of_field(ProblemType::InvalidCursor, FieldError::new("cursor", problem))
        })
    }

    /// A time, in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// The value is not a time of RFC 3339.
    pub fn time(&self, field: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        let time = text.parse::<Timestamp>().ok().filter(|time| is_rfc3339(*time));
        time.map(|time| Some(time.as_millisecond())).ok_or_else(|| {
            let problem = format!(
                "{text:?} is not a time with an offset in the years 0000 to 9998; write for example 2026-11-30T00:00:00Z"
            );
            invalid(field, problem)
        })
    }

    /// A cursor: a position in a list. `source` tells the client, in an error, where to get a cursor.
    ///
    /// # Errors
    ///
    /// The value is not a row id that SQLite could have assigned: an `i64` of at least 0.
    pub fn cursor(&self, field: &str, source: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        let cursor = text.parse().ok().filter(|cursor| i64::try_from(*cursor).is_ok());
        cursor.map(Some).ok_or_else(|| {
            let problem =
                format!("{text:?} is not a cursor; use {source}, or leave it out to get the newest");
            Problem::of_field(ProblemType::InvalidCursor, FieldError::new(field, problem))
        })
    }
}

pub fn invalid(field: &str, problem: impl Display) -> Problem {
    Problem::of_field(ProblemType::InvalidParameter, FieldError::new(field, problem))
}

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    async fn params(query: &str) -> QueryParams {
        let request = axum::http::Request::get(format!("/?{query}")).body(()).unwrap();
        let Ok(params) = QueryParams::from_request_parts(&mut request.into_parts().0, &()).await;
        params
    }

    #[tokio::test]
    async fn a_parameter_is_decoded_and_a_repeated_one_is_an_error() {
        let params = params("limit=7&status=In+Transit&before=1&before=2&cursor=-1&other=%ff").await;
        assert_eq!(params.limit().unwrap(), 7);
        assert_eq!(params.text("status").unwrap(), Some("In Transit"));
        assert_eq!(params.text("nothing").unwrap(), None);
        assert!(params.cursor("before", "").is_err() && params.cursor("cursor", "").is_err());
    }

    #[tokio::test]
    async fn a_limit_outside_1_to_500_is_an_error() {
        for query in ["limit=0", "limit=501", "limit=abc", "limit=", "limit=1&limit=1"] {
            assert!(params(query).await.limit().is_err(), "{query}");
        }
        assert_eq!(params("").await.limit().unwrap(), 50);
    }
}
