//! Every problem that the API answers, and the only place where a type, a title and a status meet.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong, for programs: stable, unlike `title` and `detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ProblemType {
    #[serde(rename = "urn:comptoir:problem:malformed-path")]
    MalformedPath,
    #[serde(rename = "urn:comptoir:problem:malformed-json")]
    MalformedJson,
    #[serde(rename = "urn:comptoir:problem:unreadable-body")]
    UnreadableBody,
    #[serde(rename = "urn:comptoir:problem:body-timeout")]
    BodyTimeout,
    #[serde(rename = "urn:comptoir:problem:body-too-large")]
    BodyTooLarge,
    #[serde(rename = "urn:comptoir:problem:unsupported-media-type")]
    UnsupportedMediaType,
    #[serde(rename = "urn:comptoir:problem:password-required")]
    PasswordRequired,
    #[serde(rename = "urn:comptoir:problem:cross-site-request")]
    CrossSiteRequest,
    #[serde(rename = "urn:comptoir:problem:https-required")]
    HttpsRequired,
    #[serde(rename = "urn:comptoir:problem:not-found")]
    NotFound,
    #[serde(rename = "urn:comptoir:problem:order-not-found")]
    OrderNotFound,
    #[serde(rename = "urn:comptoir:problem:dead-letter-not-found")]
    DeadLetterNotFound,
    #[serde(rename = "urn:comptoir:problem:demo-only")]
    DemoOnly,
    #[serde(rename = "urn:comptoir:problem:method-not-allowed")]
    MethodNotAllowed,
    #[serde(rename = "urn:comptoir:problem:invalid-field")]
    InvalidField,
    #[serde(rename = "urn:comptoir:problem:invalid-parameter")]
    InvalidParameter,
    #[serde(rename = "urn:comptoir:problem:invalid-cursor")]
    InvalidCursor,
    #[serde(rename = "urn:comptoir:problem:dead-letter-undecodable")]
    DeadLetterUndecodable,
    #[serde(rename = "urn:comptoir:problem:dead-letter-already-stored")]
    DeadLetterAlreadyStored,
    #[serde(rename = "urn:comptoir:problem:journal-full")]
    JournalFull,
    #[serde(rename = "urn:comptoir:problem:journal-write-failed")]
    JournalWriteFailed,
    #[serde(rename = "urn:comptoir:problem:too-many-devices")]
    TooManyDevices,
    #[serde(rename = "urn:comptoir:problem:outcome-unknown")]
    OutcomeUnknown,
    #[serde(rename = "urn:comptoir:problem:read-failed")]
    ReadFailed,
    #[serde(rename = "urn:comptoir:problem:answer-timeout")]
    AnswerTimeout,
    #[serde(rename = "urn:comptoir:problem:shutting-down")]
    ShuttingDown,
    #[serde(rename = "urn:comptoir:problem:not-ready")]
    NotReady,
    #[serde(rename = "urn:comptoir:problem:internal-error")]
    InternalError,
}

/// Whether the event that a request carried may be in the journal although the request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// It is not: this request stored nothing.
    No,
    /// It may be. Sent again with the same id, it is not counted twice.
    Unknown,
}

/// What all problems of one type have in common.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    pub status: StatusCode,
    pub title: &'static str,
    pub stored: Stored,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
}

impl Definition {
    const fn new(status: StatusCode, title: &'static str) -> Self {
        Self {
            status,
            title,
            stored: Stored::No,
            retry_after: None,
        }
    }

    const fn maybe_stored(mut self) -> Self {
        self.stored = Stored::Unknown;
        self
    }

    const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl ProblemType {
    /// A test compares it with the description, so that none is missing.
    #[cfg(test)]
    pub const ALL: [Self; 28] = [
        Self::MalformedPath,
        Self::MalformedJson,
        Self::UnreadableBody,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::PasswordRequired,
        Self::CrossSiteRequest,
        Self::HttpsRequired,
        Self::NotFound,
        Self::OrderNotFound,
        Self::DeadLetterNotFound,
        Self::DemoOnly,
        Self::MethodNotAllowed,
        Self::InvalidField,
        Self::InvalidParameter,
        Self::InvalidCursor,
        Self::DeadLetterUndecodable,
        Self::DeadLetterAlreadyStored,
        Self::JournalFull,
        Self::JournalWriteFailed,
        Self::TooManyDevices,
        Self::OutcomeUnknown,
        Self::ReadFailed,
        Self::AnswerTimeout,
        Self::ShuttingDown,
        Self::NotReady,
        Self::InternalError,
    ];

    pub const fn definition(self) -> Definition {
        use StatusCode as Code;
        let of = Definition::new;
        match self {
            Self::MalformedPath => of(Code::BAD_REQUEST, "Malformed path"),
            Self::MalformedJson => of(Code::BAD_REQUEST, "Malformed JSON"),
            Self::UnreadableBody => of(Code::BAD_REQUEST, "Unreadable request body"),
            Self::BodyTimeout => of(Code::REQUEST_TIMEOUT, "The request body did not arrive in time"),
            Self::BodyTooLarge => of(Code::PAYLOAD_TOO_LARGE, "The request body is too large"),
            Self::UnsupportedMediaType => of(Code::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"),
            Self::PasswordRequired => of(Code::UNAUTHORIZED, "Password required"),
            Self::CrossSiteRequest => of(Code::FORBIDDEN, "Cross-site request"),
            Self::HttpsRequired => of(Code::FORBIDDEN, "HTTPS required"),
            Self::NotFound => of(Code::NOT_FOUND, "Not found"),
            Self::OrderNotFound => of(Code::NOT_FOUND, "Order not found"),
            Self::DeadLetterNotFound => of(Code::NOT_FOUND, "Dead letter not found"),
            Self::DemoOnly => of(Code::NOT_FOUND, "Only in the demonstration"),
            Self::MethodNotAllowed => of(Code::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::InvalidField => of(Code::UNPROCESSABLE_ENTITY, "Invalid field"),
            Self::InvalidParameter => of(Code::UNPROCESSABLE_ENTITY, "Invalid parameter"),
            Self::InvalidCursor => of(Code::UNPROCESSABLE_ENTITY, "Invalid cursor"),
            Self::DeadLetterUndecodable => of(
                Code::UNPROCESSABLE_ENTITY,
                "The dead letter still cannot be decoded",
            ),
            Self::DeadLetterAlreadyStored => of(Code::CONFLICT, "The dead letter is already stored"),
            Self::JournalFull => of(Code::SERVICE_UNAVAILABLE, "The journal is full").retry_after(5),
            Self::JournalWriteFailed => {
                of(Code::SERVICE_UNAVAILABLE, "The journal could not be written").retry_after(5)
            }
            Self::TooManyDevices => of(Code::SERVICE_UNAVAILABLE, "Too many devices"),
            Self::OutcomeUnknown => of(Code::SERVICE_UNAVAILABLE, "The outcome is unknown")
                .retry_after(5)
                .maybe_stored(),
            Self::ReadFailed => {
                of(Code::SERVICE_UNAVAILABLE, "Stored events could not be read").retry_after(5)
            }
            Self::AnswerTimeout => {
                of(Code::SERVICE_UNAVAILABLE, "The gateway did not answer in time").retry_after(5)
            }
            Self::ShuttingDown => {
                of(Code::SERVICE_UNAVAILABLE, "The gateway is shutting down").retry_after(5)
            }
            Self::NotReady => of(Code::SERVICE_UNAVAILABLE, "Not ready"),
            Self::InternalError => of(Code::INTERNAL_SERVER_ERROR, "Internal error").maybe_stored(),
        }
    }
}
