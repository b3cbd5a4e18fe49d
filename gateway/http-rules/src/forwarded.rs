//! Recognises requests that a reverse proxy passes on.

use axum::http::{HeaderMap, header};

pub const FORWARDED_FOR: &str = "x-forwarded-for";
pub const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Whether a reverse proxy passes the request on. Any client can send these headers, so they can only take rights away:
/// a request from this machine with such a header does not come from a program on this machine.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR)
        || headers.contains_key(FORWARDED_PROTO)
        || headers.contains_key(header::FORWARDED)
}
