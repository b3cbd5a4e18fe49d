//! How much queue space an order can take, at most.
//!
//! A till detects a full queue before an order begins. A half-paid order could neither be stored nor forgotten.

use core::iter::{Chain, RepeatN, repeat_n};

use comptoir_wire::{MAX_ADDRESS, MAX_EMAIL, MAX_FRAME, MAX_ID, MAX_NAME, MAX_PRODUCT};

/// Maximum number of deliveries in progress.
pub const MAX_PARCELS: usize = 8;
/// Maximum number of payment attempts for one order, which bounds the number of its events.
pub const MAX_ATTEMPTS: u8 = 10;

/// Maximum size of a frame without lines, in bytes: the header, texts and numbers.
const SMALL: usize = 900;
const _: () = assert!(2 * MAX_ID + MAX_NAME + MAX_EMAIL + MAX_PRODUCT + MAX_ADDRESS + 100 < SMALL);
/// Frames with lines of one order: the order itself, and its status after the payment or the cancellation.
const LARGE_PER_ORDER: usize = 2;
/// Frames without lines of one order: its payments, then its delivery's three and the completed order.
const SMALL_PER_ORDER: usize = MAX_ATTEMPTS as usize + 4;
/// Frames of a delivery in progress: two of its own, and the completed order.
const SMALL_PER_PARCEL: usize = 3;

/// The sizes returned by [`max_frame_sizes`].
pub type FrameSizes = Chain<RepeatN<usize>, RepeatN<usize>>;

/// Maximum sizes in bytes of all the frames that another order and the given number of deliveries in progress can
/// produce.
pub fn max_frame_sizes(parcels: usize) -> FrameSizes {
    let small = SMALL_PER_ORDER + SMALL_PER_PARCEL * parcels;
    repeat_n(MAX_FRAME, LARGE_PER_ORDER).chain(repeat_n(SMALL, small))
}
