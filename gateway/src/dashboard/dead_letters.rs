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

use super::problem::Refused;
use super::query::Asked;
use super::{Problem, Shop, dto};
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
    responses((status = 200, body = Vec<dto::DeadLetter>), Refused))]
pub async fn list(
    State(shop): State<Arc<Shop>>,
    query: Asked,
) -> Result<Json<Vec<dto::DeadLetter>>, Problem> {
    let (limit, before) = (query.limit()?, query.place("before")?);
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
        .ok_or_else(|| FieldError::new("offset", "a number"))?;
    let letters = shop
        .journal
        .dead_letters(Some(Offset(offset.saturating_add(1))), 1)
        .await?;
    letters
        .into_iter()
        .find(|letter| letter.entry.offset.0 == offset)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("no dead letter {offset}")))
}

/// One of them.
#[utoipa::path(get, path = "/api/dead-letters/{offset}", tag = "dead letters", params(("offset" = u64, Path, maximum = 9_223_372_036_854_775_807_i64)),
    responses((status = 200, body = dto::DeadLetter), (status = 404, body = Problem, content_type = "application/problem+json"), Refused))]
pub async fn show(State(shop): State<Arc<Shop>>, offset: Named) -> Result<Json<dto::DeadLetter>, Problem> {
    Ok(Json((&find(&shop, offset).await?).into()))
}

/// Decodes it once more, for a gateway that has learned since.
///
/// Its old number is taken (the dead letter
/// has it), so the gateway numbers it; the bytes' fingerprint keeps a second retry from doubling it.
#[utoipa::path(post, path = "/api/dead-letters/{offset}/retry", tag = "dead letters", params(("offset" = u64, Path, maximum = 9_223_372_036_854_775_807_i64)),
    responses((status = 201, body = dto::Retried), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It was taken in already.", body = Problem, content_type = "application/problem+json"), Refused))]
pub async fn retry(
    State(shop): State<Arc<Shop>>,
    offset: Named,
) -> Result<(StatusCode, Json<dto::Retried>), Problem> {
    let letter = find(&shop, offset).await?;
    if let Some(at) = letter.retried {
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        return Err(Problem::new(
            StatusCode::CONFLICT,
            format!("taken in at {at} already"),
        ));
    }
    let entry = &letter.entry;
    let received = Timestamp::from_millisecond(entry.time).unwrap_or_else(|_| Timestamp::now());
    let mut submission = shop
        .decoder
        .decode(entry.key.as_bytes(), &entry.payload, received);
    if submission.kind == EntryKind::DeadLetter {
        let reason = submission.reason.as_deref().unwrap_or("not decoded");
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("still not decoded: {reason}"),
        ));
    }
    submission.encoding = None;
    submission.numbering = Numbering::Gateway {
        fingerprint: Some(retry_fingerprint(entry.offset)),
    };
    let receipt = shop.journal.append(vec![submission]).await?;
    shop.journal.retried(entry.offset).await;
    match receipt.outcomes.into_iter().next() {
        Some(Outcome::Stored(_, name)) => Ok((
            StatusCode::CREATED,
            Json(dto::Retried {
                ce_id: name.to_string(),
            }),
        )),
        _ => Err(Problem::new(StatusCode::CONFLICT, "taken in already")),
    }
}

/// One per dead letter: a retry that was cut short before it was noted finds itself.
fn retry_fingerprint(offset: Offset) -> [u8; 16] {
    let mut fingerprint = [0xff; 16];
    fingerprint[8..].copy_from_slice(&offset.0.to_be_bytes());
    fingerprint
}
