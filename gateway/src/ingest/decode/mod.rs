//! Decodes a publish into a [`Submission`] for the journal.
//!
//! Formal mistakes are repaired ([`comptoir_core::sale::repair`]). A publish that cannot be decoded becomes a dead
//! letter: its unchanged bytes and the reason. If its event number is readable, the dead letter is filed under that
//! number; otherwise the till would resend it forever.

mod batch_log;
mod json;
mod numbering;
mod postcard;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::Timestamp;

use comptoir_wire as wire;
use comptoir_wire::topic::{Leaf, Topic};

pub(super) use batch_log::log_batch;
use comptoir_core::event::{COUNTER, DeviceId, Kind, UNKNOWN_DEVICE};
use comptoir_core::sale::{Currency, Event, card, repair};
use comptoir_journal::{Encoding, EntryKind, Numbering, Payload, Submission};
use numbering::{EventNumber, by_content};

/// Decodes publishes, with the defaults of the shop.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// The store for a dead letter whose topic names no device.
    pub store: String,
    /// The currency for an amount without one.
    pub currency: Currency,
}

/// An event with its time, and with its number if the device numbers its events.
struct NumberedEvent<'a> {
    number: Option<EventNumber>,
    timestamp: Timestamp,
    event: Event<'a>,
}

/// Why a payload is not a valid event.
struct DecodeError {
    reason: String,
    /// The number, if it is readable although the event is not.
    number: Option<EventNumber>,
}

impl Decoder {
    /// Never fails: a publish that cannot be decoded becomes a dead letter. `now` is the default for an event without a
    /// time.
    pub fn decode(&self, topic: &[u8], payload: &[u8], now: Timestamp) -> Submission {
        self.decode_counting(topic, payload, now).0
    }

    /// Like [`Decoder::decode`]. Also returns how many card numbers were masked.
    pub fn decode_counting(&self, topic: &[u8], payload: &[u8], now: Timestamp) -> (Submission, usize) {
        let mut cards = 0;
        let mut submission = self.decode_unmasked(topic, payload, now, &mut cards);
        if submission.kind == EntryKind::DeadLetter {
            cards += mask_dead_letter(&mut submission);
        }
        (submission, cards)
    }

    fn decode_unmasked(&self, topic: &[u8], payload: &[u8], now: Timestamp, cards: &mut usize) -> Submission {
        let topic = String::from_utf8_lossy(topic);
        let (device, kind) = match parse_topic(&topic) {
            Ok(parsed) => parsed,
            Err(reason) => return self.dead_letter(None, &topic, payload, now, reason, None),
        };
        let (decoded, encoding) = self.decode_payload(&device, kind, payload, now);
        match decoded {
            Ok(NumberedEvent {
                number,
                timestamp,
                mut event,
            }) => {
                *cards = event.mask_card_numbers();
                Submission {
                    key: event.order_id().into(),
                    payload: Payload::Json(event.to_json(timestamp, &device)),
                    kind: EntryKind::Event(kind),
                    numbering: match number {
                        Some(number) => number.numbering(encoding, &topic, payload),
                        None => by_content(&topic, payload),
                    },
                    encoding: Some(encoding),
                    time: timestamp.as_millisecond(),
                    reason: None,
                    device,
                }
            }
            Err(DecodeError { reason, number }) => {
                let numbering = number.map(|number| number.numbering(encoding, &topic, payload));
                // Bytes without a readable number do not show the device's encoding. Its acks and commands keep their
                // present encoding, and the device waits for no ack of these bytes.
                let encoding = numbering.is_some().then_some(encoding);
                self.dead_letter(Some((device, encoding)), &topic, payload, now, reason, numbering)
            }
        }
    }

    fn decode_payload<'a>(
        &self,
        device: &DeviceId,
        kind: Kind,
        payload: &'a [u8],
        now: Timestamp,
    ) -> (Result<NumberedEvent<'a>, DecodeError>, Encoding) {
        match payload.first() {
            Some(b'{') => (self.decode_json(device, kind, payload, now), Encoding::Json),
            // No version of the wire format begins with a line break or a tab, but some programs put them before their
            // JSON.
            Some(b'\t' | b'\n' | b'\r' | b' ' | 0xef) if repair::trimmed(payload).first() == Some(&b'{') => {
                let json = repair::trimmed(payload);
                (self.decode_json(device, kind, json, now), Encoding::Json)
            }
            Some(version) if *version < 0x20 => {
                let encoding = Encoding::Postcard {
                    version: wire::Version::of(*version).byte(),
                };
                (postcard::decode(kind, payload, now), encoding)
            }
            _ => {
                let error = DecodeError {
                    reason: "neither JSON, which begins with '{', nor a binary frame, which begins with its version"
                        .to_owned(),
                    number: None,
                };
                (Err(error), Encoding::Json)
            }
        }
    }

    fn dead_letter(
        &self,
        sender: Option<(DeviceId, Option<Encoding>)>,
        topic: &str,
        payload: &[u8],
        now: Timestamp,
        reason: String,
        numbering: Option<Numbering>,
    ) -> Submission {
        let (device, encoding) = match sender {
            Some((device, encoding)) => (Some(device), encoding),
            None => (None, None),
        };
        Submission {
            // Both parts are valid names: the configuration has checked the store.
            device: device.unwrap_or_else(|| {
                DeviceId::new(&self.store, UNKNOWN_DEVICE)
                    .unwrap_or_else(|error| unreachable!("the store's name was checked: {error}"))
            }),
            encoding,
            numbering: numbering.unwrap_or_else(|| by_content(topic, payload)),
            kind: EntryKind::DeadLetter,
            time: now.as_millisecond(),
            key: topic.into(),
            payload: Payload::Bytes(payload.into()),
            reason: Some(reason.into()),
        }
    }
}

fn parse_topic(topic: &str) -> Result<(DeviceId, Kind), String> {
    let parsed = Topic::parse(topic).map_err(|error| error.to_string())?;
    let Leaf::Event(kind) = parsed.leaf else {
        return Err("topic: not a topic of events".to_owned());
    };
    let device = DeviceId::new(parsed.store.as_str(), parsed.device.as_str())
        .map_err(|error| format!("topic: {error}"))?;
    // The counter's events are trusted as a person's acts, so no till may use its name.
    if device.device() == COUNTER {
        return Err(format!("topic: the device {COUNTER:?} is the gateway's own"));
    }
    Ok((device, kind.into()))
}

/// Masks card numbers in a dead letter and in its reason, which may quote it. All other bytes are unchanged.
fn mask_dead_letter(submission: &mut Submission) -> usize {
    if let Some(reason) = &mut submission.reason {
        let mut text = Cow::Borrowed(&**reason);
        if card::mask(&mut text) > 0 {
            *reason = text.into_owned().into();
        }
    }
    match card::masked_bytes(&submission.payload) {
        Some((masked, count)) => {
            submission.payload = Payload::Bytes(masked.into());
            count
        }
        None => 0,
    }
}
