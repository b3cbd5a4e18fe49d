//! Why a Kafka broker is unreachable, taken from librdkafka's log.
//!
//! librdkafka reconnects by itself, and a failed call returns only a timeout. The cause is in librdkafka's log: a name
//! that does not resolve, a refused connection, a failed TLS handshake, a wrong password.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an error counts as current. librdkafka logs a repeated error at most once in 30 s.
const MAX_AGE: Duration = Duration::from_secs(90);

/// The newest connection error of each Kafka broker. Clones share them.
#[derive(Clone, Default)]
pub struct ConnectionErrors(Arc<Mutex<ErrorTable>>);

type ErrorTable = HashMap<BrokerEndpoint, ConnectionError>;

struct ConnectionError {
    at: Instant,
    message: String,
}

impl ConnectionError {
    fn is_current(&self) -> bool {
        self.at.elapsed() < MAX_AGE
    }
}

impl fmt::Debug for ConnectionErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionErrors").field(&self.last()).finish()
    }
}

/// A broker, as named in librdkafka's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct BrokerEndpoint {
    address: String,
    /// The broker's id, if this is its advertised address. `None` for an address from `kafka.brokers`.
    id: Option<i32>,
}

impl ConnectionErrors {
    /// Records a line from librdkafka's log or error callback. Ignores lines that are not about a broker.
    pub fn note(&self, line: &str) {
        let Some((endpoint, failure)) = split(line) else {
            return;
        };
        let message = explain(&endpoint, failure);
        let mut errors = self.lock();
        errors.retain(|_, error| error.is_current());
        // A closed connection is less informative than the error before it.
        if message.is_none() && errors.contains_key(&endpoint) {
            return;
        }
        let message = message.unwrap_or_else(|| format!("{}: {failure}", endpoint.address));
        let at = Instant::now();
        errors.insert(endpoint, ConnectionError { at, message });
    }

    /// Clears the errors of the addresses in `kafka.brokers`, because Kafka has replied.
    pub fn clear_bootstrap(&self) {
        self.lock().retain(|endpoint, _| endpoint.id.is_some());
    }

    /// The newest error.
    pub fn last(&self) -> Option<String> {
        let errors = self.lock();
        let current = errors.values().filter(|error| error.is_current());
        let newest = current.max_by_key(|error| error.at);
        newest.map(|error| error.message.clone())
    }

    /// The newest error of the broker with this id.
    pub fn of_broker(&self, id: i32) -> Option<String> {
        let errors = self.lock();
        let mut of_broker = errors.iter().filter(|(endpoint, _)| endpoint.id == Some(id));
        of_broker.next().map(|(_, error)| error.message.clone())
    }

    fn lock(&self) -> MutexGuard<'_, ErrorTable> {
        // A panic elsewhere leaves the map consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Splits `[thrd:x]: ssl://host:9092/bootstrap: Connect to ... failed: ... (after 1ms in ...)` into endpoint and error.
fn split(line: &str) -> Option<(BrokerEndpoint, &str)> {
    let line = match line.strip_prefix("[thrd:") {
        Some(rest) => rest.split_once("]: ")?.1,
        None => line,
    };
    let (name, failure) = line.split_once(": ")?;
    let name = name.rsplit_once("://").map_or(name, |(_, name)| name);
    let (address, id) = name.rsplit_once('/')?;
    let endpoint = BrokerEndpoint {
        address: address.to_owned(),
        id: id.parse().ok(),
    };
    (endpoint.id.is_some() || id == "bootstrap").then_some((endpoint, failure))
}

/// The error as a sentence for the operator; `None` for a connection that was only closed.
fn explain(endpoint: &BrokerEndpoint, failure: &str) -> Option<String> {
    let (text, state) = match failure.rsplit_once(" (after ") {
        Some((text, state)) => (text, state),
        None => (failure, ""),
    };
    let in_state = |name: &str| state.contains(&format!("in state {name}"));
    let address = match endpoint.id {
        Some(id) => format!(
            "{} (the address that Kafka broker {id} advertises)",
            endpoint.address
        ),
        None => endpoint.address.clone(),
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
    fn each_cause_of_an_unreachable_broker_has_its_sentence() {
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
            let errors = ConnectionErrors::default();
            errors.note(line);
            // The connection is closed once more, which adds no information.
            let (name, _) = line.trim_start_matches("[thrd:").split_once([']', ' ']).unwrap();
            let name = name.trim_end_matches(':');
            errors.note(&format!("{name}: Disconnected (after 1ms in state UP)"));
            assert_eq!(errors.last().as_deref(), Some(sentence));
        }
    }

    #[test]
    fn lines_that_are_not_about_a_broker_are_ignored() {
        let errors = ConnectionErrors::default();
        errors.note("[thrd:app]: 1/1 brokers are down");
        errors.note("1/1 brokers are down");
        errors.note("[thrd:GroupCoordinator]: GroupCoordinator: 127.0.0.1:1: Connect failed");
        assert_eq!(errors.last(), None);
    }

    #[test]
    fn an_error_of_an_advertised_address_stays_while_the_configured_address_replies() {
        let errors = ConnectionErrors::default();
        errors.note("a:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: Connection refused");
        errors.note("b:9092/2: Connect to ipv4#1.2.3.4:9092 failed: Connection refused");
        errors.clear_bootstrap();
        assert!(errors.last().unwrap().contains("broker 2"));
        assert_eq!(errors.of_broker(2), errors.last());
        assert_eq!(errors.of_broker(1), None);
    }
}
