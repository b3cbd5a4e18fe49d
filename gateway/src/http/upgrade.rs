//! Rejects WebSocket requests that have lost their upgrade headers.
//!
//! A WebSocket needs an HTTP/1.1 upgrade, and reverse proxies remove its headers unless configured to keep them. Such a
//! request must fail: otherwise the browser would consider the WebSocket open, receive nothing, and reconnect without
//! ever falling back to polling.

use axum::extract::Request;
use axum::http::{HeaderName, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Problem, ProblemType};

/// Middleware: rejects WebSocket requests that cannot be upgraded.
pub async fn check(request: Request, next: Next) -> Response {
    if wants_websocket(&request) && !can_upgrade(&request) {
        let problem = "`transport=websocket` needs HTTP/1.1 with the headers `Connection: Upgrade` and `Upgrade: websocket`. \
                       Configure the reverse proxy to forward these headers, or use `transport=polling`.";
        return Problem::new(ProblemType::InvalidParameter, problem).into_response();
    }
    next.run(request).await
}

fn wants_websocket(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.uri().path().starts_with("/socket.io")
        && query.split('&').any(|pair| pair == "transport=websocket")
}

fn can_upgrade(request: &Request) -> bool {
    let lists = |name: HeaderName, word: &str| {
        let values = request.headers().get_all(name).into_iter();
        let mut words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|listed| listed.trim().eq_ignore_ascii_case(word))
    };
    request.version() == Version::HTTP_11
        && lists(header::CONNECTION, "upgrade")
        && lists(header::UPGRADE, "websocket")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_a_request_with_both_upgrade_headers_can_become_a_websocket() {
        let complete = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        for (version, headers, expected) in [
            (Version::HTTP_11, &complete[..], true),
            (Version::HTTP_10, &complete, false),
            (Version::HTTP_11, &complete[..1], false),
            (Version::HTTP_11, &complete[1..], false),
            (
                Version::HTTP_11,
                &[("connection", "close"), ("upgrade", "websocket")],
                false,
            ),
            (Version::HTTP_10, &[("connection", "close")], false),
        ] {
            let mut request = Request::builder()
                .version(version)
                .uri("/socket.io/?EIO=4&transport=websocket");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::empty()).unwrap();
            assert!(wants_websocket(&request));
            assert_eq!(can_upgrade(&request), expected, "{version:?} {headers:?}");
        }
        for uri in [
            "/socket.io/?EIO=4&transport=polling",
            "/orders?transport=websocket",
        ] {
            assert!(!wants_websocket(
                &Request::builder().uri(uri).body(Body::empty()).unwrap()
            ));
        }
    }
}
