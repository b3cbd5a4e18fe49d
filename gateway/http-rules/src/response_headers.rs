//! The headers that protect every response.

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
    use axum::Router;
    use axum::body::Body;
    use axum::middleware;
    use axum::response::IntoResponse as _;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_response_of_the_api_is_typed_unframed_and_not_cached_and_a_page_keeps_its_own_policy() {
        let own =
            || async { ([(header::CONTENT_SECURITY_POLICY, "default-src 'self'")], "page").into_response() };
        let router = Router::new()
            .route("/api/orders", get(|| async { "[]" }))
            .route("/", get(own))
            .layer(middleware::from_fn(add));
        for (path, policy, is_private) in [
            ("/api/orders", POLICY.to_str().unwrap(), true),
            ("/", "default-src 'self'", false),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let headers = response.headers();
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], policy);
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(headers.contains_key(header::CACHE_CONTROL), is_private, "{path}");
        }
    }
}
