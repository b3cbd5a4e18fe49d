//! Records of the event topics that no page shows: they are counted, logged at most once a minute, and described on the
//! gateway page.

use std::sync::Arc;

use tracing::warn;

use crate::platform::metrics::Metrics;
use crate::platform::peer::WarningLimiter;
use comptoir_core::record::{RecordContent, RecordPlace};
use comptoir_core::sale::draft::FieldError;

/// Most characters of a record's `ce_id` that are shown. Its writer chooses them.
const SHOWN: usize = 100;

/// Counts of the records left out since the start.
pub(super) struct LeftOut {
    forged: Reason,
    invalid: Reason,
    metrics: Arc<Metrics>,
}

/// The records left out for one reason.
#[derive(Default)]
struct Reason {
    count: u64,
    /// The last one, described for people.
    last: String,
    limiter: WarningLimiter,
}

impl Reason {
    fn add(&mut self, last: String) -> bool {
        self.count += 1;
        self.last = last;
        self.limiter.due()
    }
}

impl LeftOut {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            forged: Reason::default(),
            invalid: Reason::default(),
            metrics,
        }
    }

    /// Counts a forged record: one that falsely claims to be this shop's.
    pub fn forged(&mut self, place: &RecordPlace, ce_id: &str) -> RecordContent {
        self.metrics.forged_records.inc();
        let shown: String = ce_id.chars().take(SHOWN).collect();
        if self
            .forged
            .add(format!("{} with the ce_id {shown:?}", described(place)))
        {
            warn!("{}", self.forged_warning());
        }
        RecordContent::LeftOut
    }

    /// Counts a record of another gateway or program that is not a valid sale. Shows only the name of the field,
    /// because its value may be personal.
    pub fn invalid(&mut self, place: &RecordPlace, error: &FieldError) -> RecordContent {
        self.metrics.invalid_records.inc();
        let field: String = error.field.chars().take(SHOWN).collect();
        if self.invalid.add(format!("{}, field {field}", described(place))) {
            warn!("{}", self.invalid_warning());
        }
        RecordContent::LeftOut
    }

    /// Warnings for the gateway page, one sentence per reason.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let forged = (self.forged.count > 0).then(|| self.forged_warning());
        let invalid = (self.invalid.count > 0).then(|| self.invalid_warning());
        forged.into_iter().chain(invalid)
    }

    fn forged_warning(&self) -> String {
        let Reason { count, last, .. } = &self.forged;
        format!(
            "{count} records in Kafka claim to be this shop's, but have no valid signature. They are ignored. The last one: {last}. \
             Somebody else writes under this shop's name: check who may write to the topics"
        )
    }

    fn invalid_warning(&self) -> String {
        let Reason { count, last, .. } = &self.invalid;
        format!(
            "{count} records of other programs in Kafka are not valid sales. They are left out. The last one: {last}"
        )
    }
}

fn described(place: &RecordPlace) -> String {
    format!(
        "{}, partition {}, offset {}",
        place.kind.topic(),
        place.partition,
        place.offset
    )
}

#[cfg(test)]
mod tests {
    use comptoir_core::event::Kind;

    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_the_last_one_is_named_without_its_content() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut left_out = LeftOut::new(Arc::clone(&metrics));
        assert_eq!(left_out.warnings().count(), 0);
        let place = |offset| RecordPlace {
            kind: Kind::Payment,
            partition: 2,
            offset,
            topic_id: None,
        };
        left_out.forged(&place(7), &"\u{1b}[2J".repeat(1_000));
        left_out.forged(&place(8), "paris-1/till-1/7/42");
        left_out.invalid(&place(9), &FieldError::new("customer_name", "Zo\u{e9}"));
        let warnings: Vec<String> = left_out.warnings().collect();
        assert!(
            warnings[0].starts_with("2 records") && warnings[0].contains("payments, partition 2, offset 8"),
            "{warnings:?}"
        );
        assert!(
            warnings[1].contains("field customer_name") && !warnings[1].contains("Zo\u{e9}"),
            "{warnings:?}"
        );
        assert_eq!(
            (metrics.forged_records.get(), metrics.invalid_records.get()),
            (2, 1)
        );
    }
}
