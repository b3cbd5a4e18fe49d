//! State shared by the journal's handles and its writer: its fill level, its identity, and the bridge's reports.

use std::collections::HashMap;

use super::pending::Pending;
use super::{Entry, Offset};
use comptoir_core::event::{DeviceId, Kind};

/// How full the journal is, and how far its entries have been processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    pub first: Offset,
    pub last: Offset,
    /// Every entry up to and including this one is in Kafka. Not Kafka's high watermark.
    pub watermark: Offset,
    /// Every payment up to and including this one is in Kafka. At or beyond `watermark`.
    pub payments: Offset,
    /// Bytes in use.
    pub bytes: u64,
    /// The limit of `bytes`.
    pub max_bytes: u64,
    /// Whether the journal accepts no events, because it is full or its disk fails.
    pub refusing: bool,
    pub dead_letters: u64,
    /// The gateway's own records in the journal: entries of the audit log, and closings.
    pub own_records: u64,
    /// Own records that were stored since the start, or not yet in Kafka at the start.
    pub(crate) own_stored: u64,
    /// How many of these are in Kafka. Set by [`Journal::state`](super::Journal::state).
    pub(crate) own_in_kafka: u64,
    /// Since the start.
    pub duplicates: u64,
    /// Events that were acked and then lost with a part of the journal's files.
    pub lost: u64,
    /// Since the start: events that arrived under another sale's number and were stored under a new one.
    pub reused: u64,
    /// Group commits since the start.
    pub commits: u64,
    /// Entries in those group commits.
    pub committed: u64,
    /// Whether events of new devices of this store are refused, because there are too many device names.
    pub names_used_up: bool,
}

impl State {
    /// Number of events and dead letters that are not in Kafka yet.
    pub fn pending(&self) -> u64 {
        let entries = self.last.0.saturating_sub(self.watermark.0);
        entries.saturating_sub(self.own_stored.saturating_sub(self.own_in_kafka))
    }

    /// Every event of this kind up to and including this entry is in Kafka.
    pub fn in_kafka_upto(&self, kind: Kind) -> Offset {
        match kind {
            Kind::Payment => self.payments.max(self.watermark),
            Kind::Order | Kind::Delivery => self.watermark,
        }
    }

    /// Number of events and dead letters.
    pub fn events(&self) -> u64 {
        let entries = (self.last.0 + 1).saturating_sub(self.first.0);
        entries.saturating_sub(self.own_records)
    }
}

/// Identifies the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub uuid: String,
    /// Set if this journal branched off another.
    pub parent: Option<Parent>,
    /// The gateway's own numbers begin above this one.
    pub own_floor: u32,
}

/// The journal that another one branched off from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    pub uuid: String,
    /// The last entry that both share.
    pub upto: Offset,
}

/// Which of this journal's records in Kafka may lack a valid signature: an earlier version wrote them, or the secret
/// that signed them is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// The public name of the shop's secret. `None` until the first start with one.
    pub secret: Option<String>,
    /// Entries up to and including this one may be in Kafka without a valid signature.
    pub unsigned_upto: Offset,
    /// In Unix milliseconds. Every record that this shop has written since then is signed.
    pub since: i64,
    /// Whether a watermark without a valid signature may count. False once the bridge has reported, because Kafka has a
    /// signed one from then on.
    pub accepts_unsigned_watermark: bool,
}

/// The bridge's report to the journal after a committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayReport {
    /// Every entry up to and including this one is in Kafka.
    pub upto: Offset,
    /// Every payment up to and including this one is in Kafka.
    pub payments: Offset,
    /// An offset in Kafka's watermark topic. This journal's records before it name no entry after `upto`.
    pub read_from: i64,
    /// Number of entries sent to Kafka since the previous report, by device and epoch.
    pub counts: RelayedCounts,
}

/// By device and epoch.
pub type RelayedCounts = HashMap<(DeviceId, u32), Relayed>;

/// Entries of one stream that were sent to Kafka.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    pub events: u64,
    /// The room that they took in the journal while they were pending.
    pub pending: Pending,
}

impl Relayed {
    /// Adds an entry.
    pub fn count(&mut self, entry: &Entry) {
        self.events += 1;
        self.pending += Pending::from(entry);
    }
}

impl RelayReport {
    pub(crate) fn merge(&mut self, later: RelayReport) {
        self.upto = later.upto;
        self.payments = later.payments;
        self.read_from = later.read_from;
        for (stream, relayed) in later.counts {
            let sum = self.counts.entry(stream).or_default();
            sum.events += relayed.events;
            sum.pending += relayed.pending;
        }
    }
}
