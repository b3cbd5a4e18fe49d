//! How far Kafka is with this journal, when it is asked at the start of a session.
//!
//! Mostly its watermark says so. Where that is gone (the topic was deleted, or made anew), the events themselves do: each
//! carries its journal's uuid and its offset there, and transactions are in order, so the furthest event that is in Kafka
//! is where the watermark was.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::watermark::{self, Mark};
use crate::event::Kind;
use crate::journal::Offset;
use crate::kafka::{self, DEAD_LETTERS, Message, Settings};

/// A journal, as far as Kafka is asked about it.
#[derive(Debug, Clone)]
pub struct JournalPlace {
    pub uuid: String,
    /// The journal that it is a copy of, and up to which entry; an empty uuid if there is none.
    pub parent: String,
    pub shared: Offset,
    /// Everything at or below it is known to be in Kafka.
    pub local: Offset,
    pub last: Offset,
    /// An offset of the watermark topic; our newest mark is not before it.
    pub read_from: i64,
}

/// What Kafka's watermark topic says.
#[derive(Debug, Default)]
pub struct Marks {
    pub own: Option<Mark>,
    /// What Kafka has of the parent, as far as this journal has it, too.
    pub inherited: Offset,
    /// Where the topic ended.
    pub end: i64,
}

impl JournalPlace {
    /// Reads the marks: from the known place, or from the beginning where they are not there.
    ///
    /// # Errors
    /// As [`kafka::read_to_end`].
    pub fn marks(
        &self,
        settings: &Settings,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<Marks, kafka::Error> {
        let marks = self.read(settings, self.read_from, within, stop)?;
        if self.read_from == 0 || marks.cover(self.local) {
            return Ok(marks);
        }
        info!(
            from = self.read_from,
            "no watermark there: the topic is read from its beginning"
        );
        self.read(settings, 0, within, stop)
    }

    fn read(
        &self,
        settings: &Settings,
        from: i64,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<Marks, kafka::Error> {
        let journals = [self.uuid.as_str(), self.parent.as_str()];
        let ([own, inherited], end) = watermark::read(settings, journals, from, within, stop)?;
        let inherited = inherited.map(|mark| Offset(mark.offset).min(self.shared));
        Ok(Marks {
            own,
            inherited: inherited.unwrap_or_default(),
            end,
        })
    }

    /// The entries beyond `local` that Kafka's events say are in Kafka, with their `ce_id`, the furthest first. A copy that
    /// has gone on has other events at the same offsets, so the names are to be compared.
    ///
    /// All of the event topics is read: it is only done where the watermark is lost.
    ///
    /// # Errors
    /// As [`kafka::read_to_end`].
    pub fn events_beyond(
        &self,
        settings: &Settings,
        within: Duration,
        stop: &CancellationToken,
    ) -> Result<Vec<(Offset, String)>, kafka::Error> {
        let mut found = Vec::new();
        for name in Kind::ALL.map(Kind::topic).into_iter().chain([DEAD_LETTERS]) {
            kafka::read_to_end(
                settings,
                name,
                |_| 0,
                within,
                stop,
                |message| {
                    found.extend(self.entry(message).filter(|(offset, _)| *offset > self.local));
                },
            )?;
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Which of this journal's entries a record says it is.
    fn entry(&self, message: &Message<'_>) -> Option<(Offset, String)> {
        let (mut is_own, mut is_inherited, mut offset, mut name) = (false, false, None, None);
        message.headers(|key, value| match key {
            "ce_journal" => {
                is_own = value == self.uuid.as_bytes();
                is_inherited = !self.parent.is_empty() && value == self.parent.as_bytes();
            }
            "ce_journaloffset" => {
                offset = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            "ce_id" => name = std::str::from_utf8(value).ok().map(str::to_owned),
            _ => {}
        });
        let offset = offset.map(Offset)?;
        let is_here = is_own && offset <= self.last || is_inherited && offset <= self.shared;
        is_here.then_some((offset, name?))
    }
}

impl Marks {
    /// Whether they are all that was written. The mark of each transaction is written before this side knows that it is
    /// committed, so there is one at or beyond `local`.
    pub fn cover(&self, local: Offset) -> bool {
        let own = self.own.as_ref().map_or(Offset(0), |mark| Offset(mark.offset));
        own.max(self.inherited) >= local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_below_what_this_side_knows_are_not_all_that_was_written() {
        let own = |offset| Marks {
            own: Some(Mark {
                offset,
                event: String::new(),
                run: None,
            }),
            ..Marks::default()
        };
        assert!(Marks::default().cover(Offset(0)), "nothing was ever sent");
        assert!(!Marks::default().cover(Offset(1)));
        assert!(own(7).cover(Offset(7)) && own(8).cover(Offset(7)) && !own(6).cover(Offset(7)));
        let inherited = Marks {
            inherited: Offset(7),
            ..Marks::default()
        };
        assert!(inherited.cover(Offset(7)) && !inherited.cover(Offset(8)));
    }
}
