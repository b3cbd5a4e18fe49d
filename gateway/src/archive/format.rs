//! The members of an archive and their contents.

use std::borrow::Cow;

use comptoir_core::chain::ChainHash;
use comptoir_core::event::{DeviceId, EventName};
use comptoir_journal::{ChainPoint, ChainedEntry, Entry, EntryKind, Offset, Payload, Salt};
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The members, in their order.
pub const README: &str = "README.txt";
pub const MANIFEST: &str = "archive.json";
pub const CLOSINGS: &str = "closings.jsonl";
pub const ENTRIES: &str = "entries.jsonl";
pub const TABLE: &str = "entries.csv";
pub const SIGNATURE: &str = "signature";
pub const SIGNATURE_BYTES: u64 = 64;

/// A tar file consists of blocks of this many bytes.
pub const BLOCK: u64 = 512;
/// What follows the header of the last member: the signature, filled up to a block, and the two blocks that end the file.
pub const END: u64 = BLOCK + 2 * BLOCK;

/// The `format` of a manifest.
pub const FORMAT: &str = "comptoir-archive";
pub const VERSION: u32 = 1;

/// What the archive contains.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: String,
    pub version: u32,
    pub store: String,
    /// The UUID of the journal.
    pub journal: String,
    pub created: Timestamp,
    /// The period, in days of `time_zone`.
    pub from: Date,
    pub to: Date,
    pub time_zone: String,
    /// The position in the hash chain before the first entry with a hash.
    pub previous: Point,
    /// The last entry's.
    pub head: Point,
    pub entries: u64,
    /// The first of them that have no hash, because they were written before the chain.
    pub unchained: u64,
    /// Entries from which personal data was erased.
    pub erased: u64,
    pub closings: u64,
    /// False if entries of the period may be missing, because the journal no longer had them.
    pub complete: bool,
    /// The public key that signs the archive.
    pub key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    pub offset: u64,
    pub hash: ChainHash,
}

impl From<ChainPoint> for Point {
    fn from(point: ChainPoint) -> Self {
        Self {
            offset: point.offset.0,
            hash: point.hash,
        }
    }
}

impl From<Point> for ChainPoint {
    fn from(point: Point) -> Self {
        Self {
            offset: Offset(point.offset),
            hash: point.hash,
        }
    }
}

/// A line of [`ENTRIES`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryLine<'a> {
    offset: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    /// `{store}/{device}/{epoch}/{seq}`
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// Unix milliseconds.
    time: i64,
    #[serde(borrow)]
    key: Cow<'a, str>,
    /// Kafka's value: a JSON object as text.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    value: Option<Cow<'a, str>>,
    /// The bytes of a dead letter, instead of `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    /// Only after an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<ChainHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<ChainHash>,
}

impl<'a> From<&'a ChainedEntry> for EntryLine<'a> {
    fn from(chained: &'a ChainedEntry) -> Self {
        let entry = &chained.entry;
        let (value, value_base64) = match &entry.payload {
            Payload::Json(json) => (Some(Cow::Borrowed(&**json)), None),
            Payload::Bytes(bytes) => (None, Some(BASE64.encode(bytes))),
        };
        Self {
            offset: entry.offset.0,
            kind: entry.kind.name().into(),
            name: entry.name.to_string().into(),
            time: entry.time,
            key: (&*entry.key).into(),
            value,
            value_base64,
            reason: entry.reason.as_deref().map(Into::into),
            salt: chained.salt.map(|salt| HEXLOWER.encode(&salt)),
            content: chained.content,
            hash: chained.hash,
        }
    }
}

impl EntryLine<'_> {
    /// The entry. The error is the name of the invalid field.
    pub fn entry(self) -> Result<ChainedEntry, &'static str> {
        let kind = EntryKind::from_name(&self.kind).ok_or("kind")?;
        let payload = match (kind, self.value, self.value_base64) {
            (EntryKind::DeadLetter, None, Some(text)) => {
                Payload::Bytes(BASE64.decode(text.as_bytes()).map_err(|_| "value_base64")?.into())
            }
            (kind, Some(text), None) if kind != EntryKind::DeadLetter => Payload::Json((*text).into()),
            _ => return Err("value"),
        };
        let salt = match self.salt {
            None => None,
            Some(text) => Some(salt(&text).ok_or("salt")?),
        };
        Ok(ChainedEntry {
            entry: Entry {
                offset: Offset(self.offset),
                kind,
                name: name(&self.name).ok_or("name")?,
                time: self.time,
                key: (*self.key).into(),
                payload,
                reason: self.reason.map(|reason| (*reason).into()),
            },
            salt,
            content: self.content,
            hash: self.hash,
        })
    }
}

fn salt(text: &str) -> Option<Salt> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Also names of the gateway's own records, which no till can have.
fn name(text: &str) -> Option<EventName> {
    let (rest, seq) = text.rsplit_once('/')?;
    let (device, epoch) = rest.rsplit_once('/')?;
    Some(EventName {
        device: DeviceId::parse_stored(device).ok()?,
        epoch: epoch.parse().ok()?,
        seq: seq.parse().ok()?,
    })
}
