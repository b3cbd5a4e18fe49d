//! Dead letters: list, show and retry.

mod cause;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use comptoir_identity::{Act, Action};
use jiff::Timestamp;
use utoipa::IntoParams;

use super::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::query::QueryParams;
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};
use cause::cause_of;
use comptoir_core::sale::draft::FieldError;
use comptoir_journal::{DeadLetter, DeadLetterSummary, EntryKind, Numbering, Offset, Outcome};

/// Only for the OpenAPI document: handlers read [`QueryParams`], whose errors name the field.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only for the OpenAPI document")]
struct Paging {
    /// The largest number of dead letters to return. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Only dead letters below this offset: the `offset` of the last one on the previous page.
    #[param(maximum = 9_223_372_036_854_775_807_i64)]
    before: Option<u64>,
}

problems!(ListProblems: operations::ACCESS, operations::READ, &[
    ProblemType::InvalidParameter,
    ProblemType::InvalidCursor,
]);
problems!(ShowProblems: operations::ACCESS, operations::READ, &[
    ProblemType::MalformedPath,
    ProblemType::InvalidParameter,
    ProblemType::DeadLetterNotFound,
    ProblemType::InternalError,
]);
problems!(RetryProblems: operations::ACCESS, operations::BODY, operations::APPEND, &[
    ProblemType::MalformedPath,
    ProblemType::InvalidParameter,
    ProblemType::DeadLetterNotFound,
    ProblemType::DeadLetterUndecodable,
    ProblemType::DeadLetterAlreadyStored,
]);

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl From<&DeadLetter> for dto::DeadLetter {
    fn from(letter: &DeadLetter) -> Self {
        let entry = &letter.entry;
        let reason = entry.reason.as_deref().unwrap_or_default();
        let (cause, field) = cause_of(reason);
        Self {
            offset: entry.offset.0,
            ce_id: entry.name.to_string(),
            topic: entry.key.to_string(),
            cause,
            field: field.map(str::to_owned),
            reason: reason.to_owned(),
            received: time(entry.time),
            retried: letter.retried.map(time),
            bytes: entry.payload.len(),
            payload: STANDARD.encode(&*entry.payload),
        }
    }
}

impl From<&DeadLetterSummary> for dto::DeadLetter {
    fn from(letter: &DeadLetterSummary) -> Self {
        let (cause, field) = cause_of(&letter.reason);
        Self {
            offset: letter.offset.0,
            ce_id: letter.name.to_string(),
            topic: letter.topic.clone(),
            cause,
            field: field.map(str::to_owned),
            reason: letter.reason.clone(),
            received: time(letter.time),
            retried: letter.retried.map(time),
            bytes: usize::try_from(letter.bytes).unwrap_or(usize::MAX),
            payload: STANDARD.encode(&letter.beginning),
        }
    }
}

/// Lists messages that could not be decoded, newest first, each with at most the first 512 bytes of its payload.
#[utoipa::path(get, path = "/api/dead-letters", security(("token" = ["manager"])), tag = "dead letters", params(Paging),
    responses((status = 200, body = Vec<dto::DeadLetter>), ListProblems))]
pub async fn list(
    State(app): State<Arc<AppState>>,
    query: QueryParams,
) -> Result<Json<Vec<dto::DeadLetter>>, Problem> {
    let before = query.cursor(
        "before",
        "the `offset` of the last dead letter of the page before",
    )?;
    let limit = query.limit()?;
    let letters = app.journal.dead_letters(before.map(Offset), limit).await?;
    Ok(Json(letters.iter().map(dto::DeadLetter::from).collect()))
}

/// The offset in the path, unparsed: axum's own rejection would not be a problem of this API.
type OffsetPath = Result<Path<String>, PathRejection>;

