//! The source of the frames that the uplink publishes.

use comptoir_queue::{QueueError, SaleQueue};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

/// Unacked frames by number.
///
/// The flash queue implements this by scanning everything that it holds. A caller with memory to spare caches the
/// frames of the window and asks the flash only for others.
pub trait Frames {
    /// The flash's error.
    type Error;

    /// Copies the frame numbered `seq` to the start of `buffer` and returns its length. `None` if the event is not there,
    /// or damaged.
    ///
    /// # Errors
    /// The flash failed.
    #[expect(
        async_fn_in_trait,
        reason = "as in embedded-svc: a caller that spawns the future knows the type"
    )]
    async fn frame(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, QueueError<Self::Error>>;
}

impl<F: MultiwriteNorFlash, const PAGES: usize> Frames for SaleQueue<F, PAGES> {
    type Error = F::Error;

    async fn frame(&mut self, seq: u32, buffer: &mut [u8]) -> Result<Option<usize>, QueueError<F::Error>> {
        self.get(seq, buffer).await
    }
}
