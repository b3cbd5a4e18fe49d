//! Sequence numbers that a till reuses for another sale.
//!
//! A till that loses its memory but keeps its epoch counts from 1 again, and a copied flash card gives two tills the
//! same epoch. If their sales counted as redeliveries, they would be acked and lost. So the content decides: this
//! module compares a duplicate with the event stored under its number. A different sale is stored as an event that the
//! gateway numbers itself.
//!
//! For numbered events of JSON devices, the file stores a digest. Binary tills draw a random epoch, so for them the
//! newest entries, in memory, are enough.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use tracing::warn;

use super::group::Group;
use super::streams::{StreamKey, StreamTable};
use super::tail::Tail;
use super::{Numbering, Offset, Outcome, Payload, Submission, fingerprints};
use comptoir_core::event::{EventName, GATEWAY_EPOCH};
use comptoir_core::sale::personal::PersonalData;

/// Identifies a number that a till assigned to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SeqKey {
    pub stream: StreamKey,
    pub seq: u32,
}

/// The digest of a stored event, and the offset of its entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredDigest {
    pub digest: i64,
    pub offset: Offset,
}

pub(super) type Digests = HashMap<SeqKey, StoredDigest>;

/// A submission with a used number, and the position of its outcome.
pub(super) struct Suspect {
    /// Index in [`Group::receipts`].
    pub receipt: usize,
    /// Index in the receipt's outcomes.
    pub outcome: usize,
    pub key: SeqKey,
    pub submission: Submission,
}

