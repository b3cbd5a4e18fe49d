//! What the MQTT broker granted of a SUBSCRIBE.

use super::packet::SubAck;
use super::reason::{Code, Quoted, subscribe_advice};

/// The only QoS at which the broker keeps an event until the gateway has acknowledged it, and which the gateway asks for.
const AT_LEAST_ONCE: u8 = 1;

/// Why the gateway cannot work with the subscriptions that the MQTT broker granted.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("the MQTT broker does not let the gateway subscribe to {topics}: {reason}")]
    Refused { topics: String, reason: String },
    #[error("the MQTT broker grants {topics} with QoS 0 only; {}", subscribe_advice(0))]
    NoQos { topics: String },
    #[error(
        "the MQTT broker answered {asked} subscriptions with {answered}; report it to the broker's maker"
    )]
    Count { asked: usize, answered: usize },
}

/// Compares the answer with what was asked. Gives a warning where only the tills' status is missing, without which
/// everything else works.
///
/// # Errors
/// An event topic was not granted at QoS 1. A till waits for the ack of each event before it forgets it, so that it would
/// stop at the first event of that kind.
pub fn granted(topics: &[String], ack: &SubAck) -> Result<Option<String>, SubscribeError> {
    if topics.len() != ack.codes.len() {
        return Err(SubscribeError::Count {
            asked: topics.len(),
            answered: ack.codes.len(),
        });
    }
    let missing: Vec<(&str, u8)> = topics
        .iter()
        .map(String::as_str)
        .zip(ack.codes.iter().copied())
        .filter(|&(_, code)| code != AT_LEAST_ONCE)
        .collect();
    let (status, events): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|(topic, _)| topic.ends_with("/status"));
    let name = |missing: &[(&str, u8)], code: u8| {
        let same = missing.iter().filter(|&&(_, other)| other == code);
        let topics: Vec<&str> = same.map(|&(topic, _)| topic).collect();
        topics.join(", ")
    };
    let reason = |code: u8| {
        format!(
            "{}; {}{}",
            Code(code),
            subscribe_advice(code),
            Quoted(ack.reason.as_deref())
        )
    };
    match (events.first(), status.first()) {
        (Some(&(_, 0)), _) => Err(SubscribeError::NoQos {
            topics: name(&events, 0),
        }),
        (Some(&(_, code)), _) => Err(SubscribeError::Refused {
            topics: name(&events, code),
            reason: reason(code),
        }),
        // A status that is lost is as good as one that never came.
        (None, Some(&(_, 0))) | (None, None) => Ok(None),
        (None, Some(&(_, code))) => Ok(Some(format!(
            "it is unknown which tills are online: the MQTT broker does not let the gateway subscribe to {}: {}",
            name(&status, code),
            reason(code)
        ))),
    }
}
