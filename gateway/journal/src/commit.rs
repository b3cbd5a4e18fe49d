//! The group commit: one transaction and one fsync for all batches that have arrived.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tracing::{Instrument as _, debug, debug_span, info, warn};

use super::group::Group;
use super::pending::Quota;
use super::transaction::{self, CommitError};
use super::writer::Reply;
use super::{
    AppendError, Receipt, RelayReport, State, Submission, Writer, chain, dormant, fingerprints, reused,
};

impl Writer {
    /// Commits the batches and answers each one.
    pub(super) async fn commit(&mut self, batches: Vec<(Vec<Submission>, Reply)>) {
        let (batches, replies): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
        let result = self.try_commit(batches).await;
        if let Err(error) = &result {
            if !self.state.borrow().refusing {
                warn!(%error, "the gateway is not accepting events for now; tills keep theirs");
            }
            self.state.send_modify(|state| state.refusing = true);
        } else if self.state.borrow().refusing {
            info!("events are accepted again");
            self.state.send_modify(|state| state.refusing = false);
        }
        match result {
            Ok(receipts) => {
                for (reply, receipt) in replies.into_iter().zip(receipts) {
                    // The caller may have stopped waiting; its events are stored in any case.
                    let _ = reply.send(Ok(receipt));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    async fn try_commit(&mut self, batches: Vec<Vec<Submission>>) -> Result<Vec<Receipt>, AppendError> {
        let State { bytes, max_bytes, .. } = *self.state.borrow();
        if bytes >= max_bytes && !batches.is_empty() {
            return Err(AppendError::Full { bytes, max_bytes });
        }
        if let Some(outage) = &self.outage {
            return Err(AppendError::Storage(Arc::clone(&outage.error)));
        }
        let group = match self.admit(batches).await {
            Ok(group) => group,
            Err(error) => return Err(AppendError::Storage(self.begin_outage(error).await)),
        };
        let span = debug_span!("commit", first = group.after.0 + 1, entries = group.entries.len());
        self.write(group).instrument(span).await
    }

    /// Admits and numbers the events of the batches.
    async fn admit(&mut self, batches: Vec<Vec<Submission>>) -> Result<Group, sqlx::Error> {
        let fingerprints = match batches.is_empty() {
            true => HashMap::new(),
            false => fingerprints::of_submissions(self.connection.get().await?, &batches).await?,
        };
        if !batches.is_empty() {
            dormant::revive(self.connection.get().await?, &mut self.streams, &batches).await?;
        }
        let State { last, max_bytes, .. } = *self.state.borrow();
        let mut group = Group {
            after: last,
            quota: Quota { max_bytes },
            fingerprints,
            own_floor: self.identity.borrow().own_floor,
            ..Group::default()
        };
        for batch in batches {
            self.streams.admit(batch, &mut group);
        }
        if !group.suspects.is_empty() {
            let connection = self.connection.get().await?;
            reused::admit_other_sales(connection, &self.tail, &self.streams, &mut group).await?;
        }
        Ok(group)
    }

    /// Commits the group, with the bridge's report.
    async fn write(&mut self, mut group: Group) -> Result<Vec<Receipt>, AppendError> {
        let report = self.report.take();
        let relayed = report.as_ref().map(|(report, _)| report);
        if let Some(relayed) = relayed {
            self.streams.count_relayed(relayed, &mut group);
        }
        group.links = chain::links(self.chain_head, group.entries.iter().map(|entry| &**entry));
        let begun = Instant::now();
        let written = match self.connection.get().await {
            Ok(connection) => transaction::write(connection, &group, relayed).await,
            Err(error) => Err(CommitError::from(error)),
        };
        match written {
            Ok(bytes) => {
                debug!(
                    last = group.after.0 + group.entries.len() as u64,
                    watermark = relayed.map(|report| report.upto.0),
                    duplicates = group.duplicates,
                    elapsed = ?begun.elapsed(),
                    "committed"
                );
                Ok(self.adopt(group, relayed, bytes))
            }
            Err(CommitError { is_in_doubt, error }) => {
                debug!(is_in_doubt, %error, "not committed");
                self.report = report;
                let error = self.begin_outage(error).await;
                Err(match is_in_doubt && !group.entries.is_empty() {
                    true => AppendError::InDoubt(error),
                    false => AppendError::Storage(error),
                })
            }
        }
    }

    /// Applies the committed group to memory and publishes the new state.
    fn adopt(&mut self, mut group: Group, relayed: Option<&RelayReport>, bytes: u64) -> Vec<Receipt> {
        self.recent.note_commit(group.streams.keys().copied());
        self.streams.adopt(&mut group);
        let names_used_up = self.streams.are_names_used_up();
        let committed = group.entries.len() as u64 - group.own_records;
        let last = group.entries.last().map(|entry| entry.offset);
        if let Some(link) = group.links.last() {
            self.chain_head = link.hash;
        }
        self.tail.push(group.entries, Instant::now());
        self.state.send_modify(|state| {
            state.last = last.unwrap_or(state.last);
            if let Some(report) = relayed {
                state.watermark = state.watermark.max(report.upto);
                state.payments = state.payments.max(report.payments);
            }
            state.bytes = bytes;
            state.dead_letters += group.dead_letters;
            state.own_records += group.own_records;
            state.own_stored += group.own_records;
            state.duplicates += group.duplicates;
            state.reused += group.reused;
            state.commits += 1;
            state.committed += committed;
            state.names_used_up = names_used_up;
        });
        group.receipts
    }

    /// Makes the bridge's reports durable when no event's commit does.
    pub(super) async fn commit_report(&mut self) {
        if self.report.is_none() || self.outage.is_some() {
            return;
        }
        match self.try_commit(Vec::new()).await {
            // The disk works again if it was the reason for refusing events.
            Ok(_) => self.accept_if_room(),
            Err(error) => warn!(%error, "the watermark could not be written; Kafka has it too"),
        }
    }
}
