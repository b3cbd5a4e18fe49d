//! Selects what an archive contains, and verifies it before it is written.

use comptoir_journal::{
    ChainPoint, ChainReader, ChainSummary, ChainWalk, ChainedEntry, Offset, StoredClosing,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::LAST;
use super::closings::ClosingWalk;
use super::write::{ArchiveError, Request};

/// The entries and closings to archive, after they have been verified.
pub struct Contents {
    /// Entries after this one …
    pub after: Offset,
    /// … up to and including this one.
    pub upto: Offset,
    pub previous: ChainPoint,
    pub closings: Vec<StoredClosing>,
    pub complete: bool,
    pub walk: ChainWalk,
    pub from: Date,
    pub to: Date,
}

/// Finds the entries of the days and of their closings, and verifies them.
pub async fn select_days(
    reader: &mut ChainReader,
    summary: &ChainSummary,
    request: &Request<'_>,
    from: Date,
    to: Date,
) -> Result<Contents, ArchiveError> {
    if from > to {
        return Err(ArchiveError::Period { from, to });
    }
    let start = start_of(from, &request.time_zone)?;
    let end = start_of(
        to.tomorrow().map_err(|_| ArchiveError::Day(to))?,
        &request.time_zone,
    )?;
    let all = reader.closings().await?;
    let is_of_period = |closing: &StoredClosing| {
        closing
            .date
            .parse::<Date>()
            .is_ok_and(|date| (from..=to).contains(&date))
    };
    // From the first to the last of them, so that each one follows another.
    let closings = match (
        all.iter().position(is_of_period),
        all.iter().rposition(is_of_period),
    ) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..0,
    };
    let before = closings.start.checked_sub(1).map(|before| all[before].upto);
    let closings = &all[closings];
    let mut range = reader.entries_of(start, end).await?;
    if let (Some(first), Some(last)) = (closings.first(), closings.last()) {
        // What the first closing counts begins after what the closing before it counted.
        let covered = (Offset(before.unwrap_or_default().0 + 1), last.offset);
        // An empty closing counts nothing, so its own entry may be the first.
        let covered = (covered.0.min(first.offset), covered.1);
        range = Some(match range {
            Some((first, last)) => (first.min(covered.0), last.max(covered.1)),
            None => covered,
        });
    }
    let oldest = summary.first.unwrap_or_default();
    let Some((first, upto)) = range.filter(|(_, upto)| *upto >= oldest) else {
        let first = reader.entries_after(Offset(0), LAST).await?;
        let oldest = first
            .first()
            .map(|first| local_day(first.entry.time, &request.time_zone));
        return Err(ArchiveError::Empty {
            oldest: oldest.unwrap_or_else(|| "no day at all".to_owned()),
        });
    };
    let after = Offset(first.0.max(oldest.0).saturating_sub(1));
    // Entries before the oldest one were pruned. Whether they were of the period, only the closing before it tells.
    let complete = first >= oldest
        && (first > oldest || oldest.0 <= 1 || before.is_some_and(|before| before.0 + 1 == first.0));
    let (walk, previous) = verified(reader, summary, after, upto, &all, |_| ()).await?;
    Ok(Contents {
        after,
        upto,
        previous,
        closings: among(all, after, upto),
        complete,
        walk,
        from,
        to,
    })
}

/// Finds the closings among the entries, and verifies both.
pub async fn select_entries(
    reader: &mut ChainReader,
    summary: &ChainSummary,
    request: &Request<'_>,
    after: Offset,
    upto: Offset,
) -> Result<Contents, ArchiveError> {
    let oldest = summary.first.unwrap_or_default();
    let complete = oldest.0 <= after.0 + 1;
    let closings = reader.closings().await?;
    let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
    let (walk, previous) = verified(reader, summary, after, upto, &closings, |entry| {
        earliest = earliest.min(entry.entry.time);
        latest = latest.max(entry.entry.time);
    })
    .await?;
    let day = |time| {
        let time = Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_zoned(request.time_zone.clone()).date()
    };
    Ok(Contents {
        after,
        upto,
        previous,
        closings: among(closings, after, upto),
        complete,
        walk,
        from: day(earliest),
        to: day(latest),
    })
}

/// Verifies these entries against all closings. Returns the walk over the entries and where it began.
async fn verified(
    reader: &mut ChainReader,
    summary: &ChainSummary,
    after: Offset,
    upto: Offset,
    closings: &[StoredClosing],
    mut see: impl FnMut(&ChainedEntry),
) -> Result<(ChainWalk, ChainPoint), ArchiveError> {
    // The chain may start later.
    let previous = reader.point(after).await?.unwrap_or(summary.start);
    let mut closing_walk = ClosingWalk::default();
    for closing in closings {
        let is_among = closing.offset > after && closing.offset <= upto;
        closing_walk.add(&closing.payload, is_among)?;
    }
    let mut walk = ChainWalk::new(previous);
    let mut read = after;
    loop {
        let entries = reader.entries_after(read, upto).await?;
        let Some(last) = entries.last() else {
            break;
        };
        read = last.entry.offset;
        for entry in &entries {
            walk.add(entry)?;
            closing_walk.see(entry)?;
            see(entry);
        }
    }
    closing_walk.finish(Offset(after.0 + 1), upto)?;
    Ok((walk, previous))
}

/// The closings whose own entries are among these.
fn among(mut closings: Vec<StoredClosing>, after: Offset, upto: Offset) -> Vec<StoredClosing> {
    closings.retain(|closing| closing.offset > after && closing.offset <= upto);
    closings
}

fn start_of(date: Date, time_zone: &TimeZone) -> Result<i64, ArchiveError> {
    let start = date
        .to_zoned(time_zone.clone())
        .map_err(|_| ArchiveError::Day(date))?;
    Ok(start.timestamp().as_millisecond())
}

fn local_day(time: i64, time_zone: &TimeZone) -> String {
    let day = Timestamp::from_millisecond(time).map(|time| time.to_zoned(time_zone.clone()).date());
    day.map_or_else(|_| time.to_string(), |day| day.to_string())
}
