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

/// Who ended a connection, or kept it from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The network, or a broker that stops or is overloaded. It passes by itself.
    Network,
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
}

impl Pauses {
    pub fn new() -> Self {
        Self {
            passing: patience(LONGEST),
            refused: patience(LONGEST_REFUSED),
        }
    }

    /// The pause after `attempt`.
    pub fn after(&mut self, attempt: Attempt) -> Duration {
        let Attempt {
            cause,
            lasted,
            achieved,
        } = attempt;
        let works = match cause {
            Cause::Network | Cause::Broker => lasted >= LASTED,
            Cause::Twin => lasted >= LASTED_BESIDE_TWIN,
            // `Journal::accepting` waits for as long as it takes.
            Cause::Journal => lasted > Duration::ZERO,
        };
        if works {
            *self = Self::new();
        } else if achieved && cause == Cause::Network {
            // A network that breaks all the time is used all the time, but not several times a second.
            *self = Self::new();
            (0..3).for_each(|_| _ = self.next(cause));
        }
        self.next(cause)
    }

    fn next(&mut self, cause: Cause) -> Duration {
        let (passing, refused) = (self.passing.next(), self.refused.next());
        match cause {
            Cause::Network | Cause::Journal => passing.unwrap_or(LONGEST),
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
            at += attempt.lasted + pauses.after(attempt);
        }
        count
    }

    #[test]
    fn connections_that_neither_last_nor_achieve_anything_become_rare() {
        for cause in [Cause::Network, Cause::Broker, Cause::Twin] {
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
        assert!(achieved(Cause::Broker) <= 11);
        assert!(achieved(Cause::Twin) <= 11);
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
