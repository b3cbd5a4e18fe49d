//! Numbers that a till uses again, for another sale.
//!
//! A till that loses its memory and not its epoch counts from 1 again, and a copied flash card makes two tills of one
//! epoch. Taken for redeliveries, their sales would be acked and lost. So the content decides: what came under this number
//! before is compared with what comes now, and another sale is kept, as an event that the gateway numbers itself.
//!
//! Only duplicates are looked at. Of what a JSON device has numbered a digest is remembered in the file; binary tills draw
//! a random epoch, so for them the newest entries, in memory, must do.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use tracing::warn;

use super::group::{Group, Known, StreamKey};
use super::tail::Tail;
use super::{Numbering, Offset, Outcome, Payload, Submission};
use crate::event::{EventName, GATEWAY_EPOCH};

/// A submission whose number has been used before, and where its outcome stands.
pub(super) struct Suspect {
    pub receipt: usize,
    pub outcome: usize,
    pub key: StreamKey,
    pub seq: u32,
    pub submission: Submission,
}

/// Takes in what came under a used number and is another sale. The rest stay duplicates.
///
/// # Errors
///
/// The file could not be read.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    tail: &Tail,
    known: &Known,
    group: &mut Group,
) -> Result<(), sqlx::Error> {
    let suspects = std::mem::take(&mut group.suspects);
    let digests = digests(connection, &suspects).await?;
    let names: Vec<EventName> = suspects.iter().filter_map(name_of).collect();
    let recent = match names.is_empty() {
        true => HashMap::new(),
        false => tail.named(&names),
    };
    let mut others = Vec::new();
    for suspect in suspects {
        let is_other = match digest_of(&suspect.submission) {
            Some(digest) => {
                let number = (suspect.key, suspect.seq);
                let before = digests
                    .get(&number)
                    .or_else(|| group.numbered.get(&number).map(|(digest, _)| digest));
                before.is_some_and(|before| *before != digest)
            }
            None => {
                let before = name_of(&suspect).and_then(|name| recent.get(&name).map(|entry| &entry.payload));
                let before = before.or_else(|| group.payload_of(suspect.key, suspect.seq));
                before.is_some_and(|before| is_other_sale(before, &suspect.submission.payload))
            }
        };
        if is_other {
            others.push((fingerprint(&suspect), suspect));
        }
    }
    if others.is_empty() {
        return Ok(());
    }
    let hashes = others.iter().map(|(hash, _)| *hash);
    for (hash, offset) in super::writer::fingerprints(connection, hashes).await? {
        group.fingerprints.entry(hash).or_insert(offset);
    }
    for (hash, suspect) in others {
        take(known, group, hash, suspect);
    }
    Ok(())
}

fn take(known: &Known, group: &mut Group, hash: [u8; 16], suspect: Suspect) {
    let own = (suspect.key.0, GATEWAY_EPOCH);
    if !known.load(own, group) {
        return;
    }
    let numbering = Numbering::Gateway {
        fingerprint: Some(hash),
    };
    let Ok(seq) = group.number(own, numbering) else {
        return;
    };
    let (device, number) = (suspect.submission.device.to_string(), suspect.seq);
    let outcome: Outcome = group.take(own, seq, suspect.submission);
    if let Some(receipt) = group.receipts.get_mut(suspect.receipt)
        && let Some(place) = receipt.outcomes.get_mut(suspect.outcome)
    {
        *place = outcome;
        group.duplicates -= 1;
    }
    group.reused += 1;
    if let Some(stream) = group.streams.get_mut(&suspect.key) {
        if stream.reused == 0 {
            warn!(
                device,
                epoch = suspect.key.1,
                number,
                "a till uses a number again for another sale: it must draw a new epoch when it counts from 1 again. Its sales are kept, numbered by the gateway"
            );
        }
        stream.reused += 1;
    }
}

fn digest_of(submission: &Submission) -> Option<i64> {
    match submission.numbering {
        Numbering::Terminal { digest, .. } => digest,
        Numbering::Gateway { .. } => None,
    }
}

/// Of a binary till's event, which has no digest.
fn name_of(suspect: &Suspect) -> Option<EventName> {
    digest_of(&suspect.submission).is_none().then(|| EventName {
        device: suspect.submission.device.clone(),
        epoch: suspect.key.1,
        seq: suspect.seq,
    })
}

/// Dead letters are not compared: their bytes differ with the oldest number that the till holds. Neither are times: the
/// gateway gives one to what comes without.
fn is_other_sale(before: &Payload, now: &Payload) -> bool {
    let (Payload::Json(before), Payload::Json(now)) = (before, now) else {
        return false;
    };
    before != now && without_time(before) != without_time(now)
}

fn without_time(json: &str) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_json::from_str(json).ok()?;
    value.as_object_mut()?.remove("timestamp");
    Some(value)
}

/// By which a redelivery of what was kept is known.
fn fingerprint(suspect: &Suspect) -> [u8; 16] {
    let submission = &suspect.submission;
    let mut hasher = blake3::Hasher::new();
    // No topic is as long: this never runs into the fingerprint of a plain device.
    hasher.update(&u64::MAX.to_be_bytes());
    hasher.update(submission.device.as_str().as_bytes());
    hasher.update(&suspect.key.1.to_be_bytes());
    hasher.update(&suspect.seq.to_be_bytes());
    match digest_of(submission) {
        Some(digest) => hasher.update(&digest.to_be_bytes()),
        None => hasher.update(
            without_time(submission.payload.json())
                .unwrap_or_default()
                .to_string()
                .as_bytes(),
        ),
    };
    let mut fingerprint = [0; 16];
    hasher.finalize_xof().fill(&mut fingerprint);
    fingerprint
}

async fn digests(
    connection: &mut SqliteConnection,
    suspects: &[Suspect],
) -> Result<HashMap<(StreamKey, u32), i64>, sqlx::Error> {
    let wanted = suspects
        .iter()
        .filter(|suspect| digest_of(&suspect.submission).is_some());
    let wanted: Vec<_> = wanted
        .map(|suspect| serde_json::json!([suspect.key.0, suspect.key.1, suspect.seq]))
        .collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "SELECT numbered.device, numbered.epoch, numbered.seq, numbered.digest
         FROM json_each(?) wanted CROSS JOIN numbered
         ON numbered.device = wanted.value ->> 0 AND numbered.epoch = wanted.value ->> 1
            AND numbered.seq = wanted.value ->> 2",
    )
    .bind(serde_json::Value::from(wanted).to_string())
    .fetch_all(connection)
    .await?;
    let number = |row: &sqlx::sqlite::SqliteRow| {
        let stream = (row.get(0), row.get::<i64, _>(1) as u32);
        ((stream, row.get::<i64, _>(2) as u32), row.get(3))
    };
    Ok(rows.iter().map(number).collect())
}

/// What a commit writes of the numbers that JSON devices gave: device, epoch, seq, digest, offset.
pub(super) type Numbered = HashMap<(StreamKey, u32), (i64, Offset)>;
