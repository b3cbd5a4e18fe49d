//! The flash queue of a till: the events that the till has confirmed and no gateway has acked yet.
//!
//! # Guarantees
//!
//! * An event of any size up to [`MAX_FRAME`](comptoir_wire::MAX_FRAME) is durable when [`SaleQueue::push`] returns.
//!   After a power cut during the push, the queue contains either the complete event or nothing of it.
//! * Only [`SaleQueue::delete_through`] removes events. Call it for the gateway's end-to-end ack.
//! * The epoch and the next number survive everything except a format, even while the queue is empty.
//! * Opening always succeeds. Flash with unusable contents is formatted under a new epoch, which
//!   [`OpenOutcome::Formatted`] reports. The new epoch rules out that a number is reused.
//! * [`SaleQueue::has_room_for_all`] tells before a sale whether all of its events will fit. It may underestimate the
//!   room, but never overestimates it.
//!
//! # Layout
//!
//! ```text
//! flash   │ notes: sequential-storage map, 2 pages │ events: sequential-storage queue, all other pages │
//! note    epoch u32 · newest number u32                                              (little endian)
//! item    epoch u32 · seq u32 · CRC-32 of the frame u32 · index u8 · count u8 · a part of the frame
//! ```
//!
//! An item has to fit a page, so a frame is divided into parts of at most [`PART`] bytes. An event exists once all of its
//! parts are there, in order. Readers ignore the parts of an event that a power cut left incomplete. The next event takes the
//! same number, and the frame's CRC tells the parts of the two apart.
//!
//! # Bit flips
//!
//! Up to two flipped bits of each item, event or note, are corrected when it is read. They may be in the part, in its
//! header, in sequential-storage's checksum, in the mark of a deleted item, in erased flash, or in the words that mark
//! pages (which tolerate three). This needs no extra space on flash: see `ecc.rs`. The following are not corrected:
//!
//! * Three bits of one item. The item is ignored, its event is given up, and the gateway reports its number as missing.
//!   A wrong event is never read in its place, because the frame has a checksum of its own.
//! * Two bits in the length of one item and its checksum (4 bytes). One is corrected; two hide the item and everything
//!   after it on the page, up to the next header that is found.
//! * Two bits of an item of more than 655 bytes, as earlier builds wrote them. One is corrected.
//! * A power cut during the write of a header that left two bits unwritten, one of which then flips to its intended
//!   value. The result is a length without an item, which hides everything after it. About one power cut in a million
//!   leaves such a header.
//!
//! Corrected bits stay flipped on flash until the page is erased, because NOR flash cannot be rewritten in place. The limit
//! therefore applies to the whole time from a sale to its ack.
//!
//! # Wear and damage
//!
//! The newest number is stored twice: in a note after each push, and with the event itself. Either is enough to
//! determine the next number, so one damaged word cannot cause a number to be reused. sequential-storage writes pages
//! in turn, which levels the wear, and skips items with damage beyond correction. Every write is read back, because
//! worn cells report no error.
//!
//! # Cancellation
//!
//! The queue's futures must be polled to completion, because sequential-storage's futures are not cancel-safe. For
//! flash whose operations block, [`block_on`] does that.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod block;
mod ecc;
mod error;
mod notes;
mod part;
mod queue;
mod ram;
mod read_back;

pub use block::block_on;
pub use error::QueueError;
pub use part::PART;
pub use queue::{OpenOutcome, SaleQueue};
pub use ram::{Memory, PowerCut, RamError, RamFlash, Wear};
