//! Decodes JSON events.

use jiff::Timestamp;

use comptoir_core::event::{DeviceId, Kind};
use comptoir_core::sale::draft::{self, Draft, FieldError};
use comptoir_core::sale::{Event, repair};

use super::numbering::NumberFields;
use super::{DecodeError, Decoder, NumberedEvent};

/// Largest JSON document that is parsed, in bytes. A larger one becomes a dead letter.
const MAX_JSON: usize = 256 << 10;

impl Decoder {
    pub(super) fn decode_json(
        &self,
        device: &DeviceId,
        kind: Kind,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<NumberedEvent<'static>, DecodeError> {
        let unnumbered = |reason| DecodeError { reason, number: None };
        if payload.len() > MAX_JSON {
            let reason = format!("{} bytes of JSON, at most {MAX_JSON}", payload.len());
            return Err(unnumbered(reason));
        }
        let number = draft::from_json::<NumberFields>(payload)
            .or_else(|error| {
                let readable = repair::readable(repair::trimmed(payload));
                draft::from_json(readable.as_bytes()).map_err(|_| error)
            })
            .and_then(NumberFields::check)
            .map_err(|error| unnumbered(error.to_string()))?;
        let exact = self.event(device, kind, payload);
        let event = exact.or_else(|error| match repair::repaired(kind, repair::trimmed(payload)) {
            // The reason refers to the device's own bytes, not to the repaired ones.
            Some(repaired) => self.event(device, kind, &repaired).map_err(|_| error),
            None => Err(error),
        });
        let (timestamp, event) = event.map_err(|error| DecodeError {
            reason: error.to_string(),
            number,
        })?;
        Ok(NumberedEvent {
            number,
            timestamp: timestamp.unwrap_or(now),
            event,
        })
    }

    fn event(
        &self,
        device: &DeviceId,
        kind: Kind,
        json: &[u8],
    ) -> Result<(Option<Timestamp>, Event<'static>), FieldError> {
        let draft: Draft = draft::from_json(json)?;
        check_same("store", draft.store.as_deref(), device.store())?;
        check_same("device", draft.device.as_deref(), device.device())?;
        Ok((draft.timestamp, draft.complete(kind, self.currency)?))
    }
}

/// A field that repeats a level of the topic must match it.
fn check_same(field: &str, value: Option<&str>, topic: &str) -> Result<(), FieldError> {
    match value {
        Some(value) if value != topic => Err(FieldError::new(
            field,
            format!("{value:.64?}, but the topic says {topic:?}"),
        )),
        _ => Ok(()),
    }
}
