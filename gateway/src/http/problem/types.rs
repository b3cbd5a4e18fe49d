//! The only definition of the problem types, each with its title, status, `stored` and `Retry-After`.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// The type of a problem, for programs. Stable, unlike `title` and `detail`.
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
    #[serde(rename = "urn:comptoir:problem:sign-in-required")]
    SignInRequired,
    #[serde(rename = "urn:comptoir:problem:sign-in-failed")]
    SignInFailed,
    #[serde(rename = "urn:comptoir:problem:too-many-attempts")]
    TooManyAttempts,
    #[serde(rename = "urn:comptoir:problem:forbidden")]
    Forbidden,
    #[serde(rename = "urn:comptoir:problem:plain-sign-in-refused")]
    PlainSignInRefused,
    #[serde(rename = "urn:comptoir:problem:setup-required")]
    SetupRequired,
    #[serde(rename = "urn:comptoir:problem:setup-code-wrong")]
    SetupCodeWrong,
    #[serde(rename = "urn:comptoir:problem:already-set-up")]
    AlreadySetUp,
    #[serde(rename = "urn:comptoir:problem:open-gateway")]
    OpenGateway,
    #[serde(rename = "urn:comptoir:problem:user-exists")]
    UserExists,
    #[serde(rename = "urn:comptoir:problem:user-not-found")]
    UserNotFound,
    #[serde(rename = "urn:comptoir:problem:last-administrator")]
    LastAdministrator,
    #[serde(rename = "urn:comptoir:problem:session-not-found")]
    SessionNotFound,
    #[serde(rename = "urn:comptoir:problem:pairing-not-found")]
    PairingNotFound,
    #[serde(rename = "urn:comptoir:problem:too-many-accounts")]
    TooManyAccounts,
    #[serde(rename = "urn:comptoir:problem:accounts-unavailable")]
    AccountsUnavailable,
    #[serde(rename = "urn:comptoir:problem:cross-site-request")]
    CrossSiteRequest,
    #[serde(rename = "urn:comptoir:problem:https-required")]
    HttpsRequired,
    #[serde(rename = "urn:comptoir:problem:not-found")]
    NotFound,
    #[serde(rename = "urn:comptoir:problem:order-not-found")]
    OrderNotFound,
    #[serde(rename = "urn:comptoir:problem:refund-not-possible")]
    RefundNotPossible,
    #[serde(rename = "urn:comptoir:problem:day-is-closed")]
    DayIsClosed,
    #[serde(rename = "urn:comptoir:problem:day-has-not-begun")]
    DayHasNotBegun,
    #[serde(rename = "urn:comptoir:problem:dead-letter-not-found")]
    DeadLetterNotFound,
    #[serde(rename = "urn:comptoir:problem:device-not-found")]
    DeviceNotFound,
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
    #[serde(rename = "urn:comptoir:problem:too-many-requests")]
    TooManyRequests,
    #[serde(rename = "urn:comptoir:problem:too-many-live-connections")]
    TooManyLiveConnections,
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

/// Whether the event of a failed request may be in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// The request stored nothing.
    No,
    /// The event may be stored. Send it again with the same id: it is not counted twice.
    Unknown,
}

