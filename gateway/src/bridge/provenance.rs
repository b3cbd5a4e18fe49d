//! Decides whose a record in an event topic is: this gateway's, another's, or forged in this shop's name.
//!
//! Kafka cannot restrict who writes which key or header into a shared topic, so headers prove nothing. A record is this
//! gateway's own if its signature is valid _and_ the journal has that entry. Records of earlier versions are unsigned;
//! such a record is own if it is identical to the journal's entry.

use comptoir_core::Offset;
use comptoir_core::event::Kind;
use comptoir_core::mac::{MacKey, SignedRecord};
use comptoir_journal::{Entry, EntryKind, Journal, Signing};

/// The parts of a record that decide its provenance.
#[derive(Debug, Clone, Copy)]
pub struct RecordHeaders<'a> {
    /// The kind of event that the record's topic holds.
    pub kind: Kind,
    pub ce_id: Option<&'a str>,
    pub ce_type: &'a [u8],
    /// `ce_journal`.
    pub journal: Option<&'a [u8]>,
    /// `ce_journaloffset`.
    pub offset: Option<Offset>,
    /// `ce_comptoirmac`; empty if the header is absent.
    pub code: &'a [u8],
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// When Kafka appended the record, in Unix milliseconds. `None` if its timestamp is the producer's, which proves
    /// nothing.
    pub appended: Option<i64>,
}

/// Whose a record is, judged by its own content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// Claims to be this entry of the journal. [`confirm`] compares the two.
    Entry { offset: Offset, is_signed: bool },
    /// Written by another gateway or program, or by this shop with another journal (then `is_signed`).
    Foreign { is_signed: bool },
    /// Claims to be this journal's but is not.
    Forged,
}

/// The result of comparing a record with the journal entry that it claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    Own,
    /// The entry is pruned; only a signature could have identified the record.
    Unknown,
    Forged,
}

/// Identifies this gateway's records.
pub struct GatewayIdentity {
    pub uuid: String,
    /// The journal that this one branched from, and the last entry that they share.
    pub parent: Option<(String, Offset)>,
    pub store: String,
    pub signing: Signing,
    pub key: MacKey,
}

impl GatewayIdentity {
    pub fn new(journal: &Journal, store: &str, key: &MacKey) -> Self {
        Self {
            uuid: journal.uuid(),
            parent: journal.parent(),
            store: store.to_owned(),
            signing: journal.signing(),
            key: key.clone(),
        }
    }

    /// Decides whose the record is. The caller compares an `Entry` with the journal and validates a `Foreign` record.
    pub fn judge(&self, record: &RecordHeaders<'_>) -> Provenance {
        let is_signed = record.is_signed(&self.key);
        let is_own = record.journal == Some(self.uuid.as_bytes());
        let is_shared = |offset: &Offset| {
            self.parent
                .as_ref()
                .is_some_and(|(parent, upto)| record.journal == Some(parent.as_bytes()) && offset <= upto)
        };
        match record.offset.filter(|offset| is_own || is_shared(offset)) {
            Some(offset) if is_signed || offset <= self.signing.unsigned_upto => {
                Provenance::Entry { offset, is_signed }
            }
            Some(_) => Provenance::Forged,
            None if is_own => Provenance::Forged,
            None if !is_signed && self.is_impostor(record.ce_id_store(), record.appended) => {
                Provenance::Forged
            }
            None => Provenance::Foreign { is_signed },
        }
    }

    /// Whether an unsigned record that names this store is forged. A record that Kafka appended before this shop began
    /// to sign may be of an earlier journal.
    pub fn is_impostor(&self, store: Option<&str>, appended: Option<i64>) -> bool {
        let is_old = appended.is_some_and(|appended| appended < self.signing.since);
        store == Some(&*self.store) && !is_old
    }
}

impl RecordHeaders<'_> {
    fn is_signed(&self, key: &MacKey) -> bool {
        let Some(ce_id) = self.ce_id else {
            return false;
        };
        let signed = SignedRecord {
            ce_id: ce_id.as_bytes(),
            ce_type: self.ce_type,
            key: self.key,
            value: self.value,
        };
        // The signature covers the type, so a record cannot be moved to the topic of another kind.
        self.ce_type == self.kind.event_type().as_bytes() && signed.verify(key, self.code)
    }

    fn ce_id_store(&self) -> Option<&str> {
        self.ce_id.and_then(|name| name.split('/').next())
    }
}

/// Compares a record with the journal's entry at its offset. `first` and `last` are the journal's first and last entry.
pub fn confirm(
    record: &RecordHeaders<'_>,
    offset: Offset,
    is_signed: bool,
    entry: Option<&Entry>,
    (first, last): (Offset, Offset),
) -> Confirmation {
    let Some(entry) = entry else {
        return match (offset < first && offset <= last, is_signed) {
            (true, true) => Confirmation::Own,
            (true, false) => Confirmation::Unknown,
            (false, _) => Confirmation::Forged,
        };
    };
    let is_same = entry.kind == EntryKind::Event(record.kind)
        && record.ce_id == Some(&*entry.name.to_string())
        && record.key == entry.key.as_bytes()
        && entry.has_value(record.value);
    match is_same {
        true => Confirmation::Own,
        false => Confirmation::Forged,
    }
}

#[cfg(test)]
mod tests {
    use comptoir_core::event::EventName;
    use comptoir_core::shop_secret::ShopSecret;
    use comptoir_journal::Payload;