async fn find(app: &AppState, offset: OffsetPath) -> Result<DeadLetter, Problem> {
    let Path(offset) = offset.map_err(|rejection| Problem::of_path("offset", &rejection))?;
    let offset = offset
        .parse::<i64>()
        .ok()
        .and_then(|offset| u64::try_from(offset).ok())
        .ok_or_else(|| {
            let problem = format!(
                "{offset:?} is not a journal offset; write a whole number, for example /api/dead-letters/17"
            );
            Problem::of_field(ProblemType::InvalidParameter, FieldError::new("offset", problem))
        })?;
    app.journal.dead_letter(Offset(offset)).await?.ok_or_else(|| {
        let problem = format!("There is no dead letter {offset}. GET /api/dead-letters lists them.");
        Problem::new(ProblemType::DeadLetterNotFound, problem)
    })
}

/// Returns one dead letter with its complete payload.
#[utoipa::path(get, path = "/api/dead-letters/{offset}", security(("token" = ["manager"])), tag = "dead letters", params(("offset" = u64, Path, description = "The dead letter's journal offset.", maximum = 9_223_372_036_854_775_807_i64)),
    responses((status = 200, body = dto::DeadLetter), ShowProblems))]
pub async fn show(
    State(app): State<Arc<AppState>>,
    offset: OffsetPath,
) -> Result<Json<dto::DeadLetter>, Problem> {
    Ok(Json((&find(&app, offset).await?).into()))
}

/// Decodes a dead letter again, for example after an update of the gateway, and stores the event if that succeeds.
///
/// The dead letter keeps its number, so the gateway numbers the event itself. A second retry stores nothing.
#[utoipa::path(post, path = "/api/dead-letters/{offset}/retry", security(("token" = ["manager"])), tag = "dead letters", params(("offset" = u64, Path, description = "The dead letter's journal offset.", maximum = 9_223_372_036_854_775_807_i64)),
    responses((status = 201, body = dto::RetryResult), RetryProblems))]
pub async fn retry(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    offset: OffsetPath,
) -> Result<(StatusCode, Json<dto::RetryResult>), Problem> {
    let letter = find(&app, offset).await?;
    if let Some(at) = letter.retried {
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        return Err(already_stored(format!(
            "The dead letter was decoded and stored at {at}. Nothing is left to do."
        )));
    }
    let entry = &letter.entry;
    let received = Timestamp::from_millisecond(entry.time).unwrap_or_else(|_| Timestamp::now());
    let mut submission = app.decoder.decode(entry.key.as_bytes(), &entry.payload, received);
    if submission.kind == EntryKind::DeadLetter {
        let reason = submission.reason.as_deref().unwrap_or("not decoded");
        return Err(Problem::new(
            ProblemType::DeadLetterUndecodable,
            format!("The dead letter still cannot be decoded: {reason}. It stays in the list."),
        ));
    }
    submission.encoding = None;
    submission.numbering = Numbering::Gateway {
        fingerprint: Some(retry_fingerprint(entry.offset)),
    };
    let receipt = app.journal.append(vec![submission]).await?;
    let outcome = match receipt.outcomes.into_iter().next() {
        Some(Outcome::Refused(refusal)) => return Err(Problem::refused(refusal)),
        outcome => outcome,
    };
    app.journal.mark_retried(entry.offset).await;
    let describe = |act: Act| act.on(entry.offset.0.to_string());
    app.audit(&caller, &origin, Action::DeadLetterRetried, describe)
        .await;
    match outcome {
        Some(Outcome::Stored(_, name)) => Ok((
            StatusCode::CREATED,
            Json(dto::RetryResult {
                ce_id: name.to_string(),
            }),
        )),
        _ => Err(already_stored(
            "An earlier retry decoded and stored the dead letter. Nothing is left to do.",
        )),
    }
}

fn already_stored(detail: impl ToString) -> Problem {
    Problem::new(ProblemType::DeadLetterAlreadyStored, detail)
}

/// One fingerprint per dead letter, so that repeating a retry is recognised as a duplicate if the first was interrupted
/// before the journal recorded it.
fn retry_fingerprint(offset: Offset) -> [u8; 16] {
    let mut fingerprint = [0xff; 16];
    fingerprint[8..].copy_from_slice(&offset.0.to_be_bytes());
    fingerprint
}
