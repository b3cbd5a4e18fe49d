//! The headers that protect every response.

use axum::http::header;

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
