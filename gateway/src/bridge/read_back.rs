//! The read-back: consumes the event topics like any other `read_committed` consumer.
//!
//! Our own events come back with their partition and offset, which proves that they are in Kafka. Events of other
//! gateways go to the projection too, if they are valid sales. Forged records, which falsely claim to be this shop's,
//! are counted, shown and left out ([`provenance`]). The positions are stored in one transaction with the records (in
//! the projection's file), so no record counts twice. The group's offsets in Kafka only serve monitoring tools.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, debug_span, trace, warn};

use super::foreign;
use super::provenance::{self, Confirmation, GatewayIdentity, Provenance, RecordHeaders};
use super::{ShopKeys, left_out::LeftOut};
use crate::platform::metrics::Metrics;
use crate::platform::peer::Peer;
use crate::platform::shop_secret::SecretProblem;
use comptoir_core::event::{EventName, Kind};
use comptoir_core::mac::MAC_HEADER;
use comptoir_core::record::{BridgeReport, ConsumedRecord, RecordContent, RecordPlace};
use comptoir_core::sale::Currency;
use comptoir_journal::{Entry, Journal, Offset};
use comptoir_kafka::{
    self as kafka, BorrowedRecord, Consumer, InitialPosition, Positions, Settings, TopicId,
};

/// Most records in one batch for the projection.
const BATCH: usize = 1_000;
/// Most payload bytes in one batch. A single larger record still passes: others may write records of a megabyte each.
const BATCH_BYTES: usize = 4 << 20;
/// How long a poll waits for records. The topics of all shops almost always have new ones.
const LONGEST_POLL: Duration = Duration::from_millis(500);
/// Pause after the journal could not be read.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

/// Consumes the event topics and passes the records to the projection.
pub struct ReadBack {
    pub settings: Settings,
    /// Without keys forged records could not be detected, so nothing is read.
    pub keys: Result<ShopKeys, SecretProblem>,
    /// The shop's currency, for sales without one.
    pub currency: Currency,
    pub journal: Journal,
    /// Where to start without a stored position.
    pub start: InitialPosition,
    pub positions: Positions,
    pub peer: Peer,
    pub metrics: Arc<Metrics>,
    pub output: mpsc::Sender<BridgeReport>,
}

impl ReadBack {
    /// Runs until `stop`, on its own thread.
    pub fn run(self, runtime: &Handle, stop: &CancellationToken) {
        let keys = match &self.keys {
            Ok(keys) => keys.clone(),
            Err(problem) => {
                self.peer.down(problem);
                return runtime.block_on(stop.cancelled());
            }
        };
        let mut left_out = LeftOut::new(Arc::clone(&self.metrics));
        let topics = Kind::ALL.map(|kind| self.settings.topic(kind.topic())).to_vec();
        let positions = self.positions.clone();
        let reader = Consumer::new(&self.settings, "", topics, self.start, LONGEST_POLL, positions);
        let mut consumer = match reader {
            Ok(consumer) => consumer,
            Err(error) => {
                // Properties were checked at start, so they are not the cause. The gateway ends, and its supervisor
                // restarts it.
                warn!(%error, "the read-back cannot start");
                self.peer.down(error);
                return;
            }
        };
        let mut missing = None;
        while !stop.is_cancelled() {
            if let Some(result) = consumer.refresh_assignment() {
                missing = self.report(result);
            }
            let ids = Kind::ALL.map(|kind| consumer.topic_id(&self.settings.topic(kind.topic())));
            let records = self.poll(&consumer, ids);
            let judged = runtime.block_on(self.judge(&records, &keys, &mut left_out, stop));
            // Frees librdkafka's buffers before waiting for the projection.
            drop(records);
            let Some(batch) = judged else { break };
            self.show_warnings(missing.as_deref(), &left_out);
            if batch.is_empty() {
                continue;
            }
            let _span = debug_span!("read_back", records = batch.len()).entered();
            self.metrics.read_back.inc_by(batch.len() as u64);
            let mut ends: Vec<RecordPlace> = Vec::new();
            for record in &batch {
                let place = record.place;
                match ends
                    .iter_mut()
                    .find(|end| end.kind == place.kind && end.partition == place.partition)
                {
                    Some(end) => end.offset = place.offset,
                    None => ends.push(place),
                }
            }
            if self.output.blocking_send(BridgeReport::ReadBack(batch)).is_err() {
                break;
            }
            for end in ends {
                let topic = self.settings.topic(end.kind.topic());
                debug!(
                    topic,
                    partition = end.partition,
                    offset = end.offset,
                    "read back up to here"
                );
                consumer.done(&topic, end.partition, end.offset);
            }
        }
        consumer.close();
    }

    /// Shows the result of an assignment as the peer's status. Returns a description of the missing right, if one is
    /// missing.
    fn report(&self, result: Result<(), kafka::Error>) -> Option<String> {
        let missing = match result {
            Ok(()) => None,
            // Kafka replies, so the relay may work.
            Err(error @ kafka::Error::MissingRight { .. }) => Some(error.to_string()),
            Err(error) => {
                self.peer.down(error.explained(&self.settings));
                return None;
            }
        };
        self.peer.up();
        missing
    }