/// Moves the suspects that are other sales into the group. The rest remain duplicates.
///
/// # Errors
///
/// The file could not be read.
pub(super) async fn admit_other_sales(
    connection: &mut SqliteConnection,
    tail: &Tail,
    streams: &StreamTable,
    group: &mut Group,
) -> Result<(), sqlx::Error> {
    let suspects = std::mem::take(&mut group.suspects);
    let digests = stored_digests(connection, &suspects).await?;
    let names: Vec<EventName> = suspects.iter().filter_map(binary_name).collect();
    let recent = match names.is_empty() {
        true => HashMap::new(),
        false => tail.named(&names),
    };
    let mut others = Vec::new();
    for suspect in suspects {
        let is_other = match digest_of(&suspect.submission) {
            Some(digest) => {
                let before = digests
                    .get(&suspect.key)
                    .copied()
                    .or_else(|| group.digests.get(&suspect.key).map(|stored| stored.digest));
                before.is_some_and(|before| before != digest)
            }
            None => {
                let before =
                    binary_name(&suspect).and_then(|name| recent.get(&name).map(|entry| &entry.payload));
                let before = before.or_else(|| group.payload_of(suspect.key));
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
    for (hash, offset) in fingerprints::find(connection, hashes).await? {
        group.fingerprints.entry(hash).or_insert(offset);
    }
    for (hash, suspect) in others {
        admit(streams, group, hash, suspect);
    }
    Ok(())
}

/// Stores a suspect under one of the gateway's own numbers, unless the journal has its fingerprint.
fn admit(streams: &StreamTable, group: &mut Group, hash: [u8; 16], suspect: Suspect) {
    let SeqKey { stream, seq: number } = suspect.key;
    let own = StreamKey {
        device: stream.device,
        epoch: GATEWAY_EPOCH,
    };
    streams.copy_into(own, group);
    let numbering = Numbering::Gateway {
        fingerprint: Some(hash),
    };
    let Ok(seq) = group.number(own, numbering) else {
        return;
    };
    let device = suspect.submission.device.to_string();
    let is_own = suspect.submission.kind.is_own_record();
    let outcome: Outcome = group.push(own, seq, suspect.submission);
    if let Some(receipt) = group.receipts.get_mut(suspect.receipt)
        && let Some(place) = receipt.outcomes.get_mut(suspect.outcome)
    {
        *place = outcome;
        group.duplicates -= u64::from(!is_own);
    }
    if is_own {
        warn!(
            device,
            number,
            "the audit log has another entry under a number that the journal knows: the accounts file was restored from an \
             older copy or changed. The entry is stored under another number; check the log with `gateway audit verify`"
        );
        return;
    }
    group.reused += 1;
    if let Some(state) = group.streams.get_mut(&stream) {
        if state.reused == 0 {
            warn!(
                device,
                epoch = stream.epoch,
                number,
                "a till has used a number again for another sale; its sales are stored, numbered by the gateway. Make the till draw a new epoch whenever it starts to count from 1"
            );
        }
        state.reused += 1;
    }
}

fn digest_of(submission: &Submission) -> Option<i64> {
    match submission.numbering {
        Numbering::Till { digest, .. } => digest,
        Numbering::Gateway { .. } => None,
    }
}

/// The name of a binary till's event, which has no digest.
fn binary_name(suspect: &Suspect) -> Option<EventName> {
    digest_of(&suspect.submission).is_none().then(|| EventName {
        device: suspect.submission.device.clone(),
        epoch: suspect.key.stream.epoch,
        seq: suspect.key.seq,
    })
}

/// Compares two payloads. If the stored event's personal data was erased, compares without personal data. Dead letters
/// never count as other sales, because their bytes contain the till's oldest number, which changes between deliveries.
/// Times are ignored, because the gateway assigns one to an event without a time.
fn is_other_sale(before: &Payload, now: &Payload) -> bool {
    let (Payload::Json(before), Payload::Json(now)) = (before, now) else {
        return false;
    };
    if before == now || without_time(before) == without_time(now) {
        return false;
    }
    let is_erased = PersonalData::read(before).is_none();
    !is_erased || without_person(before) != without_person(now)
}

/// The fields that [`Journal::rewrite`](super::Journal::rewrite) may erase.
const PERSON: [&str; 3] = ["customer_name", "customer_email", "address"];

/// The sale without the fields that [`Journal::rewrite`](super::Journal::rewrite) may have erased. Whole fields are
/// removed, not only their values, because an erased address may be empty or absent.
fn without_person(json: &str) -> Option<serde_json::Value> {
    let [name, email, address] = PERSON;
    without(json, &["timestamp", name, email, address])
}

fn without_time(json: &str) -> Option<serde_json::Value> {
    without(json, &["timestamp"])
}

fn without(json: &str, fields: &[&str]) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_json::from_str(json).ok()?;
    let object = value.as_object_mut()?;
    for field in fields {
        object.remove(*field);
    }
    Some(value)
}

/// Whether `event` equals `whole` without its personal data.
pub(crate) fn is_erased(event: &str, whole: &str) -> bool {
    PersonalData::read(event).is_none()
        && PersonalData::read(whole).is_some()
        && without(event, &PERSON) == without(whole, &PERSON)
}

/// The fingerprint that identifies a redelivery of another sale.
fn fingerprint(suspect: &Suspect) -> [u8; 16] {
    let submission = &suspect.submission;
    let mut hasher = blake3::Hasher::new();
    // An event without a number has a fingerprint that begins with its topic's length, which is never this large.
    hasher.update(&u64::MAX.to_be_bytes());
    hasher.update(submission.device.as_str().as_bytes());
    hasher.update(&suspect.key.stream.epoch.to_be_bytes());
    hasher.update(&suspect.key.seq.to_be_bytes());
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

/// The digests stored for the suspects.
async fn stored_digests(
    connection: &mut SqliteConnection,
    suspects: &[Suspect],
) -> Result<HashMap<SeqKey, i64>, sqlx::Error> {
    let wanted = suspects
        .iter()
        .filter(|suspect| digest_of(&suspect.submission).is_some());
    let wanted: Vec<_> = wanted
        .map(|suspect| {
            let SeqKey { stream, seq } = suspect.key;
            serde_json::json!([stream.device, stream.epoch, seq])
        })
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
    let digests = rows.iter().map(|row| {
        let stream = StreamKey {
            device: row.get("device"),
            epoch: row.get::<i64, _>("epoch") as u32,
        };
        let seq = row.get::<i64, _>("seq") as u32;
        (SeqKey { stream, seq }, row.get("digest"))
    });
    Ok(digests.collect())
}
