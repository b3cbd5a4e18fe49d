//! Query-string parsing whose errors name the field.

use std::convert::Infallible;
use std::fmt::Display;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{Problem, ProblemType};
use crate::sale::draft::FieldError;

/// Every field in its order. What nobody asks for is not looked at.
#[derive(Debug, Default)]
pub struct Asked(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Asked {
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

impl Asked {
    /// `None` if it is not asked for.
    pub fn text(&self, field: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(name, _)| name == field);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            Some(_) => Err(invalid(field, "given more than once")),
            None => Ok(value),
        }
    }

    /// How many of a list are asked for.
    pub fn limit(&self) -> Result<u32, Problem> {
        let Some(text) = self.text("limit")? else {
            return Ok(DEFAULT_LIMIT);
        };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| {
            let expected = format!("expected a number from 1 to {MAX_LIMIT}, for example {DEFAULT_LIMIT}");
            invalid("limit", expected)
        })
    }

    /// A place in a list, as SQLite counts. `source` says where the client gets one.
    pub fn cursor(&self, field: &str, source: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        let cursor = text.parse().ok().filter(|cursor| i64::try_from(*cursor).is_ok());
        cursor.map(Some).ok_or_else(|| {
            let problem = format!("invalid cursor; use {source}, or leave it out for the newest");
            Problem::of_field(ProblemType::InvalidCursor, FieldError::new(field, problem))
        })
    }
}

fn invalid(field: &str, problem: impl Display) -> Problem {
    Problem::of_field(ProblemType::InvalidParameter, FieldError::new(field, problem))
}

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(query: &str) -> Asked {
        let request = axum::http::Request::get(format!("/?{query}")).body(()).unwrap();
        let Ok(asked) = Asked::from_request_parts(&mut request.into_parts().0, &()).await;
        asked
    }

    #[tokio::test]
    async fn a_field_is_read_once() {
        let asked = asked("limit=7&status=In+Transit&before=1&before=2&cursor=-1&other=%ff").await;
        assert_eq!(asked.limit().unwrap(), 7);
        assert_eq!(asked.text("status").unwrap(), Some("In Transit"));
        assert_eq!(asked.text("nothing").unwrap(), None);
        assert!(asked.cursor("before", "").is_err() && asked.cursor("cursor", "").is_err());
    }

    #[tokio::test]
    async fn a_limit_is_a_number_of_things() {
        for query in ["limit=0", "limit=501", "limit=abc", "limit=", "limit=1&limit=1"] {
            assert!(asked(query).await.limit().is_err(), "{query}");
        }
        assert_eq!(asked("").await.limit().unwrap(), 50);
    }
}
