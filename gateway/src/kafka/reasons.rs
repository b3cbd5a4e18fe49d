//! Why a Kafka broker is not reached, as librdkafka says in its log.
//!
//! librdkafka tries again by itself and tells whoever called it only that time has passed. What it met on the way stands
//! in its log: a name that cannot be resolved, a refused connection, a failed TLS handshake, a wrong password.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// librdkafka logs an error that repeats itself once in 30 s.
const KEPT: Duration = Duration::from_secs(90);

/// The last failures on the way to each Kafka broker. Clones share them.
#[derive(Clone, Default)]
pub struct Reasons(Arc<Mutex<HashMap<Peer, (Instant, String)>>>);

impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reasons").field(&self.last()).finish()
    }
}

/// A broker, as librdkafka names it in its log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Peer {
    address: String,
    /// Of a broker that has told us this address; `None`: the address is from `kafka.brokers`.
    id: Option<i32>,
}

impl Reasons {
    /// Notes a line of librdkafka's log, or of its error callback, if it is about a broker.
    pub fn note(&self, line: &str) {
        let Some((peer, failure)) = split(line) else {
            return;
        };
        let reason = explain(&peer, failure);
        let mut reasons = self.lock();
        reasons.retain(|_, (at, _)| at.elapsed() < KEPT);
        // A connection that was closed says less than what was wrong with the one before.
        if reason.is_none() && reasons.contains_key(&peer) {
            return;
        }
        let reason = reason.unwrap_or_else(|| format!("{}: {failure}", peer.address));
        reasons.insert(peer, (Instant::now(), reason));
    }

    /// Kafka answers under the addresses of `kafka.brokers`.
    pub fn reached(&self) {
        self.lock().retain(|peer, _| peer.id.is_some());
    }

    /// The newest.
    pub fn last(&self) -> Option<String> {
        let reasons = self.lock();
        let fresh = reasons.values().filter(|(at, _)| at.elapsed() < KEPT);
        fresh.max_by_key(|(at, _)| *at).map(|(_, reason)| reason.clone())
    }

    /// Of the broker with this number.
    pub fn of_broker(&self, id: i32) -> Option<String> {
        let reasons = self.lock();
        let mut of_broker = reasons.iter().filter(|(peer, _)| peer.id == Some(id));
        of_broker.next().map(|(_, (_, reason))| reason.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Peer, (Instant, String)>> {
        // A panic elsewhere leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker and what went wrong, of `[thrd:x]: ssl://host:9092/bootstrap: Connect to ... failed: ... (after 1ms in ...)`.
fn split(line: &str) -> Option<(Peer, &str)> {
    let line = match line.strip_prefix("[thrd:") {
        Some(rest) => rest.split_once("]: ")?.1,
        None => line,
    };
    let (name, failure) = line.split_once(": ")?;
    let name = name.rsplit_once("://").map_or(name, |(_, name)| name);
    let (address, id) = name.rsplit_once('/')?;
    let peer = Peer {
        address: address.to_owned(),
        id: id.parse().ok(),
    };
    (peer.id.is_some() || id == "bootstrap").then_some((peer, failure))
}

/// In a sentence for whoever looks after the gateway; `None` for a connection that was merely lost.
fn explain(peer: &Peer, failure: &str) -> Option<String> {
    let (text, state) = match failure.rsplit_once(" (after ") {
        Some((text, state)) => (text, state),
        None => (failure, ""),
    };
    let in_state = |name: &str| state.contains(&format!("in state {name}"));
    let address = match peer.id {
        Some(id) => format!("{} (the address that Kafka broker {id} advertises)", peer.address),
        None => peer.address.clone(),
    };
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = text.strip_prefix("Failed to resolve ") {
        let why = rest.split_once("': ").map_or(rest, |(_, why)| why);
        return Some(format!("the name in {address} cannot be resolved: {why}"));
    }
    if in_state("SSL_HANDSHAKE") || lower.contains("ssl handshake") || lower.contains("certificate") {
        let why = text.strip_prefix("SSL handshake failed: ").unwrap_or(text);
        return Some(format!("the TLS handshake with {address} failed: {why}"));
    }
    if lower.contains("sasl") && !lower.contains("might require") && !lower.contains("verify that")
        || in_state("AUTH")
    {
        return Some(format!("the login at {address} failed: {text}"));
    }
    if let Some((_, why)) = text
        .split_once(" failed: ")
        .filter(|_| text.starts_with("Connect to"))
    {
        return Some(format!("no connection to {address}: {why}"));
    }
    if lower.contains("setup timed out") {
        return Some(format!("no connection to {address}: {text}"));
    }
    if lower.contains("security.protocol") {
        return Some(format!("{address} closes the connection: {text}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_why_a_broker_is_not_reached_has_its_sentence() {
        for (line, sentence) in [
            (
                "[thrd:kafka.invalid:9092/bootstrap]: kafka.invalid:9092/bootstrap: Failed to resolve 'kafka.invalid:9092': \
                 Name or service not known (after 3ms in state CONNECT)",
                "the name in kafka.invalid:9092 cannot be resolved: Name or service not known",
            ),
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                "no connection to 127.0.0.1:1: Connection refused",
            ),
            (
                "ssl://127.0.0.1:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? \
                 (after 5ms in state SSL_HANDSHAKE)",
                "the TLS handshake with 127.0.0.1:9092 failed: Disconnected: connecting to a PLAINTEXT broker listener?",
            ),
            (
                "sasl_plaintext://127.0.0.1:9092/bootstrap: SASL authentication error: Authentication failed: Invalid \
                 username or password (after 5ms in state AUTH_REQ)",
                "the login at 127.0.0.1:9092 failed: SASL authentication error: Authentication failed: Invalid username or \
                 password",
            ),
            (
                "kafka-internal:9092/3: Failed to resolve 'kafka-internal:9092': Name or service not known (after 3ms in \
                 state CONNECT)",
                "the name in kafka-internal:9092 (the address that Kafka broker 3 advertises) cannot be resolved: Name or \
                 service not known",
            ),
        ] {
            let reasons = Reasons::default();
            reasons.note(line);
            // The connection is lost once more, which says nothing new.
            let (name, _) = line.trim_start_matches("[thrd:").split_once([']', ' ']).unwrap();
            let name = name.trim_end_matches(':');
            reasons.note(&format!("{name}: Disconnected (after 1ms in state UP)"));
            assert_eq!(reasons.last().as_deref(), Some(sentence));
        }
    }

    #[test]
    fn what_is_not_about_a_broker_is_no_reason() {
        let reasons = Reasons::default();
        reasons.note("[thrd:app]: 1/1 brokers are down");
        reasons.note("1/1 brokers are down");
        reasons.note("[thrd:GroupCoordinator]: GroupCoordinator: 127.0.0.1:1: Connect failed");
        assert_eq!(reasons.last(), None);
    }

    #[test]
    fn an_advertised_address_stays_a_reason_while_the_configured_one_answers() {
        let reasons = Reasons::default();
        reasons.note("a:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: Connection refused");
        reasons.note("b:9092/2: Connect to ipv4#1.2.3.4:9092 failed: Connection refused");
        reasons.reached();
        assert!(reasons.last().unwrap().contains("broker 2"));
        assert_eq!(reasons.of_broker(2), reasons.last());
        assert_eq!(reasons.of_broker(1), None);
    }
}
