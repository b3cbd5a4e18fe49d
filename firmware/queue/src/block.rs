//! Futures over flash that blocks.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Drives a future to its end. For flash whose operations block: then each poll makes progress.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        core::hint::spin_loop();
    }
}
