//! Where the link finds the frames it publishes.

use comptoir_queue::{QueueError, SaleQueue};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

/// Frames of events that are not yet acked, by their numbers.
///
/// The flash queue is one. It goes through all that it holds to find an event; who has memory to spare keeps the
/// frames of the window there as well, and asks the flash only for others.
pub trait Frames {
    /// The flash's.
    type Error;

    /// Copies the frame of an event to the start of `buffer`; its length. `None` if it is not there, or damaged.
    ///
    /// # Errors
    /// The flash.
    #[expect(
        async_fn_in_trait,
        reason = "as in embedded-svc: whoever spawns it knows the type"
    )]
    async fn frame(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, QueueError<Self::Error>>;
}

impl<F: MultiwriteNorFlash, const PAGES: usize> Frames for SaleQueue<F, PAGES> {
    type Error = F::Error;

    async fn frame(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, QueueError<F::Error>> {
        self.get(seq, buffer).await
    }
}
