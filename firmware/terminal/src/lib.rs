//! The till, sans I/O: the acts of a shop assistant, and the events that they produce.
//!
//! Nothing here waits, sends or stores. An act (check out, pay, cancel, refund, advance a delivery) produces one to
//! three events. [`Till::store_next`] passes the first of them to the caller, under the number that the queue gives it,
//! and removes it once it is stored. Until all are stored the till refuses other acts, so a failing queue stops the
//! till where it is, and no act is half done. [`Till::max_frame_sizes`] lets the caller detect a full queue before an
//! order begins. The network plays no part: a till works through any outage.
//!
//! ```text
//! selling ── check_out: order Pending ──→ paying ── pay: payment FAILED ─────────────────────────→ paying
//!    ▲                                      ├────── pay: payment SUCCESS, order Completed ───────→ selling
//!    │                                      ├────── pay: payment SUCCESS, order Processing,
//!    │                                      │            delivery Pending ───────────────────────→ selling
//!    │                                      └────── cancel: order Cancelled ─────────────────────→ selling
//!    ├─ advance_parcel: delivery In Transit, then delivery Delivered and order Completed
//!    └─ refund: order Cancelled
//! ```
//!
//! Memory is bounded and nothing is allocated: a cart has at most [`MAX_LINES`](comptoir_wire::MAX_LINES) lines, and the
//! types fix the sizes of the catalogue and of the list of deliveries. Money is in whole minor units.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod autopilot;
mod cart;
mod catalogue;
mod ids;
mod money;
mod outbox;
mod receipt;
mod room;
mod sale;
mod till;

pub use autopilot::{Autopilot, Random};
pub use cart::{Cart, CartError, CartLine, Discount};
pub use catalogue::{Catalogue, CatalogueError, Product};
pub use ids::{Ids, OrderNumber};
pub use money::Money;
pub use receipt::Receipt;
pub use room::{FrameSizes, MAX_ATTEMPTS, MAX_PARCELS, max_frame_sizes};
pub use sale::{Change, Customer, DeliverTo, Parcel, Payment, Sale};
pub use till::{Till, TillError};
