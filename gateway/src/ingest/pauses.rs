//! How long to wait before the next connection to the MQTT broker.

use std::time::Duration;

use backon::ExponentialBackoff;

use crate::link::patience;

/// Longest pause while the broker or the network is away, before jitter.
const LONGEST: Duration = Duration::from_secs(15);
/// Longest pause where somebody has to change something first, before jitter.
const LONGEST_REFUSED: Duration = Duration::from_secs(60);
/// A connection that held for so long works.
const LASTED: Duration = Duration::from_secs(60);
/// The same where a second gateway has the same client id. Longer than the other's pauses: otherwise the two would begin
/// anew with short pauses, each time one of them has waited for its longest.
pub const LASTED_BESIDE_TWIN: Duration = Duration::from_secs(300);

/// After so many connections in a row that the broker closed without a reason, a second gateway with the same client id is
/// suspected: Mosquitto before 2.0.15 does not say that a session was taken over.
const SUSPICIOUS: u32 = 3;

/// Who ended a connection, or kept it from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The network, or a broker that stops or is overloaded. It passes by itself.
    Network,
    /// The broker closed the connection and did not say why.
    Closed,
    /// The broker refuses something. It lasts until somebody changes a setting.
    Broker,
    /// Another client with the same client id.
    Twin,
    /// This gateway's journal, which accepts nothing.
    Journal,
}

/// One connection, or the attempt to make one.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub cause: Cause,
    /// How long it was subscribed; zero if it never was.
    pub lasted: Duration,
    /// The broker acknowledged an ack or a command on it.
    pub achieved: bool,
}

/// Pauses that grow from a tenth of a second, with jitter, as long as connections neither last nor achieve anything.
pub struct Pauses {
    passing: ExponentialBackoff,
    refused: ExponentialBackoff,
    /// Connections in a row that the broker closed without a reason.
    closed: u32,
}

impl Pauses {
    pub fn new() -> Self {
        Self {
            passing: patience(LONGEST),
            refused: patience(LONGEST_REFUSED),
            closed: 0,
        }
    }

    /// The pause after `attempt`. To be called after [`Pauses::judge`].
    pub fn after(&mut self, attempt: Attempt) -> Duration {
        let Attempt {
            cause,
            lasted,
            achieved,
        } = attempt;
        let works = match cause {
            Cause::Network | Cause::Closed | Cause::Broker => lasted >= LASTED,
            Cause::Twin => lasted >= LASTED_BESIDE_TWIN,
            // `Journal::accepting` waits for as long as it takes.
            Cause::Journal => lasted > Duration::ZERO,
        };
        if works {
            self.begin_anew(0);
        } else if achieved && matches!(cause, Cause::Network | Cause::Closed) {
            // A network that breaks all the time is used all the time, but not several times a second.
            self.begin_anew(3);
        }
        self.next(cause)
    }

    /// The same attempt, with a twin as its cause where one is suspected.
    pub fn judge(&mut self, attempt: Attempt) -> Attempt {
        let Attempt { cause, lasted, .. } = attempt;
        self.closed = match cause {
            Cause::Closed if lasted < LASTED_BESIDE_TWIN => self.closed + 1,
            // A broker that cannot be reached has been away: it had a reason to close the connection.
            _ => 0,
        };
        Attempt {
            cause: match self.closed >= SUSPICIOUS {
                true => Cause::Twin,
                false => cause,
            },
            ..attempt
        }
    }

    fn begin_anew(&mut self, skipped: usize) {
        self.passing = patience(LONGEST);
        self.refused = patience(LONGEST_REFUSED);
        (0..skipped).for_each(|_| _ = self.next(Cause::Network));
    }

    fn next(&mut self, cause: Cause) -> Duration {
        let (passing, refused) = (self.passing.next(), self.refused.next());
        match cause {
            Cause::Network | Cause::Closed | Cause::Journal => passing.unwrap_or(LONGEST),
            Cause::Broker | Cause::Twin => refused.unwrap_or(LONGEST_REFUSED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn attempt(cause: Cause, lasted: Duration, achieved: bool) -> Attempt {
        Attempt {
            cause,
            lasted,
            achieved,
        }
    }

    /// How many connections there are within `period` if each ends like `attempt`.
    fn connections(period: Duration, attempt: Attempt) -> usize {
        let (mut pauses, mut at, mut count) = (Pauses::new(), Duration::ZERO, 0);
        while at < period {
            count += 1;
            let judged = pauses.judge(attempt);
            at += attempt.lasted + pauses.after(judged);
        }
        count
    }

    #[test]
    fn connections_that_neither_last_nor_achieve_anything_become_rare() {
        for cause in [Cause::Network, Cause::Closed, Cause::Broker, Cause::Twin] {
            let failed = attempt(cause, SECOND / 100, false);
            assert!(connections(20 * SECOND, failed) <= 9, "{cause:?}");
            let per_hour = connections(3_600 * SECOND, failed);
            let most = if cause == Cause::Network { 250 } else { 75 };
            assert!((30..=most).contains(&per_hour), "{cause:?}: {per_hour}");
        }
    }

    #[test]
    fn an_ack_counts_on_a_bad_network_and_not_where_the_broker_or_a_twin_ends_each_connection() {
        let achieved = |cause| connections(60 * SECOND, attempt(cause, SECOND / 100, true));
        assert!((30..=80).contains(&achieved(Cause::Network)));
        for cause in [Cause::Closed, Cause::Broker, Cause::Twin] {
            assert!(achieved(cause) <= 11, "{cause:?}");
        }
    }

    #[test]
    fn a_twin_is_suspected_where_the_broker_closes_and_accepts_in_turn() {
        let mut pauses = Pauses::new();
        let mut cause = |ended| pauses.judge(attempt(ended, SECOND, true)).cause;
        // A broker that restarts is away in between.
        for _ in 0..5 {
            assert_eq!(cause(Cause::Closed), Cause::Closed);
            assert_eq!(cause(Cause::Network), Cause::Network);
        }
        let causes = [cause(Cause::Closed), cause(Cause::Closed), cause(Cause::Closed)];
        assert_eq!(causes, [Cause::Closed, Cause::Closed, Cause::Twin]);
        assert_eq!(cause(Cause::Closed), Cause::Twin);
        assert_eq!(
            pauses
                .judge(attempt(Cause::Closed, LASTED_BESIDE_TWIN, true))
                .cause,
            Cause::Closed
        );
    }

    #[test]
    fn after_a_connection_that_lasted_the_next_is_made_at_once() {
        for (cause, lasted) in [
            (Cause::Network, LASTED),
            (Cause::Broker, LASTED),
            (Cause::Twin, LASTED_BESIDE_TWIN),
        ] {
            let mut pauses = Pauses::new();
            for _ in 0..20 {
                pauses.after(attempt(cause, SECOND, false));
            }
            assert!(pauses.after(attempt(cause, lasted - SECOND, false)) >= 15 * SECOND);
            assert!(pauses.after(attempt(cause, lasted, false)) < SECOND / 4);
        }
    }
}
