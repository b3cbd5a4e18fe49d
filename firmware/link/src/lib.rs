//! When a terminal sends, resends and forgets its events.
//!
//! Sans I/O: no clock, no randomness and no connection of its own. Whoever drives it passes the time in
//! (milliseconds of any clock that does not go back), passes random numbers in, and does the publishing. So
//! the same code runs on bare metal, on a host with thousands of terminals, and in a test with a clock of its
//! own.
//!
//! # The discipline
//!
//! * The gateway takes a terminal's events strictly in order of `seq`. One that arrives ahead of a gap is not
//!   taken: it has to be sent again, after the gap. So what is sent is always a run of consecutive numbers,
//!   and what is not acked in time is sent again from the oldest on (go-back-N).
//! * After a timeout or a reconnect the oldest event is sent alone. Each acked event lets one more be in flight (slow
//!   start). So loss that is in step with the resends cannot stop a till, an ack that was lost costs one duplicate, and
//!   a gateway that has just come back gets one event of each till rather than a window.
//! * An ack `{epoch, seq}` makes all up to `seq` safe. Nothing else does, not an MQTT broker's PUBACK either.
//! * At most [`Settings::window`] events are sent and not yet acked.
//! * A new epoch sends one event and waits for its ack before the others: names that another used before show then.
//! * Without progress for [`Settings::resend`], or after a reconnect, sending goes back to the oldest. Each time without
//!   progress doubles the wait, so that ten thousand terminals do not keep a gateway busy that has just come
//!   back.
//!
//! [`Uplink`] joins the window, the flash queue and any MQTT client that has the `embedded-svc` traits.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backoff;
mod frames;
mod uplink;
mod watchdog;
mod window;

pub use backoff::Backoff;
pub use frames::Frames;
pub use uplink::{Heard, Identity, LinkError, OFFLINE, ONLINE, Spoke, Uplink};
pub use watchdog::Watchdog;
pub use window::{Send, Settings, Window};

/// Milliseconds of a clock that does not go back, since any moment.
pub type Millis = u64;
