//! Errors of the API: RFC 9457, `application/problem+json`.
//!
//! Programs tell problems apart by `type` and `stored`, people read `detail`. [`types`] defines every type; the pages'
//! TypeScript and the API's description are generated from it.

pub mod operations;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
mod types;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::journal::{AppendError, ReadError};
use crate::projection::ProjectionError;
use crate::sale::draft::FieldError;
pub use types::{ProblemType, Stored};

const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Problem {
    #[serde(rename = "type")]
    kind: ProblemType,
    /// Names the type, for people.
    title: &'static str,
    status: u16,
    /// What failed, why, and what to do, for people: its words may change.
    detail: String,
    stored: Stored,
    /// The path of the field that is wrong, as in `lines[2].unit_price`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    field: Option<String>,
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
        }
    }

    /// Names the field that is wrong; `detail` begins with it.
    pub fn of_field(kind: ProblemType, error: FieldError) -> Self {
        Self {
            field: Some(error.field.clone()),
            ..Self::new(kind, error)
        }
    }

    /// `parameter` is a part of the path.
    pub fn of_path(parameter: &str, rejection: &PathRejection) -> Self {
        match rejection.status() {
            StatusCode::BAD_REQUEST => {
                let error = FieldError::new(parameter, rejection.body_text());
                Self::of_field(ProblemType::MalformedPath, error)
            }
            _ => Self::internal(rejection.body_text()),
        }
    }

    /// A fault of the gateway itself. Logged, because the client cannot fix it.
    pub fn internal(error: impl ToString) -> Self {
        let error = error.to_string();
        tracing::error!(error, "a request failed");
        Self::new(
            ProblemType::InternalError,
            format!("The gateway failed: {error}. Please report this, with the gateway's log."),
        )
    }

    /// No room is left for another device in the journal.
    pub fn too_many_devices() -> Self {
        Self::new(
            ProblemType::TooManyDevices,
            "The journal has reached its limit of 65,536 devices and epochs, and this event's device is not among them. \
             Nothing was stored. Start a new journal once everything in this one is in Kafka.",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let definition = self.kind.definition();
        let mut response = (definition.status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = definition.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Of a field in the body.
impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::of_field(ProblemType::InvalidField, error)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        match rejection {
            JsonRejection::MissingJsonContentType(_) => Self::new(
                ProblemType::UnsupportedMediaType,
                "The request body is not declared as JSON. Send `Content-Type: application/json`.",
            ),
            JsonRejection::JsonSyntaxError(_) => Self::new(ProblemType::MalformedJson, text),
            JsonRejection::JsonDataError(_) => FieldError::new("body", text).into(),
            _ => Self::new(ProblemType::UnreadableBody, text),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full { bytes, max_bytes } => Self::new(
                ProblemType::JournalFull,
                format!(
                    "The journal is full ({bytes} of {max_bytes} bytes) and waits for Kafka, so nothing was stored. \
                     Send it again when Kafka is reachable, or raise `journal.max_bytes`."
                ),
            ),
            AppendError::InDoubt(error) => Self::new(
                ProblemType::OutcomeUnknown,
                format!(
                    "The disk did not confirm the write: {error}. The event may have been stored. Check the disk, then send it \
                     again with the same id."
                ),
            ),
            AppendError::Storage(error) => Self::new(
                ProblemType::JournalWriteFailed,
                format!(
                    "The journal could not be written: {error}. Nothing was stored. Check the disk (free space, \
                     `dmesg`), then send it again."
                ),
            ),
            AppendError::Closed => Self::new(
                ProblemType::ShuttingDown,
                "The gateway is shutting down, so nothing was stored. Send it again in a moment.",
            ),
            AppendError::Unanswered => Self::new(
                ProblemType::OutcomeUnknown,
                "The gateway shut down before the write was confirmed. The event may be stored. Send it again with the \
                 same id.",
            ),
        }
    }
}

impl From<ProjectionError> for Problem {
    fn from(error: ProjectionError) -> Self {
        if let ProjectionError::Ended = error {
            return Self::new(
                ProblemType::ShuttingDown,
                "The gateway is shutting down. Ask again in a moment.",
            );
        }
        tracing::error!(%error, "a request failed");
        Self::new(
            ProblemType::ReadFailed,
            format!("{error}. Check the disk (`dmesg`), then try again."),
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
            "There is nothing at {}. /api/openapi.json lists the endpoints.",
            uri.path()
        ),
    )
}

pub async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        ProblemType::MethodNotAllowed,
        format!(
            "{} does not accept {method}. The Allow header lists what it accepts.",
            uri.path()
        ),
    )
}
