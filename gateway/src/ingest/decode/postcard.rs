//! Decodes postcard events. No other module uses the till's wire types.

use jiff::Timestamp;

use comptoir_core::event::Kind;
use comptoir_core::sale::Event;
use comptoir_wire as wire;

use super::{DecodeError, NumberedEvent};

/// The last instant that RFC 3339 can express, in Unix milliseconds: 9999-12-30T22:00:00Z, as in [`Timestamp::MAX`].
const MAX_TIME_MS: u64 = 253_402_207_200_000;

/// Decodes a frame of the wire format.
///
/// # Errors
/// The bytes are not a frame of the wire format, their kind differs from the topic's, or a value is impossible for a
/// sale.
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

/// A till without a clock sends 0, and a till's clock can be off by millennia. Such a sale gets the gateway's time.
fn timestamp(time_ms: u64, now: Timestamp) -> Timestamp {
    match time_ms {
        1..=MAX_TIME_MS => i64::try_from(time_ms)
            .ok()
            .and_then(|time| Timestamp::from_millisecond(time).ok())
            .unwrap_or(now),
        _ => now,
    }
}
