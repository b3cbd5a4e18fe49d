//! The errors of the API: `application/problem+json`, RFC 9457.
//!
//! Programs distinguish problems by `type` and `stored`; people read `detail`. [`types`] defines every type. It is the
//! source of the pages' TypeScript types and of the OpenAPI document.

pub mod operations;
#[cfg(test)]
mod tests;
mod types;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::projection::ProjectionError;
use comptoir_core::sale::draft::FieldError;
use comptoir_http_rules::rejection::{BodyFault, InvalidValue};
use comptoir_journal::{AppendError, ReadError, Refusal};
pub use types::{ProblemType, Stored};

const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request failed (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Problem {
    #[serde(rename = "type")]
    kind: ProblemType,
    /// A short name of the type, for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What failed, why, and what to do, for people. The wording may change.
    detail: String,
    /// Whether the event of the request may be in the journal.
    stored: Stored,
    /// The path of the invalid field, for example `lines[2].unit_price`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    field: Option<String>,
    /// Seconds until the same request may succeed, if they differ from those of the type.
    #[serde(skip)]
    #[cfg_attr(test, ts(skip))]
    retry_after: Option<u32>,
}

impl Problem {
    pub fn new(kind: ProblemType, detail: impl ToString) -> Self {
        let definition = kind.definition();
        Self {
            kind,
            title: definition.title,
            status: definition.status.as_u16(),
            detail: detail.to_string(),
            stored: definition.stored,
            field: None,
            retry_after: definition.retry_after,
        }
    }

    pub fn kind(&self) -> ProblemType {
        self.kind
    }

    /// The same problem with its own `Retry-After`.
    pub fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// A problem with one field. `detail` begins with the field's path.
    pub fn of_field(kind: ProblemType, error: FieldError) -> Self {
        Self {
            field: Some(error.field.clone()),
            ..Self::new(kind, error)
        }
    }

    /// A problem with a path parameter.
    pub fn of_path(parameter: &str, rejection: &PathRejection) -> Self {
        match rejection.status() {
            StatusCode::BAD_REQUEST => {
                let error = FieldError::new(parameter, rejection.body_text());
                Self::of_field(ProblemType::MalformedPath, error)
            }
            _ => Self::internal(rejection.body_text()),
        }
    }

    /// An internal error. It is logged, because the client cannot fix it.
    pub fn internal(error: impl ToString) -> Self {
        let error = error.to_string();
        tracing::error!(error, "an internal error ended a request");
        Self::new(
            ProblemType::InternalError,
            format!("The gateway failed: {error}. Report this, with the gateway's log."),
        )
    }

    /// The journal refuses this device's events but accepts those of others.
    pub fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Devices | Refusal::Epochs => Self::new(
                ProblemType::TooManyDevices,
                "The journal has reached its limit of device names, and the device of this event is not one of them. Nothing \
                 was stored. Free unused names with `gateway forget STORE/DEVICE`.",
            ),
            Refusal::PendingBytes | Refusal::DeadLetters => Self::new(
                ProblemType::JournalFull,
                "The events of this device that are not in Kafka fill half of the journal, so nothing was stored. Send the \
                 event again once Kafka is reachable, or raise `journal.max_bytes`.",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.kind.definition().status, self.retry_after);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// For a field of the body.
impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::of_field(ProblemType::InvalidField, error)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        match BodyFault::of(&rejection) {
            BodyFault::NotDeclaredAsJson => Self::new(
                ProblemType::UnsupportedMediaType,
                "The request body is not declared as JSON. Send the header `Content-Type: application/json`.",
            ),
            BodyFault::Malformed => Self::new(ProblemType::MalformedJson, text),
            BodyFault::InvalidValue => {
                let InvalidValue { path, reason } = InvalidValue::of_body(&rejection);
                FieldError::new(path.unwrap_or_else(|| "body".to_owned()), reason).into()
            }
            BodyFault::TooLarge => Self::new(ProblemType::BodyTooLarge, text),
            BodyFault::Unreadable => Self::new(ProblemType::UnreadableBody, text),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full { bytes, max_bytes } => Self::new(
                ProblemType::JournalFull,
                format!(
                    "The journal is full ({bytes} of {max_bytes} bytes), so nothing was stored. Send the event again once \
                     Kafka is reachable, or raise `journal.max_bytes`."
                ),
            ),
            AppendError::InDoubt(error) => Self::new(
                ProblemType::OutcomeUnknown,
                format!(
                    "The disk did not confirm the write: {error}. The event may be stored. Check the disk (free space, \
                     `dmesg`), then send the event again with the same id."
                ),
            ),
            AppendError::Storage(error) => Self::new(
                ProblemType::JournalWriteFailed,
                format!(
                    "The journal could not be written: {error}. Nothing was stored. Check the disk (free space, \
                     `dmesg`), then send the event again."
                ),
            ),
            AppendError::Closed => Self::new(
                ProblemType::ShuttingDown,
                "The gateway is shutting down, so nothing was stored. Send the event again in a moment.",
            ),
            AppendError::Unanswered => Self::new(
                ProblemType::OutcomeUnknown,
                "The gateway shut down before the write was confirmed. The event may be stored. Send the event again \
                 with the same id.",
            ),
        }
    }
}

impl From<ProjectionError> for Problem {
    fn from(error: ProjectionError) -> Self {
        if let ProjectionError::Ended = error {
            return Self::new(
                ProblemType::ShuttingDown,
                "The gateway is shutting down. Try again in a moment.",
            );
        }
        if let ProjectionError::Behind = error {
            return Self::new(
                ProblemType::ReadFailed,
                "The newest events are not counted yet. Try again in a moment.",
            );
        }
        tracing::error!(%error, "stored events could not be read");
        Self::new(
            ProblemType::ReadFailed,
            format!("Stored events could not be read: {error}. Check the disk (`dmesg`), then try again."),
        )
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        ProjectionError::from(error).into()
    }
}

pub async fn not_found(uri: Uri) -> Problem {
    Problem::new(
        ProblemType::NotFound,
        format!(
            "There is nothing at {}. GET /api/openapi.json lists the endpoints.",
            uri.path()
        ),
    )
}

pub async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        ProblemType::MethodNotAllowed,
        format!(
            "{} does not support {method}. The header `Allow` lists the methods that it supports.",
            uri.path()
        ),
    )
}
