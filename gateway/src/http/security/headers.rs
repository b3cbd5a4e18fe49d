//! Security headers for every response.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// For responses that are not pages (those have their own policy): the browser loads no resources for them and shows
/// them in no frame.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Middleware: adds the headers that the response does not have yet.
pub async fn add(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Sales and names must not stay in the cache of a shared browser.
    let is_private = path.starts_with("/api/") || path.starts_with("/socket.io");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    if is_private {
        add(header::CACHE_CONTROL, NO_STORE);
    }
    add(header::CONTENT_SECURITY_POLICY, POLICY);
    add(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // For browsers without support for `frame-ancestors`.
    add(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::client::{get, post, send};
    use crate::http::testing::gateway::TestGateway;

    #[tokio::test]
    async fn every_answer_is_typed_unframed_and_that_of_the_api_is_not_cached() {
        let gateway = TestGateway::start().await;
        for (request, is_private) in [
            (get("/api/orders"), true),
            (get("/api/nothing"), true),
            (post("/api/orders", "{"), true),
            (get("/socket.io/?EIO=4&transport=polling"), true),
            (get("/healthz"), false),
            (get("/metrics"), false),
            (get("/"), false),
            (get("/nothing"), false),
        ] {
            let path = request.uri().path().to_owned();
            let headers = send(gateway.router(), request).await.headers;
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(headers[header::X_FRAME_OPTIONS], "SAMEORIGIN", "{path}");
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("frame-ancestors"), "{path}: {policy}");
            let cache = headers.get(header::CACHE_CONTROL);
            assert_eq!(
                cache.is_some_and(|cache| cache == "no-store"),
                is_private,
                "{path}: {cache:?}"
            );
        }
    }
}
