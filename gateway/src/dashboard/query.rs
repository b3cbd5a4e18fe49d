//! What stands behind the question mark, read so that an error names the field.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Problem;
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
    pub fn text(&self, field: &str) -> Result<Option<&str>, FieldError> {
        let mut values = self.0.iter().filter(|(name, _)| name == field);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            Some(_) => Err(FieldError::new(field, "given more than once")),
            None => Ok(value),
        }
    }

    /// As [`Self::text`]. `is_one` says which will do, and `what` says it to people.
    pub fn number<T: FromStr>(
        &self,
        field: &str,
        what: impl std::fmt::Display,
        is_one: impl FnOnce(&T) -> bool,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(is_one);
        Ok(Some(number.ok_or_else(|| FieldError::new(field, what))?))
    }

    /// How many of a list are asked for.
    pub fn limit(&self) -> Result<u32, Problem> {
        let what = format!("a number from 1 to {MAX_LIMIT}");
        let limit = self.number("limit", what, |limit| (1..=MAX_LIMIT).contains(limit))?;
        Ok(limit.unwrap_or(DEFAULT_LIMIT))
    }

    /// A place in a list, as SQLite counts.
    pub fn place(&self, field: &str) -> Result<Option<u64>, Problem> {
        self.number(field, "not one that a page gave", |place| {
            i64::try_from(*place).is_ok()
        })
    }
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
        assert!(asked.place("before").is_err() && asked.place("cursor").is_err());
    }

    #[tokio::test]
    async fn a_limit_is_a_number_of_things() {
        for query in ["limit=0", "limit=501", "limit=abc", "limit=", "limit=1&limit=1"] {
            assert!(asked(query).await.limit().is_err(), "{query}");
        }
        assert_eq!(asked("").await.limit().unwrap(), 50);
    }
}
