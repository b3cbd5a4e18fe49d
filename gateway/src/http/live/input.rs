//! Limits what a client may send by long polling. Engine.IO itself would keep megabytes of it for as long as the client
//! likes.
//!
//! A page sends one packet when it joins, and then only pongs. [`crate::http::connections`] limits the input over
//! WebSockets.

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::outbox::session;
use crate::http::body::{self, Timeouts};
use crate::http::{Problem, ProblemType};

/// Largest body, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// Separates the packets in a body.
const SEPARATOR: u8 = 0x1e;

/// Middleware: receives the body of a polling client, and rejects it if it is too large, too slow, or has binary
/// packets.
pub async fn check(request: Request, next: Next) -> Response {
    if request.method() != Method::POST || session(&request).is_none() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match body::receive(body, MAX_BYTES, Timeouts::default().body).await {
        Err(problem) => problem.into_response(),
        Ok(body) if has_binary(&body) => Problem::new(
            ProblemType::UnreadableBody,
            "The gateway takes no binary packets and no packets with attachments. Send text.",
        )
        .into_response(),
        Ok(body) => next.run(Request::from_parts(head, body.into())).await,
    }
}

/// Whether a body has a binary packet, or a packet that announces some: Socket.IO would buffer the announced packets
/// until all have arrived.
fn has_binary(body: &[u8]) -> bool {
    let mut packets = body.split(|byte| *byte == SEPARATOR);
    packets.any(|packet| {
        [&b"b"[..], b"45", b"46"]
            .iter()
            .any(|kind| packet.starts_with(kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_with_attachments_are_told_from_text() {
        for text in ["40", "40{\"token\":\"b45\"}", "3", "40\u{1e}3", ""] {
            assert!(!has_binary(text.as_bytes()), "{text}");
        }
        for binary in [
            "bAQID",
            "451-[\"x\",{\"_placeholder\":true,\"num\":0}]",
            "3\u{1e}461-7[]",
        ] {
            assert!(has_binary(binary.as_bytes()), "{binary}");
        }
    }
}
