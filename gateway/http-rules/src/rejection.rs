//! What is wrong with a JSON body or a query that axum has rejected, with the path of the invalid value.

use std::error::Error;
use std::fmt::{Display, Formatter, Result};

use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;

/// Why a request's body is not the expected JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// The body is JSON, but a value in it is not the expected one.
    InvalidValue,
    /// `Content-Type` names another format, or none.
    NotDeclaredAsJson,
    TooLarge,
    Malformed,
    /// The body did not arrive as a whole.
    Unreadable,
}

impl BodyFault {
    pub fn of(rejection: &JsonRejection) -> Self {
        match rejection {
            JsonRejection::JsonDataError(_) => Self::InvalidValue,
            JsonRejection::JsonSyntaxError(_) => Self::Malformed,
            JsonRejection::MissingJsonContentType(_) => Self::NotDeclaredAsJson,
            _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            _ => Self::Unreadable,
        }
    }
}

/// A value that is not the expected one.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// Where it is, for example `prices.tea`; `None` if the whole is invalid.
    pub path: Option<String>,
    pub reason: String,
}

impl InvalidValue {
    /// The invalid value of a rejected body.
    pub fn of_body(rejection: &JsonRejection) -> Self {
        Self::in_sources::<serde_json::Error>(rejection, rejection.body_text())
    }

    /// The invalid value in the sources of a rejection. `E`: the error of the format. `text`: the reason if they name no
    /// value.
    pub fn in_sources<E: Error + 'static>(rejection: &(dyn Error + 'static), text: String) -> Self {
        let mut sources = std::iter::successors(Some(rejection), |error| (*error).source());
        let found = sources.find_map(|error| error.downcast_ref::<serde_path_to_error::Error<E>>());
        let Some(error) = found else {
            return Self {
                path: None,
                reason: text,
            };
        };
        let is_whole = error.path().iter().next().is_none();
        Self {
            path: (!is_whole).then(|| error.path().to_string()),
            reason: error.inner().to_string(),
        }
    }
}

impl Display for InvalidValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::Json;
    use axum::body::Body;
    use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
    use axum::http::header;
    use serde::Deserialize;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Expected {
        #[expect(dead_code, reason = "only its validation is tested")]
        limit: Option<u32>,
        #[expect(dead_code, reason = "only its validation is tested")]
        prices: Option<BTreeMap<String, u64>>,
    }

    fn request(media_type: &str, body: impl Into<Body>) -> Request {
        let request = Request::post("/").header(header::CONTENT_TYPE, media_type);
        request.body(body.into()).unwrap()
    }

    async fn rejection(request: Request) -> JsonRejection {
        Json::<Expected>::from_request(request, &()).await.unwrap_err()
    }

    #[tokio::test]
    async fn an_invalid_value_is_named_by_its_path() {
        for (body, path) in [
            (r#"{"limit": "many"}"#, Some("limit")),
            (r#"{"prices": {"tea": -1}}"#, Some("prices.tea")),
            (r#"{"unknown": 1}"#, Some("unknown")),
            ("[]", None),
        ] {
            let rejection = rejection(request("application/json", body)).await;
            assert_eq!(BodyFault::of(&rejection), BodyFault::InvalidValue, "{body}");
            let value = InvalidValue::of_body(&rejection);
            assert_eq!(value.path.as_deref(), path, "{body}");
            assert!(
                !value.reason.is_empty() && !value.reason.starts_with("limit:"),
                "{value:?}"
            );
        }
    }

    #[tokio::test]
    async fn each_fault_of_a_body_is_told_apart() {
        for (media_type, body, fault) in [
            ("text/plain", "{}", BodyFault::NotDeclaredAsJson),
            ("application/json", "{", BodyFault::Malformed),
            ("application/json", "[1", BodyFault::Malformed),
        ] {
            let rejection = rejection(request(media_type, body)).await;
            assert_eq!(BodyFault::of(&rejection), fault, "{media_type} {body}");
        }
        let broken = Body::from_stream(futures::stream::iter([Err::<&str, _>(std::io::Error::other(
            "reset",
        ))]));
        let rejection = rejection(request("application/json", broken)).await;
        assert_eq!(BodyFault::of(&rejection), BodyFault::Unreadable);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_no_malformed_one() {
        let handler = async |body: std::result::Result<Json<Expected>, JsonRejection>| {
            let fault = BodyFault::of(&body.unwrap_err());
            assert_eq!(fault, BodyFault::TooLarge);
        };
        let router = axum::Router::new()
            .route("/", axum::routing::post(handler))
            .layer(DefaultBodyLimit::max(10));
        let body = r#"{"limit": 1234567}"#;
        let response = router.oneshot(request("application/json", body)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}
