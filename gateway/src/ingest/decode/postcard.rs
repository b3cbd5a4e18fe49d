//! Events in postcard. The till's wire types end here.

use jiff::Timestamp;

use comptoir_core::event::Kind;
use comptoir_core::sale::Event;
use comptoir_wire as wire;

use super::{DecodeError, NumberedEvent};

/// The last instant that RFC 3339 can write, Unix ms: 9999-12-30T22:00:00Z, as [`Timestamp::MAX`].
const MAX_TIME_MS: u64 = 253_402_207_200_000;

/// # Errors
/// The bytes are not a frame of the wire format, are of another kind than the topic, or contain a value that no sale can
/// have.
pub fn decode(kind: Kind, payload: &[u8], now: Timestamp) -> Result<NumberedEvent<'_>, DecodeError> {
    decode_frame(kind, payload, now).map_err(|reason| DecodeError {
        reason,
        number: wire::peek_header(payload).ok().map(Into::into),
    })
}

fn decode_frame(kind: Kind, payload: &[u8], now: Timestamp) -> Result<NumberedEvent<'_>, String> {
    let frame = wire::decode(payload).map_err(|error| error.to_string())?;
    let sent = Kind::from(frame.event.kind());
    if sent != kind {
        let (sent, topic) = (sent.topic(), kind.topic());
        return Err(format!("event: one of {sent} on the topic of {topic}"));
    }
    Ok(NumberedEvent {
        timestamp: timestamp(frame.header.time_ms, now),
        event: Event::from_wire(&frame.event).map_err(|error| error.to_string())?,
        number: Some(frame.header.into()),
    })
}

/// A till without a clock sends 0, and a till's clock can be wrong by millennia: the sale is kept with the gateway's time.
fn timestamp(time_ms: u64, now: Timestamp) -> Timestamp {
    match time_ms {
        1..=MAX_TIME_MS => i64::try_from(time_ms)
            .ok()
            .and_then(|time| Timestamp::from_millisecond(time).ok())
            .unwrap_or(now),
        _ => now,
    }
}
