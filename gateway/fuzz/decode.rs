//! The body of the fuzz target `decode`: any publish is decoded or kept as a dead letter, and a JSON publish that is accepted
//! as an event means the same when the event's JSON is decoded again.

use comptoir_core::sale::Currency;
use comptoir_gateway::ingest::decode::Decoder;
use comptoir_journal::{Encoding, EntryKind, Submission};
use jiff::Timestamp;

/// The topic of an input without a line feed.
const TOPIC: &[u8] = b"pos/paris-1/till-9/payments";
/// Longer inputs are skipped: replacing invalid UTF-8 makes a text up to three times as long, and the decoder accepts at most
/// 256 KiB of JSON.
const MAX_LEN: usize = 64 << 10;

/// Decodes an input: a topic, a line feed, and a payload.
///
/// # Panics
/// If a property of the decoder is violated.
pub fn decode(input: &[u8]) {
    if input.len() > MAX_LEN {
        return;
    }
    let (topic, payload) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (TOPIC, input),
    };
    let decoder = Decoder {
        store: "paris-1".to_owned(),
        currency: Currency::EUR,
    };
    let submission = decoder.decode(topic, payload, Timestamp::UNIX_EPOCH);
    match submission.kind {
        EntryKind::DeadLetter => keeps_the_message(&submission, topic, payload),
        EntryKind::Event(_) if submission.encoding == Some(Encoding::Json) => {
            means_the_same_again(&decoder, &submission, topic);
        }
        // The binary encoding allows ids that JSON does not, such as one with a control character.
        EntryKind::Event(_) => {}
        EntryKind::Audit(_) | EntryKind::Closing => panic!("{topic:?} wrote a record of the gateway"),
    }
}

fn keeps_the_message(letter: &Submission, topic: &[u8], payload: &[u8]) {
    assert_eq!(&*letter.payload, payload, "the payload was changed");
    assert_eq!(
        *letter.key,
        *String::from_utf8_lossy(topic),
        "the topic was changed"
    );
    let reason = letter.reason.as_deref().unwrap_or_default();
    assert!(!reason.is_empty(), "the dead letter has no reason");
}

/// The number of an event is not compared: it is in the entry, not in its JSON.
fn means_the_same_again(decoder: &Decoder, first: &Submission, topic: &[u8]) {
    // The time is in the JSON, so the time of the second arrival must not count.
    let again = decoder.decode(topic, &first.payload, Timestamp::MAX);
    let json = first.payload.json();
    assert_eq!(again.kind, first.kind, "{:?}: {json}", again.reason);
    assert_eq!(again.payload.json(), json);
    assert_eq!((&again.device, &again.key), (&first.device, &first.key), "{json}");
    assert_eq!(again.time, first.time, "{json}");
}
