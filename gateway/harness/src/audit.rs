//! Verifies exactly-once delivery: compares the tills' ledger with the records that a `read_committed` reader found.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::ledger::LedgerLine;
use crate::record::Record;

/// How many differences of each kind are printed.
const MAX_PRINTED: usize = 5;

/// The differences between ledger and records, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Number of ledger lines compared.
    pub lines: usize,
    /// Number of records compared.
    pub records: usize,
    /// Acked but not in Kafka.
    pub missing: Vec<String>,
    /// In Kafka more than once.
    pub doubled: Vec<String>,
    /// In Kafka but not in the ledger, or without a valid `ce_id`.
    pub unexpected: Vec<String>,
    /// In another topic or with another key than in the ledger.
    pub misplaced: Vec<String>,
    /// In the same partition after a later event of the same till and order.
    pub out_of_order: Vec<String>,
}

impl Audit {
    /// True if every acked event is in Kafka exactly once, in its place and in order, and nothing else is.
    pub fn is_clean(&self) -> bool {
        self.differences().iter().all(|(_, found)| found.is_empty())
    }

    fn differences(&self) -> [(&'static str, &[String]); 5] {
        [
            ("missing", &self.missing),
            ("doubled", &self.doubled),
            ("unexpected", &self.unexpected),
            ("misplaced", &self.misplaced),
            ("out of order", &self.out_of_order),
        ]
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the ledger, {} in Kafka", self.lines, self.records)?;
        for (name, found) in self.differences() {
            write!(f, ", {} {name}", found.len())?;
        }
        for (name, found) in self.differences().iter().filter(|(_, found)| !found.is_empty()) {
            write!(f, "\n{name}:")?;
            for difference in found.iter().take(MAX_PRINTED) {
                write!(f, "\n  {difference}")?;
            }
            if found.len() > MAX_PRINTED {
                write!(f, "\n  … and {} more", found.len() - MAX_PRINTED)?;
            }
        }
        Ok(())
    }
}

/// Compares `ledger` and `records`. Topics are compared without their prefix.
///
/// The records of a partition must be in the order of their offsets, as a reader returns them.
pub fn audit(ledger: &[LedgerLine], records: &[Record]) -> Audit {
    let mut audit = Audit {
        lines: ledger.len(),
        records: records.len(),
        ..Audit::default()
    };
    let expected: HashMap<&str, &LedgerLine> =
        ledger.iter().map(|line| (line.ce_id.as_str(), line)).collect();
    let mut seen: HashMap<&str, String> = HashMap::new();
    let mut last: HashMap<(&str, i32, &str, &[u8]), u64> = HashMap::new();
    for record in records {
        let place = format!("{} [{}] at {}", record.topic, record.partition, record.offset);
        let Some(ce_id) = record.ce_id() else {
            audit.unexpected.push(format!("no ce_id: {place}"));
            continue;
        };
        if let Some(first) = seen.get(ce_id) {
            audit.doubled.push(format!("{ce_id}: {first}, {place}"));
            continue;
        }
        match expected.get(ce_id) {
            None => audit.unexpected.push(format!("{ce_id}: {place}")),
            Some(line) => {
                if !record.topic.ends_with(&line.topic) || record.key_text() != Some(&line.key) {
                    let key = record.key_text().unwrap_or("none");
                    audit
                        .misplaced
                        .push(format!("{ce_id}: {place} with the key {key}, not {}", line.key));
                }
            }
        }
        if let Some((sender, seq)) = split(ce_id) {
            let key = record.key.as_deref().unwrap_or_default();
            let before = last.insert((&record.topic, record.partition, sender, key), seq);
            if let Some(before) = before.filter(|before| *before > seq) {
                audit
                    .out_of_order
                    .push(format!("{ce_id}: {place}, after {before}"));
            }
        } else {
            audit
                .unexpected
                .push(format!("{ce_id} is not an event id: {place}"));
        }
        seen.insert(ce_id, place);
    }
    let mut reported = HashSet::new();
    for line in ledger.iter().filter(|line| line.acked.is_some()) {
        if !seen.contains_key(line.ce_id.as_str()) && reported.insert(&line.ce_id) {
            audit
                .missing
                .push(format!("{}: {} for {}", line.ce_id, line.topic, line.key));
        }
    }
    audit
}

/// Splits a `ce_id` into `{store}/{device}/{epoch}` and the sequence number.
fn split(ce_id: &str) -> Option<(&str, u64)> {
    let (sender, seq) = ce_id.rsplit_once('/')?;
    (sender.split('/').count() == 3).then_some((sender, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ce_id: &str, acked: bool) -> LedgerLine {
        LedgerLine {
            ce_id: ce_id.into(),
            topic: "orders".into(),
            key: "o-1".into(),
            published: None,
            acked: acked.then(|| "2026-01-01T00:00:00.000Z".into()),
        }
    }

    fn record(ce_id: &str, offset: i64) -> Record {
        Record {
            topic: "t1.orders".into(),
            partition: 0,
            offset,
            timestamp: None,
            key: Some(b"o-1".to_vec()),
            value: Vec::new(),
            headers: [("ce_id".to_owned(), ce_id.as_bytes().to_vec())].into(),
        }
    }

    #[test]
    fn an_audit_is_clean_even_if_an_event_without_an_ack_is_absent() {
        let ledger = [
            line("s/d/7/1", true),
            line("s/d/7/2", true),
            line("s/d/7/3", false),
        ];
        let audit = audit(&ledger, &[record("s/d/7/1", 0), record("s/d/7/2", 1)]);
        assert!(audit.is_clean(), "{audit}");
    }

    #[test]
    fn each_kind_of_difference_is_reported_separately() {
        let ledger = [
            line("s/d/7/1", true),
            line("s/d/7/2", true),
            line("s/d/7/3", true),
        ];
        let mut misplaced = record("s/d/7/1", 2);
        misplaced.key = Some(b"o-2".to_vec());
        let records = [
            record("s/d/7/2", 0),
            record("s/d/7/2", 1),
            misplaced,
            record("s/d/8/1", 3),
        ];
        let found = audit(&ledger, &records);
        assert_eq!(found.missing, ["s/d/7/3: orders for o-1"]);
        assert_eq!(found.doubled, ["s/d/7/2: t1.orders [0] at 0, t1.orders [0] at 1"]);
        assert_eq!(found.unexpected, ["s/d/8/1: t1.orders [0] at 3"]);
        assert_eq!(found.misplaced.len(), 1);
        let records = [record("s/d/7/2", 0), record("s/d/7/1", 1), record("s/d/7/3", 2)];
        assert_eq!(
            audit(&ledger, &records).out_of_order,
            ["s/d/7/1: t1.orders [0] at 1, after 2"]
        );
    }
}
