//! The problems of each operation, for the API's description.

use std::collections::BTreeMap;

use utoipa::ToSchema as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AllOfBuilder, Object, Type};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::ProblemType::{self, *};
use super::{MEDIA_TYPE, Problem};

/// Of any request.
pub const ANY: &[ProblemType] = &[HttpsRequired];

/// Of any request but those for health and metrics.
pub const ACCESS: &[ProblemType] = &[PasswordRequired, HttpsRequired];

/// Of a request that reads the journal or the projection.
pub const READ: &[ProblemType] = &[ReadFailed, ShuttingDown, AnswerTimeout];

/// Of a request with a body.
pub const BODY: &[ProblemType] = &[
    CrossSiteRequest,
    UnreadableBody,
    BodyTimeout,
    BodyTooLarge,
    OutcomeUnknown,
];

/// Of a request that appends to the journal.
pub const APPEND: &[ProblemType] = &[
    JournalFull,
    JournalWriteFailed,
    TooManyDevices,
    ReadFailed,
    ShuttingDown,
    InternalError,
];

/// Declares a type that stands for the problems of one operation in `utoipa::path`'s `responses`.
macro_rules! problems {
    ($name:ident: $($types:expr),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::dashboard::problem::operations::responses(&[$($types),+].concat())
            }
        }
    };
}
pub(crate) use problems;

/// One response for each status; its schema lists the types that come with it.
pub fn responses(types: &[ProblemType]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for &of in types {
        let same = by_status.entry(of.definition().status.as_u16()).or_default();
        if !same.contains(&of) {
            same.push(of);
        }
    }
    let described = by_status
        .into_iter()
        .map(|(status, types)| (status.to_string(), response(&types).into()));
    described.collect()
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

/// A [`Problem`] of one of these types.
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
