//! Dead letters: to look at, and to try again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Problem, Shop};
use crate::journal::{DeadLetter, EntryKind, Numbering, Offset, Outcome};
use crate::sale::draft::FieldError;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

#[derive(Deserialize)]
pub struct ListQuery {
    limit: Option<u32>,
    before: Option<u64>,
}

/// One dead letter. Its bytes are in `payload` (base64), whole.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeadLetterBody {
    pub offset: u64,
    pub ce_id: String,
    pub topic: String,
    pub reason: String,
    pub received: Timestamp,
    pub retried: Option<Timestamp>,
    pub bytes: usize,
    pub payload: String,
}

impl From<&DeadLetter> for DeadLetterBody {
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
            payload: STANDARD.encode(&entry.payload),
        }
    }
}

pub async fn list(
    State(shop): State<Arc<Shop>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<DeadLetterBody>>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let letters = shop.journal.dead_letters(query.before.map(Offset), limit).await?;
    Ok(Json(letters.iter().map(DeadLetterBody::from).collect()))
}

async fn find(shop: &Shop, offset: &str) -> Result<DeadLetter, Problem> {
    let offset: u64 = offset
        .parse()
        .map_err(|_| FieldError::new("offset", "a number"))?;
    let letters = shop
        .journal
        .dead_letters(Some(Offset(offset.saturating_add(1))), 1)
        .await?;
    letters
        .into_iter()
        .find(|letter| letter.entry.offset.0 == offset)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("no dead letter {offset}")))
}

pub async fn show(
    State(shop): State<Arc<Shop>>,
    Path(offset): Path<String>,
) -> Result<Json<DeadLetterBody>, Problem> {
    Ok(Json((&find(&shop, &offset).await?).into()))
}

/// What came of a retry.
#[derive(Debug, Serialize, Deserialize)]
pub struct Retried {
    pub ce_id: String,
}

/// Decodes it once more, for a gateway that has learned since. Its old number is taken (the dead letter
/// has it), so the gateway numbers it; the bytes' fingerprint keeps a second retry from doubling it.
pub async fn retry(
    State(shop): State<Arc<Shop>>,
    Path(offset): Path<String>,
) -> Result<(StatusCode, Json<Retried>), Problem> {
    let letter = find(&shop, &offset).await?;
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
            Json(Retried {
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
