//! A snapshot of how far events are acked: the content of the ack file.

use serde::{Deserialize, Serialize};

use super::stream::{SeqRange, Stream};
use comptoir_core::event::{DeviceId, GATEWAY_EPOCH};

/// Most streams in a snapshot.
pub(super) const MAX_STREAMS: usize = 256;
/// Most ranges per stream; the newest are kept.
const MAX_RANGES: usize = 16;
type Ranges = Vec<SeqRange>;

/// How far events are acked at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AckSnapshot {
    /// The journal's uuid.
    pub journal: String,
    /// The id of the journal's current run.
    pub run: String,
    /// Offset of the last committed entry.
    pub last: u64,
    /// The streams of the newest events, newest first.
    pub streams: Vec<AckedStream>,
}

/// The acked numbers of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AckedStream {
    /// `store/device`.
    pub device: String,
    /// The code of the encoding, as in the table `device`.
    pub encoding: i64,
    pub epoch: u32,
    /// The numbers that are settled.
    pub settled: Ranges,
    /// The part of `settled` that the journal never had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Ranges,
}

impl AckedStream {
    pub fn new(device: &DeviceId, encoding: i64, epoch: u32, stream: &Stream) -> Self {
        let newest = |mut ranges: Ranges| ranges.split_off(ranges.len().saturating_sub(MAX_RANGES));
        let mut settled: Ranges = stream.ranges().collect();
        // The first range determines the ack, so it is always kept, with the newest of the other ranges.
        let first = match settled.len() > MAX_RANGES {
            true => Some(settled.remove(0)),
            false => None,
        };
        let mut absent: Ranges = stream.gone().iter().chain(stream.lost()).copied().collect();
        absent.sort_unstable();
        let listed: u64 = absent.iter().map(|(from, to)| u64::from(to - from) + 1).sum();
        // The lowest numbers are those that the till had settled elsewhere before it came to this journal.
        let before = u32::try_from(stream.elsewhere.saturating_sub(listed)).unwrap_or(u32::MAX);
        let before = (before > 0).then_some((1, before));
        Self {
            device: device.to_string(),
            encoding,
            epoch,
            settled: first.into_iter().chain(newest(settled)).collect(),
            absent: before.into_iter().chain(newest(absent)).collect(),
        }
    }

    /// The acked numbers that `here`, the journal's stream, does not have. The gateway's own numbers begin above
    /// `own_floor`.
    pub fn missing(&self, here: Option<&Stream>, own_floor: u32) -> Ranges {
        let mut missing = self.settled.clone();
        for &range in &self.absent {
            missing = without(missing, range);
        }
        for range in here.into_iter().flat_map(Stream::ranges) {
            missing = without(missing, range);
        }
        if self.epoch == GATEWAY_EPOCH && own_floor > 0 {
            missing = without(missing, (1, own_floor));
        }
        missing
    }
}

fn without(ranges: Ranges, (from, to): (u32, u32)) -> Ranges {
    let cut = |(begin, end): (u32, u32)| {
        let before = (begin < from).then(|| (begin, end.min(from - 1)));
        let after = (end > to).then(|| (begin.max(to.saturating_add(1)), end));
        before.into_iter().chain(after)
    };
    ranges.into_iter().flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::super::stream::Discipline::{AnyOrder, InOrder};
    use super::*;

    fn stream(seqs: impl IntoIterator<Item = u32>) -> Stream {
        let mut stream = Stream::default();
        for seq in seqs {
            stream.admit(seq, 0, AnyOrder);
        }
        stream
    }

    fn of(stream: &Stream, epoch: u32) -> AckedStream {
        AckedStream::new(&DeviceId::new("paris-1", "till-1").unwrap(), 1, epoch, stream)
    }

    #[test]
    fn numbers_that_were_acked_and_are_not_here_are_missing() {
        let (before, after) = (stream(1..=13), stream(1..=30));
        assert_eq!(of(&after, 4).missing(Some(&before), 0), [(14, 30)]);
        assert_eq!(of(&after, 4).missing(None, 0), [(1, 30)]);
        assert_eq!(of(&before, 4).missing(Some(&after), 0), []);
        let holes = stream([1, 2, 5, 8, 9]);
        assert_eq!(of(&holes, 4).missing(Some(&stream([1, 5])), 0), [(2, 2), (8, 9)]);
        let mut lost = before.clone();
        lost.lose(1, 30);
        assert_eq!(
            of(&after, 4).missing(Some(&lost), 0),
            [],
            "the loss is recorded already"
        );
    }

    #[test]
    fn numbers_that_were_never_here_are_not_missing() {
        let mut moved = Stream::default();
        moved.admit(101, 101, InOrder);
        assert_eq!(of(&moved, 4).missing(None, 0), [(101, 101)]);
        let mut forgetful = stream(1..=10);
        forgetful.admit(15, 14, InOrder);
        forgetful.admit(14, 14, InOrder);
        assert_eq!(forgetful.gone(), [(11, 13)]);
        assert_eq!(
            of(&forgetful, 4).missing(Some(&stream(1..=5)), 0),
            [(6, 10), (14, 14)]
        );
        let mut own = stream(1..=10);
        own.number(1 << 24);
        assert_eq!(
            of(&own, 0).missing(Some(&stream(1..=10)), 1 << 24),
            [(1 << 24 | 1, 1 << 24 | 1)]
        );
    }

    #[test]
    fn the_first_range_and_the_newest_ranges_are_kept() {
        let many = of(&stream((1..200).filter(|n| *n < 4 || n % 2 == 0)), 4);
        assert_eq!(many.settled.len(), MAX_RANGES + 1);
        assert_eq!((many.settled[0], many.settled[MAX_RANGES]), ((1, 4), (198, 198)));
    }
}
