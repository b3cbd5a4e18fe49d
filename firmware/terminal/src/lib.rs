//! The till, sans I/O: what a shop assistant does at it, and the events that come of it.
//!
//! Nothing here waits, sends or stores. An act (check out, pay, cancel, refund, a delivery's next step) leaves
//! one to three events to be queued: [`Till::event`] gives the first of them under the number that the queue
//! says is next, and [`Till::queued`] takes it off once the queue has it for good. No other act is taken
//! before that, so a queue that fails stops the till where it is, and nothing is half done. A queue that is full is
//! noticed before an order begins, by [`Till::frames_ahead`]. The network plays no part: a till works through any outage.
//!
//! ```text
//! selling ── check_out: order Pending ──→ paying ── pay: payment FAILED ─────────────────────────→ paying
//!    ▲                                      ├────── pay: payment SUCCESS, order Completed ───────→ selling
//!    │                                      ├────── pay: payment SUCCESS, order Processing,
//!    │                                      │            delivery Pending ───────────────────────→ selling
//!    │                                      └────── cancel: order Cancelled ─────────────────────→ selling
//!    ├─ move_parcel: delivery In Transit, then delivery Delivered and order Completed
//!    └─ refund: order Cancelled
//! ```
//!
//! Memory is bounded and nothing is allocated: [`MAX_LINES`](comptoir_wire::MAX_LINES) lines in a cart, the
//! catalogue and the deliveries under way as large as the type says. Money is whole minor units.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod autopilot;
mod cart;
mod catalogue;
mod ids;
mod money;
mod receipt;
mod till;

pub use autopilot::{Autopilot, Random};
pub use cart::{Cart, CartError, CartLine, Discount};
pub use catalogue::{Catalogue, CatalogueError, Product};
pub use ids::{Ids, OrderNumber};
pub use money::Money;
pub use receipt::Receipt;
pub use till::{
    Change, Customer, DeliverTo, FramesAhead, MAX_ATTEMPTS, MAX_PARCELS, Parcel, Payment, Sale, Till,
    TillError, frames_ahead,
};
