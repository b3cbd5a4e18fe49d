//! Extractors whose rejections are problems of the API, with the name of the invalid parameter or field.

use std::borrow::Cow;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use comptoir_http_rules::rejection::{BodyFault, InvalidValue};
use serde::de::DeserializeOwned;

use super::{problem, respond};

/// The query parameters of a request.
pub struct Query<T>(pub T);

/// A segment of a request's path, percent-decoded.
pub struct Path(pub String);

/// The JSON body of a request.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let text = rejection.body_text();
                // The error type of `serde_urlencoded`.
                let value = InvalidValue::in_sources::<serde::de::value::Error>(&rejection, text);
                let r#type = "urn:comptoir:problem:invalid-query";
                Err(invalid(StatusCode::BAD_REQUEST, r#type, value))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let segment = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        segment
            .map(|axum::extract::Path(segment)| Self(segment))
            .map_err(|rejection| {
                problem(
                    StatusCode::BAD_REQUEST,
                    "urn:comptoir:problem:malformed-path",
                    rejection.body_text(),
                )
            })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(unusable(&rejection)),
        }
    }
}

fn unusable(rejection: &JsonRejection) -> Response {
    let (status, r#type) = match BodyFault::of(rejection) {
        BodyFault::InvalidValue => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "urn:comptoir:problem:invalid-field",
        ),
        BodyFault::NotDeclaredAsJson => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "urn:comptoir:problem:unsupported-media-type",
        ),
        BodyFault::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "urn:comptoir:problem:body-too-large",
        ),
        BodyFault::Malformed | BodyFault::Unreadable => {
            (StatusCode::BAD_REQUEST, "urn:comptoir:problem:malformed-json")
        }
    };
    invalid(status, r#type, InvalidValue::of_body(rejection))
}

fn invalid(status: StatusCode, r#type: &'static str, value: InvalidValue) -> Response {
    let detail = value.to_string();
    respond(status, r#type, detail, value.path.map(Cow::from))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::body::{Body as HttpBody, to_bytes};
    use axum::http::header;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[expect(dead_code, reason = "only its validation is tested")]
        limit: Option<u32>,
        #[expect(dead_code, reason = "only its validation is tested")]
        prices: Option<BTreeMap<String, u64>>,
    }

    async fn problem_of(response: Response) -> (u16, Value) {
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 16).await.unwrap();
        (head.status.as_u16(), serde_json::from_slice(&bytes).unwrap())
    }

    async fn of_query(query: &str) -> (u16, Value) {
        let request = Request::get(format!("/?{query}"))
            .body(HttpBody::empty())
            .unwrap();
        let rejected = Query::<Wanted>::from_request_parts(&mut request.into_parts().0, &()).await;
        problem_of(rejected.err().unwrap()).await
    }

    async fn of_body(body: &'static str) -> (u16, Value) {
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
        let rejected = Body::<Wanted>::from_request(request.body(HttpBody::from(body)).unwrap(), &()).await;
        problem_of(rejected.err().unwrap()).await
    }

    #[tokio::test]
    async fn an_invalid_parameter_is_named() {
        for (query, field) in [
            ("limit=many", "limit"),
            ("limit=-1", "limit"),
            ("unknown=1", "unknown"),
        ] {
            let (status, problem) = of_query(query).await;
            assert_eq!(status, 400, "{query}");
            assert_eq!(problem["type"], "urn:comptoir:problem:invalid-query");
            assert_eq!(problem["field"], field, "{query}");
            assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
        }
    }

    #[tokio::test]
    async fn an_invalid_field_is_named_by_its_path() {
        for (body, field) in [
            (r#"{"limit": "many"}"#, "limit"),
            (r#"{"prices": {"tea": -1}}"#, "prices.tea"),
            (r#"{"unknown": 1}"#, "unknown"),
        ] {
            let (status, problem) = of_body(body).await;
            assert_eq!(status, 422, "{body}");
            assert_eq!(problem["type"], "urn:comptoir:problem:invalid-field");
            assert_eq!(problem["field"], field, "{body}");
        }
        let (status, problem) = of_body("[1").await;
        assert_eq!(
            (status, &problem["type"]),
            (400, &"urn:comptoir:problem:malformed-json".into())
        );
    }
}
