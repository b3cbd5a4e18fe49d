//! When a till sends, resends and forgets its events.
//!
//! Sans I/O: the crate has no clock, no randomness and no connection. The caller passes in the time (milliseconds of any
//! monotonic clock) and random numbers, and does the publishing. So the same code runs on bare metal, on a host with
//! thousands of tills, and in a test with a simulated clock.
//!
//! # Protocol
//!
//! * The gateway accepts a till's events strictly in order of `seq`. It ignores an event that arrives ahead of a gap, so
//!   the till has to send that event again after the gap. Therefore a till always sends a run of consecutive numbers,
//!   and a timeout goes back to the oldest unacked one (go-back-N).
//! * After a timeout or a reconnect the till sends its oldest event alone. Each acked event allows one more in flight
//!   (slow start). So periodic loss in step with the resends cannot stall a till, a lost ack costs one duplicate, and a
//!   gateway that has just come back gets one event from each till instead of a whole window.
//! * An ack `{epoch, seq}` makes all events up to `seq` safe. Nothing else does, in particular no PUBACK from the MQTT
//!   broker.
//! * At most [`Settings::window`] events are in flight.
//! * Under a new epoch the till sends one event and waits for its ack before it sends the others. If the epoch was used
//!   before, the ack reveals it.
//! * Sending goes back to the oldest event after [`Settings::resend`] without progress, or after a reconnect. The timeout
//!   doubles each time, so that ten thousand tills do not overload a gateway that has just come back.
//!
//! [`Uplink`] connects the window, the flash queue and any MQTT client that implements the `embedded-svc` traits.
//! [`Draft`] is how a sale gets into the queue.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backoff;
pub mod draft;
mod frames;
mod uplink;
mod watchdog;
mod window;

pub use backoff::Backoff;
pub use draft::{Draft, EncodedEvent, StoredEvent};
pub use frames::Frames;
pub use uplink::{Identity, InboundMessage, LinkError, OFFLINE, ONLINE, SendOutcome, Uplink};
pub use watchdog::Watchdog;
pub use window::{Settings, Transmission, Window};

/// Milliseconds of a monotonic clock with any origin.
pub type Millis = u64;
