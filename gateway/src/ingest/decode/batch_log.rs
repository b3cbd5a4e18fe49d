//! Debug events about decoded batches, to trace one event through the log.

use std::collections::BTreeMap;

use tracing::{Level, debug, enabled};

use comptoir_core::event::DeviceId;
use comptoir_journal::{Numbering, Submission};

/// The numbers of one device and epoch in a batch.
#[derive(Debug, PartialEq, Eq)]
struct NumberRange {
    first_seq: u32,
    last_seq: u32,
    count: usize,
}

/// Logs which event numbers of which devices are in a batch. Costs nothing unless debug events are enabled.
pub fn log_batch(submissions: &[Submission]) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    let ranges = ranges(submissions);
    let unnumbered = submissions.len() - ranges.values().map(|range| range.count).sum::<usize>();
    for ((device, epoch), range) in ranges {
        let NumberRange {
            first_seq,
            last_seq,
            count,
        } = range;
        debug!(%device, epoch, first_seq, last_seq, count, "events decoded");
    }
    if unnumbered > 0 {
        debug!(count = unnumbered, "events without a number decoded");
    }
}

fn ranges(submissions: &[Submission]) -> BTreeMap<(&DeviceId, u32), NumberRange> {
    let mut ranges = BTreeMap::new();
    for submission in submissions {
        if let Numbering::Till { epoch, seq, .. } = submission.numbering {
            let range = ranges.entry((&submission.device, epoch)).or_insert(NumberRange {
                first_seq: seq,
                last_seq: seq,
                count: 0,
            });
            range.first_seq = range.first_seq.min(seq);
            range.last_seq = range.last_seq.max(seq);
            range.count += 1;
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;
    use comptoir_core::sale::{self, Currency};

    #[test]
    fn a_batch_is_summarised_by_device_and_epoch() {
        let decoder = Decoder {
            store: "paris-1".to_owned(),
            currency: Currency::EUR,
        };
        let submission = |device: &str, number: &str| {
            let topic = format!("pos/paris-1/{device}/payments");
            decoder.decode(topic.as_bytes(), format!("{{{number}}}").as_bytes(), sale::now())
        };
        let batch = [
            submission("till-1", r#""epoch":7,"seq":4"#),
            submission("till-2", r#""epoch":9,"seq":1"#),
            submission("till-1", r#""epoch":7,"seq":3"#),
            submission("till-3", ""),
        ];
        let range = |first_seq, last_seq, count| NumberRange {
            first_seq,
            last_seq,
            count,
        };
        let [one, two] = ["till-1", "till-2"].map(|name| DeviceId::new("paris-1", name).unwrap());
        let expected = BTreeMap::from([((&one, 7), range(3, 4, 2)), ((&two, 9), range(1, 1, 1))]);
        assert_eq!(ranges(&batch), expected);
    }
}
