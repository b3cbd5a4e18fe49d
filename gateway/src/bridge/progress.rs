//! How much of a journal is in Kafka.

use comptoir_journal::Offset;

/// Every entry up to `upto`, and every payment up to `payments`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub upto: Offset,
    /// At or beyond `upto`.
    pub payments: Offset,
}

impl Progress {
    /// Every payment up to `upto` is in Kafka, too, so `payments` may be less.
    pub fn new(upto: Offset, payments: Offset) -> Self {
        Self {
            upto,
            payments: payments.max(upto),
        }
    }

    /// What is in Kafka according to either.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self::new(self.upto.max(other.upto), self.payments.max(other.payments))
    }

    /// The part of the journal up to and including `last`.
    #[must_use]
    pub fn min(self, last: Offset) -> Self {
        Self::new(self.upto.min(last), self.payments.min(last))
    }

    /// Whether all of this is also in `other`.
    pub fn is_at_most(self, other: Self) -> bool {
        self.upto <= other.upto && self.payments <= other.payments
    }
}
