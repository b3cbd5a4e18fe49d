//! Checks that the MQTT broker granted the gateway's subscriptions.

use comptoir_mqtt::{ReasonCode, ReasonText, SubAck};

use super::advice::on_refused_subscription;

/// The QoS that the gateway requests. Only at this QoS does the broker keep an event until the gateway has acknowledged
/// it.
const QOS_1: ReasonCode = ReasonCode(1);
const QOS_0: ReasonCode = ReasonCode(0);

/// Why the gateway cannot work with the subscriptions that the MQTT broker granted.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("the MQTT broker does not let the gateway subscribe to {topics}: {reason}")]
    Refused { topics: String, reason: String },
    #[error(
        "the MQTT broker grants {topics} with QoS 0 only; {}",
        on_refused_subscription(QOS_0)
    )]
    Qos0Only { topics: String },
    #[error(
        "the MQTT broker answered {requested} subscriptions with {answered}; report it to the broker's maker"
    )]
    CountMismatch { requested: usize, answered: usize },
}

/// Compares the SUBACK with the requested topics. Returns a warning if only the tills' status is missing, because
/// everything else works without it.
///
/// # Errors
/// An event topic was not granted at QoS 1. A till sends in order and waits for the ack of each event, so it would
/// stop at the first event of that kind.
pub fn check(topics: &[String], suback: &SubAck) -> Result<Option<String>, SubscribeError> {
    if topics.len() != suback.codes.len() {
        return Err(SubscribeError::CountMismatch {
            requested: topics.len(),
            answered: suback.codes.len(),
        });
    }
    let missing: Vec<(&str, ReasonCode)> = topics
        .iter()
        .map(String::as_str)
        .zip(suback.codes.iter().copied())
        .filter(|&(_, code)| code != QOS_1)
        .collect();
    let (status, events): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|(topic, _)| topic.ends_with("/status"));
    let topics_with = |missing: &[(&str, ReasonCode)], code: ReasonCode| {
        let same = missing.iter().filter(|&&(_, other)| other == code);
        let topics: Vec<&str> = same.map(|&(topic, _)| topic).collect();
        topics.join(", ")
    };
    let reason = |code: ReasonCode| {
        let text = ReasonText(suback.reason_text.as_deref());
        format!("{code}; {}{text}", on_refused_subscription(code))
    };
    match (events.first(), status.first()) {
        (Some(&(_, QOS_0)), _) => Err(SubscribeError::Qos0Only {
            topics: topics_with(&events, QOS_0),
        }),
        (Some(&(_, code)), _) => Err(SubscribeError::Refused {
            topics: topics_with(&events, code),
            reason: reason(code),
        }),
        // At QoS 0 a status can be lost, which is no worse than a till that never sends one.
        (None, Some(&(_, QOS_0)) | None) => Ok(None),
        (None, Some(&(_, code))) => Ok(Some(format!(
            "it is unknown which tills are online: the MQTT broker does not let the gateway subscribe to {}: {}",
            topics_with(&status, code),
            reason(code)
        ))),
    }
}
