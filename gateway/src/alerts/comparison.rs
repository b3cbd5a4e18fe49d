//! Compares the present troubles with those that were reported.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The troubles that were reported and have not ended, by their words, and when each began.
pub type Reported = BTreeMap<String, Timestamp>;

/// Decides what to report.
///
/// A trouble that begins or ends is a difference to what was reported. Once a difference has lasted for `after`, all
/// present differences are reported together: they probably have the same cause, as when Kafka is unreachable, and one
/// message says more than several.
pub struct Comparison {
    after: Duration,
    reported: Reported,
    /// The troubles that are present and not reported, or reported and not present; and when this was first seen.
    differences: BTreeMap<String, Instant>,
}

/// What is to be reported.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// When the first of the changes was seen.
    pub at: Instant,
    pub began: Vec<String>,
    /// With the times at which they began.
    pub ended: Vec<(String, Timestamp)>,
    /// Reported earlier, and not over.
    pub lasting: Vec<(String, Timestamp)>,
}

impl Comparison {
    pub fn new(after: Duration, reported: Reported) -> Self {
        Self {
            after,
            reported,
            differences: BTreeMap::new(),
        }
    }

    pub fn reported(&self) -> &Reported {
        &self.reported
    }

    /// Compares at one moment. What is returned then counts as reported. `time_of` converts a moment to a time of day.
    pub fn compare(
        &mut self,
        present: &BTreeSet<&str>,
        now: Instant,
        time_of: impl Fn(Instant) -> Timestamp,
    ) -> Option<Report> {
        let began = present.iter().filter(|word| !self.reported.contains_key(**word));
        let ended = self.reported.keys().map(String::as_str);
        let ended = ended.filter(|word| !present.contains(word));
        let seen = |word: &str| (word.to_owned(), *self.differences.get(word).unwrap_or(&now));
        self.differences = began.copied().chain(ended).map(seen).collect();
        let at = *self.differences.values().min()?;
        if now.duration_since(at) < self.after {
            return None;
        }
        let time = time_of(at);
        let lasting = self.reported.iter();
        let lasting = lasting.filter(|(word, _)| present.contains(word.as_str()));
        let mut report = Report {
            at,
            began: Vec::new(),
            ended: Vec::new(),
            lasting: lasting.map(|(word, since)| (word.clone(), *since)).collect(),
        };
        for word in std::mem::take(&mut self.differences).into_keys() {
            match self.reported.remove(&word) {
                Some(since) => report.ended.push((word, since)),
                None => {
                    self.reported.insert(word.clone(), time);
                    report.began.push(word);
                }
            }
        }
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares once a second, with the troubles of each second, and returns what was reported and in which second.
    fn run(after: u64, seconds: &[&[&str]]) -> Vec<(usize, Vec<String>, Vec<String>, usize)> {
        let start = Instant::now();
        let mut comparison = Comparison::new(Duration::from_secs(after), Reported::new());
        let mut reports = Vec::new();
        for (second, troubles) in seconds.iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            let present = troubles.iter().copied().collect();
            if let Some(report) = comparison.compare(&present, now, |_| Timestamp::UNIX_EPOCH) {
                let ended = report.ended.into_iter().map(|(word, _)| word).collect();
                reports.push((second, report.began, ended, report.lasting.len()));
            }
        }
        reports
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn what_lasts_is_reported_once_and_so_is_its_end() {
        let (down, up): (&[&str], &[&str]) = (&["mqtt-down"], &[]);
        let reports = run(2, &[down, down, down, down, down, up, up, up, up]);
        let down = words(&["mqtt-down"]);
        assert_eq!(reports, [(2, down.clone(), vec![], 0), (7, vec![], down, 0)]);
    }

    #[test]
    fn a_short_trouble_and_a_short_end_are_not_reported() {
        let (down, up): (&[&str], &[&str]) = (&["mqtt-down"], &[]);
        assert_eq!(run(2, &[down, down, up, down, down, up, up]), []);
        let reports = run(2, &[down, down, down, up, down, down, up, up, down, down]);
        assert_eq!(reports, [(2, words(&["mqtt-down"]), vec![], 0)]);
    }

    #[test]
    fn what_changes_meanwhile_is_in_the_same_report_and_what_lasts_is_named() {
        let both: &[&str] = &["bridge-down", "commands-down"];
        let reports = run(
            2,
            &[&["bridge-down"], both, both, both, &["commands-down"], &[], &[]],
        );
        assert_eq!(
            reports,
            [(2, words(both), vec![], 0), (6, vec![], words(both), 0)]
        );
        let one: &[&str] = &["commands-down"];
        let reports = run(1, &[both, both, both, one, one]);
        assert_eq!(reports[1], (4, vec![], words(&["bridge-down"]), 1));
    }

    #[test]
    fn a_report_is_dated_when_the_change_was_first_seen() {
        let start = Instant::now();
        let reported = Reported::from([("warnings".to_owned(), Timestamp::UNIX_EPOCH)]);
        let mut comparison = Comparison::new(Duration::from_secs(60), reported);
        let mut compare = |seconds| {
            let now = start + Duration::from_secs(seconds);
            comparison.compare(&BTreeSet::new(), now, |_| Timestamp::UNIX_EPOCH)
        };
        assert_eq!(compare(5), None);
        let report = compare(65).unwrap();
        assert_eq!(report.at, start + Duration::from_secs(5));
        assert_eq!(report.ended, [("warnings".to_owned(), Timestamp::UNIX_EPOCH)]);
        assert_eq!(compare(500), None);
    }
}
