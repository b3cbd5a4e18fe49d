//! Backoff between connections to the MQTT broker.

use std::time::Duration;

use backon::ExponentialBackoff;

use crate::platform::peer::backoff;

/// Longest pause while the broker or the network is down, before jitter.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause if somebody must change a setting first, before jitter.
const MAX_PAUSE_REFUSED: Duration = Duration::from_secs(60);
/// A connection that lasts this long counts as a success.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// The same if there is a twin. It is longer than the twin's pauses: otherwise the two gateways would start over with
/// short pauses each time one of them has waited its longest.
pub const STABLE_BESIDE_TWIN_AFTER: Duration = Duration::from_secs(300);

/// A twin (a second gateway with the same client id) is suspected after this many consecutive connections that the
/// broker closed without a reason: Mosquitto before 2.0.15 does not report that a session was taken over.
const SUSPICIOUS_CLOSES: u32 = 3;

/// Why a connection ended, or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The network failed, or the broker is stopping or overloaded. It recovers without intervention.
    Network,
    /// The broker closed the connection without a reason.
    Closed,
    /// The broker refuses until a setting is changed.
    Broker,
    /// Another client has the same client id.
    Twin,
    /// This gateway's journal refuses events.
    Journal,
}

/// One connection, or one attempt to connect.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub cause: Cause,
    /// How long it was subscribed; zero if it was not.
    pub lasted: Duration,
    /// Whether the broker acknowledged an ack or a command during it.
    pub has_delivered: bool,
}

/// Pauses that grow from 0.1 s, with jitter, until a connection lasts or delivers an ack.
pub struct Backoff {
    transient: ExponentialBackoff,
    refused: ExponentialBackoff,
    /// Consecutive connections that the broker closed without a reason.
    closes: u32,
}

impl Backoff {
    pub fn new() -> Self {
        Self {
            transient: backoff(MAX_PAUSE),
            refused: backoff(MAX_PAUSE_REFUSED),
            closes: 0,
        }
    }

    /// The pause after `attempt`, which [`Backoff::classify`] returned.
    pub fn pause_after(&mut self, attempt: Attempt) -> Duration {
        let Attempt {
            cause,
            lasted,
            has_delivered,
        } = attempt;
        let is_success = match cause {
            Cause::Network | Cause::Closed | Cause::Broker => lasted >= STABLE_AFTER,
            Cause::Twin => lasted >= STABLE_BESIDE_TWIN_AFTER,
            // `Journal::accepting` already waits as long as necessary.
            Cause::Journal => lasted > Duration::ZERO,
        };
        if is_success {
            self.restart(0);
        } else if has_delivered && matches!(cause, Cause::Network | Cause::Closed) {
            // An unreliable network is still used, but not several times per second.
            self.restart(3);
        }
        self.next(cause)
    }

    /// Returns the attempt, with [`Cause::Twin`] if a twin is suspected.
    pub fn classify(&mut self, attempt: Attempt) -> Attempt {
        let Attempt { cause, lasted, .. } = attempt;
        self.closes = match cause {
            Cause::Closed if lasted < STABLE_BESIDE_TWIN_AFTER => self.closes + 1,
            // An unreachable broker was down, which explains the closed connections.
            _ => 0,
        };
        Attempt {
            cause: match self.closes >= SUSPICIOUS_CLOSES {
                true => Cause::Twin,
                false => cause,
            },
            ..attempt
        }
    }

    fn restart(&mut self, skipped: usize) {
        self.transient = backoff(MAX_PAUSE);
        self.refused = backoff(MAX_PAUSE_REFUSED);
        (0..skipped).for_each(|_| _ = self.next(Cause::Network));
    }

    fn next(&mut self, cause: Cause) -> Duration {
        let (transient, refused) = (self.transient.next(), self.refused.next());
        match cause {
            Cause::Network | Cause::Closed | Cause::Journal => transient.unwrap_or(MAX_PAUSE),
            Cause::Broker | Cause::Twin => refused.unwrap_or(MAX_PAUSE_REFUSED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn attempt(cause: Cause, lasted: Duration, has_delivered: bool) -> Attempt {
        Attempt {
            cause,
            lasted,
            has_delivered,
        }
    }

    /// Number of connections within `period` if each ends like `attempt`.
    fn connections(period: Duration, attempt: Attempt) -> usize {
        let (mut backoff, mut at, mut count) = (Backoff::new(), Duration::ZERO, 0);
        while at < period {
            count += 1;
            let classified = backoff.classify(attempt);
            at += attempt.lasted + backoff.pause_after(classified);
        }
        count
    }

    #[test]
    fn connections_that_neither_last_nor_deliver_an_ack_become_rare() {
        for cause in [Cause::Network, Cause::Closed, Cause::Broker, Cause::Twin] {
            let failed = attempt(cause, SECOND / 100, false);
            assert!(connections(20 * SECOND, failed) <= 9, "{cause:?}");
            let per_hour = connections(3_600 * SECOND, failed);
            let most = if cause == Cause::Network { 250 } else { 75 };
            assert!((30..=most).contains(&per_hour), "{cause:?}: {per_hour}");
        }
    }

    #[test]
    fn a_delivered_ack_shortens_pauses_on_a_bad_network_but_not_where_the_broker_or_a_twin_ends_connections()
    {
        let connections_with_acks = |cause| connections(60 * SECOND, attempt(cause, SECOND / 100, true));
        assert!((30..=80).contains(&connections_with_acks(Cause::Network)));
        for cause in [Cause::Closed, Cause::Broker, Cause::Twin] {
            assert!(connections_with_acks(cause) <= 11, "{cause:?}");
        }
    }

    #[test]
    fn a_twin_is_suspected_when_the_broker_keeps_closing_and_accepting_connections() {
        let mut backoff = Backoff::new();
        let mut cause = |ended| backoff.classify(attempt(ended, SECOND, true)).cause;
        // A broker that restarts is unreachable in between.
        for _ in 0..5 {
            assert_eq!(cause(Cause::Closed), Cause::Closed);
            assert_eq!(cause(Cause::Network), Cause::Network);
        }
        let causes = [cause(Cause::Closed), cause(Cause::Closed), cause(Cause::Closed)];
        assert_eq!(causes, [Cause::Closed, Cause::Closed, Cause::Twin]);
        assert_eq!(cause(Cause::Closed), Cause::Twin);
        assert_eq!(
            backoff
                .classify(attempt(Cause::Closed, STABLE_BESIDE_TWIN_AFTER, true))
                .cause,
            Cause::Closed
        );
    }

    #[test]
    fn after_a_stable_connection_the_next_one_is_made_at_once() {
        for (cause, lasted) in [
            (Cause::Network, STABLE_AFTER),
            (Cause::Broker, STABLE_AFTER),
            (Cause::Twin, STABLE_BESIDE_TWIN_AFTER),
        ] {
            let mut backoff = Backoff::new();
            for _ in 0..20 {
                backoff.pause_after(attempt(cause, SECOND, false));
            }
            assert!(backoff.pause_after(attempt(cause, lasted - SECOND, false)) >= 15 * SECOND);
            assert!(backoff.pause_after(attempt(cause, lasted, false)) < SECOND / 4);
        }
    }
}