    fn show_warnings(&self, missing: Option<&str>, left_out: &LeftOut) {
        let missing = missing.map(str::to_owned);
        let warnings: Vec<String> = missing.clone().into_iter().chain(left_out.warnings()).collect();
        let shown = self.peer.status().warnings;
        if shown != warnings {
            for warning in missing.iter().filter(|warning| !shown.contains(warning)) {
                warn!("{warning}");
            }
            self.peer.warn(warnings);
        }
    }

    fn poll<'a>(
        &self,
        consumer: &'a Consumer,
        ids: [Option<TopicId>; 3],
    ) -> Vec<(RecordPlace, BorrowedRecord<'a>)> {
        let mut records = Vec::new();
        let mut wait = Duration::from_millis(500);
        let mut bytes = 0;
        while records.len() < BATCH && bytes < BATCH_BYTES {
            let Some(record) = consumer.poll(wait) else {
                break;
            };
            wait = Duration::ZERO;
            let topic = record.topic().strip_prefix(self.settings.prefix.as_str());
            let Some(kind) = topic.and_then(Kind::from_topic) else {
                continue;
            };
            bytes += record.payload().len();
            let place = RecordPlace {
                kind,
                partition: record.partition(),
                offset: record.offset(),
                topic_id: ids[kind as usize],
            };
            records.push((place, record));
        }
        records
    }

    /// Decides whose the records are and validates those of others. `None` at the stop.
    async fn judge(
        &self,
        records: &[(RecordPlace, BorrowedRecord<'_>)],
        keys: &ShopKeys,
        left_out: &mut LeftOut,
        stop: &CancellationToken,
    ) -> Option<Vec<ConsumedRecord>> {
        let identity = GatewayIdentity::new(&self.journal, &self.settings.identity, &keys.records);
        let judged: Vec<_> = records
            .iter()
            .map(|(place, record)| {
                let headers = headers_of(place.kind, record);
                (place, record, headers, identity.judge(&headers))
            })
            .collect();
        let claimed: Vec<Offset> = judged
            .iter()
            .filter_map(|(.., provenance)| match provenance {
                Provenance::Entry { offset, .. } => Some(*offset),
                Provenance::Foreign { .. } | Provenance::Forged => None,
            })
            .collect();
        let entries = self.entries(&claimed, stop).await?;
        // Read after the entries, so that no pruning in between goes unnoticed.
        let state = self.journal.state();
        let batch = judged.into_iter().map(|(place, record, headers, provenance)| {
            let ce_id = headers.ce_id.unwrap_or_default();
            trace!(ce_id, ?place, ?provenance, "read back");
            let content = match provenance {
                Provenance::Forged => left_out.forged(place, ce_id),
                Provenance::Entry { offset, is_signed } => {
                    let entry = entries.get(&offset).map(|entry| &**entry);
                    match provenance::confirm(&headers, offset, is_signed, entry, (state.first, state.last)) {
                        Confirmation::Own => RecordContent::Own {
                            entry: offset,
                            name: ce_id.into(),
                            order_id: String::from_utf8_lossy(headers.key).into(),
                        },
                        Confirmation::Unknown => RecordContent::LeftOut,
                        Confirmation::Forged => left_out.forged(place, ce_id),
                    }
                }
                Provenance::Foreign { is_signed } => {
                    let time = record.timestamp().unwrap_or_default();
                    match foreign::check(place.kind, headers.ce_id, headers.value, time, self.currency) {
                        Ok(sale)
                            if !is_signed
                                && identity.is_impostor(Some(sale.device.store()), headers.appended) =>
                        {
                            left_out.forged(place, ce_id)
                        }
                        Ok(sale) => RecordContent::Foreign {
                            name: match headers.ce_id.filter(|name| EventName::parse(name).is_some()) {
                                Some(name) => name.into(),
                                None => {
                                    format!("{}/{}/{}", place.kind.topic(), place.partition, place.offset)
                                        .into()
                                }
                            },
                            time,
                            payload: (*sale.json).into(),
                        },
                        Err(error) => left_out.invalid(place, &error),
                    }
                }
            };
            ConsumedRecord {
                place: *place,
                content,
            }
        });
        Some(batch.collect())
    }

    /// The entries at these offsets that the journal still has. Waits while the journal cannot be read; `None` at the
    /// stop.
    async fn entries(
        &self,
        offsets: &[Offset],
        stop: &CancellationToken,
    ) -> Option<HashMap<Offset, Arc<Entry>>> {
        let mut is_logged = false;
        loop {
            match self.journal.entries(offsets).await {
                Ok(entries) => return Some(entries),
                Err(error) if !is_logged => {
                    warn!(%error, "the read-back waits until the journal can be read");
                    is_logged = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(JOURNAL_PAUSE) => {}
            }
        }
    }
}

/// The parts of a record that decide its provenance.
fn headers_of<'a>(kind: Kind, record: &'a BorrowedRecord<'_>) -> RecordHeaders<'a> {
    let mut headers = RecordHeaders {
        kind,
        ce_id: None,
        ce_type: &[],
        journal: None,
        offset: None,
        code: &[],
        key: record.key(),
        value: record.payload(),
        appended: record.appended(),
    };
    record.headers(|key, value| match key {
        "ce_id" => headers.ce_id = std::str::from_utf8(value).ok(),
        "ce_type" => headers.ce_type = value,
        "ce_journal" => headers.journal = Some(value),
        "ce_journaloffset" => {
            let offset = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            headers.offset = offset.map(Offset);
        }
        MAC_HEADER => headers.code = value,
        _ => {}
    });
    headers
}
