//! The events that a terminal has confirmed and no gateway has acked yet, on flash.
//!
//! # What it promises
//!
//! * An event is in the queue for good when [`SaleQueue::push`] returns, whole, whatever its size up to
//!   [`MAX_FRAME`](comptoir_wire::MAX_FRAME). A power cut before that leaves it out, whole, or in, whole.
//! * An event leaves by [`SaleQueue::delete_through`] only: call it for the gateway's end-to-end ack.
//! * The epoch and the next number outlive everything but a format, also an empty queue.
//! * Opening always works. Flash that makes no sense is formatted, with a new epoch, and
//!   [`Opened::Formatted`] says so: under a new epoch no number can be given twice.
//! * Whether there is room is known before a sale, for all that may come of it: [`SaleQueue::has_room_for_all`] never
//!   promises too much.
//!
//! # Layout
//!
//! ```text
//! flash   │ notes: sequential-storage map, 2 pages │ events: sequential-storage queue, all other pages │
//! note    epoch u32 · newest number u32                                              (little endian)
//! item    epoch u32 · seq u32 · CRC-32 of the frame u32 · index u8 · count u8 · a part of the frame
//! ```
//!
//! An item has to fit a page, so a frame is cut into parts of [`PART`] bytes at most. It counts when all its
//! parts are there, one after another. Parts that a power cut left without their last are passed over; the
//! next event takes the same number, and its CRC keeps the parts of the two apart.
//!
//! # Bits that turn
//!
//! Up to two turned bits of each item are corrected when it is read, events and notes alike, wherever they are: in the part,
//! in our header, in sequential-storage's checksum of them, in the mark of a deleted item, in erased flash, in the words that
//! mark pages (which take three). Nothing is stored for it: see `ecc.rs`. What is not corrected:
//!
//! * Three bits of one item. The item is passed over, its event is given up, and its number is shown as missing. Nothing
//!   false is read in its place: the frame has a checksum of its own.
//! * Two bits of the same item's length and its checksum (4 bytes): one is corrected, two hide the item, and what is
//!   behind it on its page up to the next header that is found.
//! * Two bits of an item of more than 655 bytes, as earlier builds wrote them: one is corrected.
//! * A power cut in the writing of a header that left two bits unwritten, of which one then turns as if it had been
//!   written: a length for nothing, which hides what is behind it. About one cut in a million leaves that.
//!
//! Corrected bits stay turned on flash until the page is erased: NOR flash cannot be written in place. So the bound is of all
//! the time from a sale to its ack.
//!
//! The newest number is noted after each push, beside the event itself: either is enough to know the next
//! number, so that one damaged word cannot make a number be given twice. sequential-storage writes pages in
//! turn, which levels the wear, and drops items whose CRC is wrong beyond correction. Every write is read back: cells that are
//! worn do not say so.
//!
//! # Rule for callers
//!
//! Futures of the queue must be driven to their end: sequential-storage's may not be cancelled. With flash
//! that blocks, [`block_on`] does that.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod block;
mod ecc;
mod notes;
mod part;
mod queue;
mod ram;
mod read_back;

pub use block::block_on;
pub use part::PART;
pub use queue::{Opened, QueueError, SaleQueue};
pub use ram::{Fault, Memory, RamError, RamFlash, Wear};
