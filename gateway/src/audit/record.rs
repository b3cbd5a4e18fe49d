//! An audit entry in the format of the journal and Kafka. `docs/interfaces/topics.md` describes it.

use comptoir_identity::ChainedRow;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

/// Except for `store`, the fields are in the order in which the hash covers them.
#[derive(Serialize)]
struct AuditRecord<'a> {
    id: u64,
    /// With milliseconds, so that a reader can compute the hash.
    time: Timestamp,
    store: &'a str,
    actor: &'a str,
    actor_kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Box<RawValue>>,
    previous: String,
    hash: String,
}

/// The JSON of an entry.
pub fn json(store: &str, entry: &ChainedRow) -> String {
    let row = &entry.row;
    let record = AuditRecord {
        id: row.id,
        time: row.at,
        store,
        actor: &row.actor,
        actor_kind: row.actor_kind.name(),
        address: row.address.as_deref(),
        action: &row.action,
        subject: row.subject.as_deref(),
        before: raw(row.before.as_deref()),
        after: raw(row.after.as_deref()),
        previous: entry.previous.to_string(),
        hash: entry.hash.to_string(),
    };
    // Cannot fail: the record has only strings and numbers.
    serde_json::to_string(&record).unwrap_or_default()
}

/// The JSON text byte for byte, because the hash covers it.
fn raw(text: Option<&str>) -> Option<Box<RawValue>> {
    let raw = RawValue::from_string(text?.to_owned());
    // Not JSON: somebody has edited the file. The reader gets a string, which does not match the hash.
    raw.ok().or_else(|| serde_json::value::to_raw_value(&text).ok())
}
