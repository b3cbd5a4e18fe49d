//! One tracing span for each request, so that the lines of one request can be found in the log.
//!
//! The span has the level DEBUG; if that level is off, creating it costs one atomic load. It names the path but not the
//! query string, which may contain what a person typed.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument as _, debug, debug_span};

/// The id of the next request or live connection; it starts at 1 in each process.
pub fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Middleware: runs the request in its span.
pub async fn enter(request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return next.run(request).await;
    }
    let span = debug_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        id = next_id(),
    );
    async move {
        let response = next.run(request).await;
        debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}