/// The properties shared by all problems of one type.
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
    /// Every type. A test compares this list with the OpenAPI document, so that none is missing.
    pub const ALL: [Self; 49] = [
        Self::MalformedPath,
        Self::MalformedJson,
        Self::UnreadableBody,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::SignInRequired,
        Self::SignInFailed,
        Self::TooManyAttempts,
        Self::Forbidden,
        Self::PlainSignInRefused,
        Self::SetupRequired,
        Self::SetupCodeWrong,
        Self::AlreadySetUp,
        Self::OpenGateway,
        Self::UserExists,
        Self::UserNotFound,
        Self::LastAdministrator,
        Self::SessionNotFound,
        Self::PairingNotFound,
        Self::TooManyAccounts,
        Self::AccountsUnavailable,
        Self::CrossSiteRequest,
        Self::HttpsRequired,
        Self::NotFound,
        Self::OrderNotFound,
        Self::RefundNotPossible,
        Self::DayIsClosed,
        Self::DayHasNotBegun,
        Self::DeadLetterNotFound,
        Self::DeviceNotFound,
        Self::DemoOnly,
        Self::MethodNotAllowed,
        Self::InvalidField,
        Self::InvalidParameter,
        Self::InvalidCursor,
        Self::DeadLetterUndecodable,
        Self::DeadLetterAlreadyStored,
        Self::TooManyRequests,
        Self::TooManyLiveConnections,
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

    /// `urn:comptoir:problem:…`.
    pub fn urn(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|urn| urn.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

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
            Self::SignInRequired => of(Code::UNAUTHORIZED, "Sign-in required"),
            Self::SignInFailed => of(Code::UNAUTHORIZED, "Sign-in failed"),
            Self::TooManyAttempts => of(Code::TOO_MANY_REQUESTS, "Too many attempts"),
            Self::Forbidden => of(Code::FORBIDDEN, "Insufficient role"),
            Self::PlainSignInRefused => of(Code::FORBIDDEN, "Sign-in needs HTTPS"),
            Self::SetupRequired => of(Code::FORBIDDEN, "The gateway is not set up"),
            Self::SetupCodeWrong => of(Code::FORBIDDEN, "Wrong set-up code"),
            Self::AlreadySetUp => of(Code::CONFLICT, "Already set up"),
            Self::OpenGateway => of(Code::CONFLICT, "The gateway is open"),
            Self::UserExists => of(Code::CONFLICT, "User already exists"),
            Self::UserNotFound => of(Code::NOT_FOUND, "User not found"),
            Self::LastAdministrator => of(Code::CONFLICT, "The last administrator"),
            Self::SessionNotFound => of(Code::NOT_FOUND, "Session not found"),
            Self::PairingNotFound => of(Code::NOT_FOUND, "Pairing not found"),
            Self::TooManyAccounts => of(Code::CONFLICT, "Too many users, sessions or tokens"),
            Self::AccountsUnavailable => {
                of(Code::SERVICE_UNAVAILABLE, "The accounts are unavailable").retry_after(5)
            }
            Self::CrossSiteRequest => of(Code::FORBIDDEN, "Cross-site request"),
            Self::HttpsRequired => of(Code::FORBIDDEN, "HTTPS required"),
            Self::NotFound => of(Code::NOT_FOUND, "Not found"),
            Self::OrderNotFound => of(Code::NOT_FOUND, "Order not found"),
            Self::RefundNotPossible => of(Code::CONFLICT, "The refund is not possible"),
            Self::DayIsClosed => of(Code::CONFLICT, "The day is closed"),
            Self::DayHasNotBegun => of(Code::CONFLICT, "The day has not begun"),
            Self::DeadLetterNotFound => of(Code::NOT_FOUND, "Dead letter not found"),
            Self::DeviceNotFound => of(Code::NOT_FOUND, "Device not found"),
            Self::DemoOnly => of(Code::NOT_FOUND, "Only available in the demo"),
            Self::MethodNotAllowed => of(Code::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::InvalidField => of(Code::UNPROCESSABLE_ENTITY, "Invalid field"),
            Self::InvalidParameter => of(Code::UNPROCESSABLE_ENTITY, "Invalid parameter"),
            Self::InvalidCursor => of(Code::UNPROCESSABLE_ENTITY, "Invalid cursor"),
            Self::DeadLetterUndecodable => of(
                Code::UNPROCESSABLE_ENTITY,
                "The dead letter still cannot be decoded",
            ),
            Self::DeadLetterAlreadyStored => of(Code::CONFLICT, "The dead letter is already stored"),
            Self::TooManyRequests => of(Code::TOO_MANY_REQUESTS, "Too many requests").retry_after(1),
            Self::TooManyLiveConnections => {
                of(Code::SERVICE_UNAVAILABLE, "Too many live connections").retry_after(5)
            }
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
