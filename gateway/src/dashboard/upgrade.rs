//! A WebSocket needs an upgrade of HTTP/1.1, which reverse proxies take from a request unless they are told not to.
//!
//! Such a request must fail: answered as if it were whole, the browser is told that the WebSocket is open, hears nothing,
//! and begins again without ever polling.

use axum::extract::Request;
use axum::http::{HeaderName, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Problem, ProblemType};

/// Refuses requests for a WebSocket that cannot become one.
pub async fn check(request: Request, next: Next) -> Response {
    if wants_websocket(&request) && !can_upgrade(&request) {
        let problem = "`transport=websocket` needs HTTP/1.1 with the headers `Upgrade` and `Connection`. Use \
                       `transport=polling`, or make the reverse proxy pass these headers on.";
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
    let says = |name: HeaderName, word: &str| {
        let values = request.headers().get_all(name).into_iter();
        let mut words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|said| said.trim().eq_ignore_ascii_case(word))
    };
    request.version() == Version::HTTP_11
        && says(header::CONNECTION, "upgrade")
        && says(header::UPGRADE, "websocket")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_whole_requests_can_become_websockets() {
        let whole = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        for (version, headers, expected) in [
            (Version::HTTP_11, &whole[..], true),
            (Version::HTTP_10, &whole, false),
            (Version::HTTP_11, &whole[..1], false),
            (Version::HTTP_11, &whole[1..], false),
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
