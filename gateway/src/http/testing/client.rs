//! A test client that calls the router without a network.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// `null` if the body is not JSON.
    pub body: Value,
}

pub async fn send(router: Router, request: Request<Body>) -> Answer {
    let Ok(response) = router.oneshot(request).await.map_err(|never: Infallible| never);
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Answer {
        status,
        headers,
        body,
    }
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).unwrap()
}

pub fn order() -> Request<Body> {
    post("/api/orders", json!({"order_id": "o-1"}).to_string())
}
