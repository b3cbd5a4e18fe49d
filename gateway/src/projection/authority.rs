//! Changes of an order or a delivery by a device other than its creator; [`comptoir_core::sale::ownership`] defines the
//! rule. The event itself is in the journal and in Kafka like any other.

use std::sync::Arc;

use tracing::debug;

use super::fact::Fact;
use super::projector::Projector;
use super::row::{Row, Source};
use super::sale_state::SaleState;
use super::{Key, ProjectionError};
use comptoir_core::event::Kind;
use comptoir_core::sale::Money;
use comptoir_core::sale::ownership::{Difference, is_forward, with_status};
use comptoir_journal::{Entry, Offset};

/// A change of an order or a delivery by a device other than its creator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    pub entry: Offset,
    pub kind: Kind,
    pub id: Arc<str>,
    pub store: Arc<str>,
    pub order_id: Arc<str>,
    /// The device that sent the change.
    pub device: Box<str>,
    /// The status, if it differed.
    pub status: Option<Box<str>>,
    /// The amount of an order, if it differed.
    pub amount: Option<Money>,
    /// Unix milliseconds.
    pub time: i64,
    /// Whether the status was taken over. Other fields never are.
    pub is_applied: bool,
}

impl Projector {
    /// Folds an event of a device that may not change the whole sale. Returns the sale's state for the pages; `None` if
    /// its JSON is no longer kept.
    pub(super) async fn fold_of_other_device(
        &mut self,
        key: Key,
        fact: &Fact<'_>,
        mut before: Row,
        entry: &Arc<Entry>,
    ) -> Result<Option<SaleState>, ProjectionError> {
        let sale = self.json_of(&before).await;
        let difference = match &sale {
            Some(sale) => Difference::between(fact.kind, sale, entry.payload.json()),
            None => Difference::default(),
        };
        let is_other_status = *before.status != *fact.status;
        let is_applied = is_other_status && is_forward(fact.kind, &before.status, &fact.status);
        let has_more = difference != Difference::default();
        if is_other_status || has_more {
            let author = entry.name.device.device();
            debug!(?key, author, is_applied, "another device has changed a sale");
            self.corrections.push(Correction {
                entry: entry.offset,
                kind: fact.kind,
                id: Arc::clone(&key.id),
                store: Arc::clone(&key.store),
                order_id: Arc::clone(&entry.key),
                device: author.into(),
                status: is_other_status.then(|| (*fact.status).into()),
                amount: difference.amount,
                time: fact.time,
                is_applied,
            });
        }
        if is_applied {
            before.status = self.interner.intern(&fact.status);
            before.is_moved = true;
        }
        if has_more || (is_other_status && !is_applied) {
            before.corrections = before.corrections.saturating_add(1);
        }
        let item = sale.and_then(|sale| {
            let mut item = SaleState::own(Arc::clone(entry));
            item.row = Some(before.seq);
            item.corrections = before.corrections;
            item.shown = match before.is_moved {
                true => Some(with_status(&sale, &before.status)?),
                false => Some(sale),
            };
            Some(item)
        });
        self.dirty.insert(key, before);
        Ok(item)
    }

    /// The JSON of a row's source. `None` if it is no longer kept or cannot be read now; then only the status is
    /// compared.
    async fn json_of(&self, row: &Row) -> Option<Arc<str>> {
        match &row.source {
            Source::Entry(offset) => {
                let entry = self.journal.entry(*offset).await.ok()??;
                Some(entry.payload.json().into())
            }
            Source::Kafka { payload, .. } => (!payload.is_empty()).then(|| Arc::from(&**payload)),
        }
    }
}
