//! The problems that each operation can answer with, for the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::ToSchema as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AllOfBuilder, Object, Type};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::ProblemType::{self, *};
use super::{MEDIA_TYPE, Problem};

/// Problems of every request.
pub const ANY: &[ProblemType] = &[HttpsRequired, TooManyRequests];

/// Problems of every request that needs a role.
pub const ACCESS: &[ProblemType] = &[
    SignInRequired,
    Forbidden,
    TooManyAttempts,
    PlainSignInRefused,
    SetupRequired,
    AccountsUnavailable,
    CrossSiteRequest,
    HttpsRequired,
    TooManyRequests,
];

/// Problems of a request about users, sessions, screens or tokens.
pub const ACCOUNTS: &[ProblemType] = &[OpenGateway, AccountsUnavailable];

/// Problems of a request whose body is a JSON object with required fields.
pub const JSON: &[ProblemType] = &[UnsupportedMediaType, MalformedJson, InvalidField];

/// Problems of a request that reads the journal or the projection.
pub const READ: &[ProblemType] = &[ReadFailed, ShuttingDown, AnswerTimeout];

/// Problems of a request with a body.
pub const BODY: &[ProblemType] = &[UnreadableBody, BodyTimeout, BodyTooLarge, OutcomeUnknown];

/// Problems of a request that appends to the journal.
pub const APPEND: &[ProblemType] = &[
    JournalFull,
    JournalWriteFailed,
    TooManyDevices,
    ReadFailed,
    ShuttingDown,
    InternalError,
];

/// Problems of a request that changes the journal without an event.
pub const WRITE: &[ProblemType] = &[JournalWriteFailed, ShuttingDown];

/// Declares a type for the `responses` of `utoipa::path` that lists the problems of one operation.
macro_rules! problems {
    ($name:ident: $($types:expr),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::http::problem::operations::responses(&[$($types),+].concat())
            }
        }
    };
}
pub(crate) use problems;

/// One response per status. Its schema lists the problem types with that status.
pub fn responses(types: &[ProblemType]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for &of in types {
        let same = by_status.entry(of.definition().status.as_u16()).or_default();
        if !same.contains(&of) {
            same.push(of);
        }
    }
    let responses = by_status
        .into_iter()
        .map(|(status, types)| (status.to_string(), response(&types).into()));
    responses.collect()
}

fn response(types: &[ProblemType]) -> Response {
    let titles: Vec<_> = types.iter().map(|of| of.definition().title).collect();
    let mut response = ResponseBuilder::new()
        .description(format!("{}.", titles.join(". ")))
        .content(
            MEDIA_TYPE,
            ContentBuilder::new().schema(Some(schema(types))).build(),
        );
    if types.iter().any(|of| of.definition().retry_after.is_some()) {
        let seconds = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("Seconds after which the same request may succeed."))
            .build();
        response = response.header("Retry-After", seconds);
    }
    response.build()
}

/// The schema of a [`Problem`] of one of these types.
fn schema(types: &[ProblemType]) -> utoipa::openapi::Schema {
    let one_of = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(types.iter().map(|of| serde_json::json!(of))));
    let narrowed = ObjectBuilder::new().property("type", one_of);
    AllOfBuilder::new()
        .item(Ref::from_schema_name(Problem::name()))
        .item(narrowed)
        .build()
        .into()
}
