//! Dead letters: to look at, and to try again.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use utoipa::IntoParams;

use super::problem::operations::{self, problems};
use super::query::Asked;
use super::{Problem, ProblemType, Shop, dto};
use crate::journal::{DeadLetter, EntryKind, Numbering, Offset, Outcome};
use crate::sale::draft::FieldError;

/// For the API's description: [`Asked`] is read so that an error names the field.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the API's description")]
struct Paging {
    /// How many; 50 if it is not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Only those below this offset: the last one's of the page before.
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

impl From<&DeadLetter> for dto::DeadLetter {
    fn from(letter: &DeadLetter) -> Self {
        let time = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let entry = &letter.entry;
        Self {
            offset: entry.offset.0,
            ce_id: entry.name.to_string(),
            topic: entry.key.to_string(),
            reason: entry.reason.as_deref().unwrap_or_default().to_owned(),
            received: time(entry.time),
            retried: letter.retried.map(time),
            bytes: entry.payload.len(),
            payload: STANDARD.encode(&*entry.payload),
        }
    }
}

/// What could not be decoded, newest first.
#[utoipa::path(get, path = "/api/dead-letters", tag = "dead letters", params(Paging),
    responses((status = 200, body = Vec<dto::DeadLetter>), ListProblems))]
pub async fn list(
    State(shop): State<Arc<Shop>>,
    query: Asked,
) -> Result<Json<Vec<dto::DeadLetter>>, Problem> {
    let before = query.cursor("before", "`offset` of the last dead letter of the page before")?;
    let limit = query.limit()?;
    let letters = shop.journal.dead_letters(before.map(Offset), limit).await?;
    Ok(Json(letters.iter().map(dto::DeadLetter::from).collect()))
}

type Named = Result<Path<String>, PathRejection>;

async fn find(shop: &Shop, offset: Named) -> Result<DeadLetter, Problem> {
    let Path(offset) = offset.map_err(|rejection| Problem::of_path("offset", &rejection))?;
    let offset = offset
        .parse::<i64>()
        .ok()
        .and_then(|offset| u64::try_from(offset).ok())
        .ok_or_else(|| {
            let error = FieldError::new("offset", "expected a number, as in /api/dead-letters/17");
            Problem::of_field(ProblemType::InvalidParameter, error)
        })?;
    let letters = shop
        .journal
        .dead_letters(Some(Offset(offset.saturating_add(1))), 1)
        .await?;
    letters
        .into_iter()
        .find(|letter| letter.entry.offset.0 == offset)
        .ok_or_else(|| {
            let problem = format!("There is no dead letter {offset}. /api/dead-letters lists them.");
            Problem::new(ProblemType::DeadLetterNotFound, problem)
        })
}

/// One of them.
#[utoipa::path(get, path = "/api/dead-letters/{offset}", tag = "dead letters", params(("offset" = u64, Path, maximum = 9_223_372_036_854_775_807_i64)),
    responses((status = 200, body = dto::DeadLetter), ShowProblems))]
pub async fn show(State(shop): State<Arc<Shop>>, offset: Named) -> Result<Json<dto::DeadLetter>, Problem> {
    Ok(Json((&find(&shop, offset).await?).into()))
}

/// Decodes it once more, for a gateway that has learned since.
///
/// Its old number is taken (the dead letter
/// has it), so the gateway numbers it; the bytes' fingerprint keeps a second retry from doubling it.
#[utoipa::path(post, path = "/api/dead-letters/{offset}/retry", tag = "dead letters", params(("offset" = u64, Path, maximum = 9_223_372_036_854_775_807_i64)),
    responses((status = 201, body = dto::Retried), RetryProblems))]
pub async fn retry(
    State(shop): State<Arc<Shop>>,
    offset: Named,
) -> Result<(StatusCode, Json<dto::Retried>), Problem> {
    let letter = find(&shop, offset).await?;
    if let Some(at) = letter.retried {
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        return Err(already_stored(format!(
            "The dead letter was decoded and stored at {at}: there is nothing left to do."
        )));
    }
    let entry = &letter.entry;
    let received = Timestamp::from_millisecond(entry.time).unwrap_or_else(|_| Timestamp::now());
    let mut submission = shop
        .decoder
        .decode(entry.key.as_bytes(), &entry.payload, received);
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
    let receipt = shop.journal.append(vec![submission]).await?;
    let outcome = match receipt.outcomes.into_iter().next() {
        Some(Outcome::AheadOfGap) => return Err(Problem::too_many_devices()),
        outcome => outcome,
    };
    shop.journal.retried(entry.offset).await;
    match outcome {
        Some(Outcome::Stored(_, name)) => Ok((
            StatusCode::CREATED,
            Json(dto::Retried {
                ce_id: name.to_string(),
            }),
        )),
        _ => Err(already_stored(
            "The dead letter was decoded and stored by an earlier attempt: there is nothing left to do.",
        )),
    }
}

fn already_stored(detail: impl ToString) -> Problem {
    Problem::new(ProblemType::DeadLetterAlreadyStored, detail)
}

/// One per dead letter: a retry that was cut short before it was noted finds itself.
fn retry_fingerprint(offset: Offset) -> [u8; 16] {
    let mut fingerprint = [0xff; 16];
    fingerprint[8..].copy_from_slice(&offset.0.to_be_bytes());
    fingerprint
}