    use super::*;

    const ID: &str = "paris-1/till-1/7/42";
    const VALUE: &[u8] = br#"{"payment_id":"p-1"}"#;

    fn identity() -> GatewayIdentity {
        GatewayIdentity {
            uuid: "own".to_owned(),
            parent: Some(("parent".to_owned(), Offset(5))),
            store: "paris-1".to_owned(),
            signing: Signing {
                unsigned_upto: Offset(3),
                since: 1_000,
                ..Signing::default()
            },
            key: ShopSecret::new([7; 32]).record_key(),
        }
    }

    fn record<'a>(journal: &'a str, offset: u64, code: &'a str) -> RecordHeaders<'a> {
        RecordHeaders {
            kind: Kind::Payment,
            ce_id: Some(ID),
            ce_type: b"comptoir.payment",
            journal: Some(journal.as_bytes()),
            offset: Some(Offset(offset)),
            code: code.as_bytes(),
            key: b"o-1",
            value: VALUE,
            appended: Some(2_000),
        }
    }

    fn code() -> String {
        let record = SignedRecord {
            ce_id: ID.as_bytes(),
            ce_type: b"comptoir.payment",
            key: b"o-1",
            value: VALUE,
        };
        record.sign(&identity().key)
    }

    fn entry(offset: u64) -> Entry {
        Entry {
            offset: Offset(offset),
            kind: EntryKind::Event(Kind::Payment),
            name: EventName {
                device: "paris-1/till-1".parse().unwrap(),
                epoch: 7,
                seq: 42,
            },
            time: 0,
            key: "o-1".into(),
            payload: Payload::Json(std::str::from_utf8(VALUE).unwrap().into()),
            reason: None,
        }
    }

    #[test]
    fn a_record_is_own_only_with_a_signature_unless_an_earlier_version_may_have_written_it() {
        let (identity, code) = (identity(), code());
        let judge = |record: RecordHeaders<'_>| identity.judge(&record);
        let entry = |offset, is_signed| Provenance::Entry {
            offset: Offset(offset),
            is_signed,
        };
        assert_eq!(judge(record("own", 9, &code)), entry(9, true));
        assert_eq!(judge(record("own", 9, "")), Provenance::Forged);
        assert_eq!(judge(record("own", 3, "")), entry(3, false));
        assert_eq!(judge(record("parent", 5, &code)), entry(5, true));
        // From the lost journal, after the copy was made.
        let lost = Provenance::Foreign { is_signed: true };
        assert_eq!(judge(record("parent", 6, &code)), lost);
        assert_eq!(judge(record("parent", 6, "")), Provenance::Forged);
        // A signed record cannot be moved to another topic or renamed.
        let moved = RecordHeaders {
            kind: Kind::Order,
            ..record("own", 9, &code)
        };
        assert_eq!(judge(moved), Provenance::Forged);
        let renamed = RecordHeaders {
            ce_id: Some("paris-1/till-1/7/43"),
            ..record("own", 9, &code)
        };
        assert_eq!(judge(renamed), Provenance::Forged);
        let without_offset = RecordHeaders {
            offset: None,
            ..record("own", 9, &code)
        };
        assert_eq!(judge(without_offset), Provenance::Forged);
    }

    #[test]
    fn a_record_that_names_this_store_is_forged_unless_it_is_signed_or_older_than_the_signatures() {
        let (identity, code) = (identity(), code());
        let foreign = |is_signed| Provenance::Foreign { is_signed };
        let record = |code| RecordHeaders {
            journal: None,
            ..record("", 9, code)
        };
        assert_eq!(identity.judge(&record(&code)), foreign(true));
        assert_eq!(identity.judge(&record("")), Provenance::Forged);
        let old = RecordHeaders {
            appended: Some(999),
            ..record("")
        };
        assert_eq!(identity.judge(&old), foreign(false));
        let with_the_producers_time = RecordHeaders {
            appended: None,
            ..record("")
        };
        assert_eq!(identity.judge(&with_the_producers_time), Provenance::Forged);
        let of_lyon = RecordHeaders {
            ce_id: Some("lyon-2/till-1/7/42"),
            ..record("")
        };
        assert_eq!(identity.judge(&of_lyon), foreign(false));
    }

    #[test]
    fn the_journal_confirms_only_its_own_entries() {
        let (entry, code) = (entry(9), code());
        let whole = (Offset(4), Offset(20));
        let record = record("own", 9, &code);
        let with = |record: &RecordHeaders<'_>, entry| confirm(record, Offset(9), true, entry, whole);
        assert_eq!(with(&record, Some(&entry)), Confirmation::Own);
        let other = Entry {
            key: "o-2".into(),
            ..entry.clone()
        };
        assert_eq!(
            with(&record, Some(&other)),
            Confirmation::Forged,
            "a signed record at another entry's offset"
        );
        let changed = RecordHeaders {
            value: b"{}",
            ..record
        };
        assert_eq!(with(&changed, Some(&entry)), Confirmation::Forged);
        assert_eq!(
            with(&record, None),
            Confirmation::Forged,
            "no entry of the journal"
        );
        let pruned = |is_signed| confirm(&record, Offset(3), is_signed, None, whole);
        assert_eq!(
            (pruned(true), pruned(false)),
            (Confirmation::Own, Confirmation::Unknown)
        );
        let ahead = confirm(&record, Offset(21), true, None, whole);
        assert_eq!(ahead, Confirmation::Forged);
    }
}
