//! The only path of a sale from a till into its queue, and from there to the gateway.
//!
//! A till confirms a sale to the customer because the event survives a power cut. That holds only if every event goes
//! through the same steps in the same order, so each step is a type that the next one consumes:
//!
//! ```text
//! Draft ── encode ──→ EncodedEvent ── push ──→ StoredEvent ── Uplink::release ──→ may be sent
//! number and epoch    the frame                on flash
//! ```
//!
//! 1. [`Draft::new`] takes the number from the queue and `oldest` from the uplink, so that the frame carries the name
//!    under which the queue will accept it.
//! 2. [`Draft::encode`] checks the wire's bounds before anything is written. An event that no gateway would accept
//!    never takes a number.
//! 3. [`EncodedEvent::push`] writes to flash and reads back. Only its success makes a [`StoredEvent`], which has no
//!    other constructor and cannot be cloned.
//! 4. [`Uplink::release`] requires that `StoredEvent`, so nothing is published that a power cut could undo. Otherwise
//!    the gateway would hold an event under a number that the till then gives to another sale.
//!
//! The till takes the event off its own list in the same call: `Till::store_next` passes the event to a closure that
//! performs steps 2 and 3, and removes it only if the closure succeeds. A flash that is not durable when `push` returns
//! (a simulator's file) wraps the `StoredEvent` in a type of its own and releases it after the sync.
//!
//! ```
//! use comptoir_link::{Draft, Settings, Uplink};
//! use comptoir_queue::{RamFlash, SaleQueue, block_on};
//! use comptoir_wire::{Currency, Event, MAX_FRAME, Payment, PaymentMethod, PaymentStatus, topic::Name};
//! # let event = Event::Payment(Payment {
//! #     payment_id: "p-1", order_id: "o-1", currency: Currency::EUR, amount: 250,
//! #     method: PaymentMethod::Cash, status: PaymentStatus::Success,
//! # });
//! # let names = (Name::new("paris-1").unwrap(), Name::new("till-1").unwrap());
//! let flash = RamFlash::<_>::new(vec![0xff; 16 * 4096]);
//! let (mut queue, _) = block_on(SaleQueue::<_, 14>::open(flash, 0..16 * 4096, 7)).unwrap();
//! let mut uplink = Uplink::new(names.0, names.1, &queue, Settings::default());
//!
//! let mut buffer = [0; MAX_FRAME];
//! let draft = Draft::new(&queue, &uplink).expect("the epoch has numbers left");
//! let encoded = draft.encode(&event, 0, &mut buffer).unwrap();
//! let stored = block_on(encoded.push(&mut queue)).unwrap();
//! uplink.release(stored);
//! assert_eq!(uplink.window().unacked(), 1);
//! ```
//!
//! Releasing an event that is not stored does not compile:
//!
//! ```compile_fail,E0308
//! # use comptoir_link::{EncodedEvent, Uplink};
//! fn release_too_early(uplink: &mut Uplink, encoded: EncodedEvent<'_>) {
//!     uplink.release(encoded);
//! }
//! ```
//!
//! Neither does releasing it twice, nor making a `StoredEvent` by hand:
//!
//! ```compile_fail,E0382
//! # use comptoir_link::{StoredEvent, Uplink};
//! fn release_twice(uplink: &mut Uplink, stored: StoredEvent) {
//!     uplink.release(stored);
//!     uplink.release(stored);
//! }
//! ```
//!
//! ```compile_fail,E0451
//! let forged = comptoir_link::StoredEvent { seq: 1 };
//! ```

use comptoir_queue::{QueueError, SaleQueue};
use comptoir_wire::{EncodeError, Event, Header, encode};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

use crate::Uplink;

/// The epoch and the number of an event that is not encoded yet.
#[derive(Debug)]
#[must_use = "nothing is stored until the draft is encoded and pushed"]
pub struct Draft {
    epoch: u32,
    seq: u32,
    oldest: u32,
}

impl Draft {
    /// The next number of `queue`. `None` once the epoch's numbers are used up: the queue has to be formatted, which
    /// draws a new epoch.
    pub fn new<F: MultiwriteNorFlash, const PAGES: usize>(
        queue: &SaleQueue<F, PAGES>,
        uplink: &Uplink,
    ) -> Option<Self> {
        Some(Self {
            epoch: queue.epoch(),
            seq: queue.next_seq()?,
            oldest: uplink.window().oldest(),
        })
    }

    /// The number that the event will have.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// Encodes the event into `buffer`; [`MAX_FRAME`](comptoir_wire::MAX_FRAME) bytes always suffice. `time_ms` is Unix
    /// time in milliseconds, 0 for a till without a clock.
    ///
    /// # Errors
    /// A field is outside the wire's bounds, or the buffer is too small.
    pub fn encode<'b>(
        self,
        event: &Event<'_>,
        time_ms: u64,
        buffer: &'b mut [u8],
    ) -> Result<EncodedEvent<'b>, EncodeError> {
        let header = Header {
            epoch: self.epoch,
            seq: self.seq,
            oldest: self.oldest,
            time_ms,
        };
        let frame = encode(&header, event, buffer)?;
        Ok(EncodedEvent { seq: self.seq, frame })
    }
}

/// A frame that is within the wire's bounds and not stored yet.
#[derive(Debug)]
#[must_use = "the event is not stored until it is pushed"]
pub struct EncodedEvent<'b> {
    seq: u32,
    frame: &'b [u8],
}

impl<'b> EncodedEvent<'b> {
    /// The frame's bytes.
    pub fn frame(&self) -> &'b [u8] {
        self.frame
    }

    /// Writes the event to the queue. The future must be polled to completion.
    ///
    /// # Errors
    /// Same as [`SaleQueue::push`]. The event is then not stored, and its number is still free.
    pub async fn push<F: MultiwriteNorFlash, const PAGES: usize>(
        self,
        queue: &mut SaleQueue<F, PAGES>,
    ) -> Result<StoredEvent, QueueError<F::Error>> {
        queue.push(self.seq, self.frame).await?;
        Ok(StoredEvent { seq: self.seq })
    }
}

/// Proof that an event is on flash. [`Uplink::release`] requires it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the event is not sent until the uplink gets this"]
pub struct StoredEvent {
    seq: u32,
}

impl StoredEvent {
    /// The event's number.
    pub fn seq(&self) -> u32 {
        self.seq
    }
}
