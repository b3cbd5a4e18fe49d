//! Takes the demonstration's Kafka down and up, so that anyone can watch nothing get lost.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;

use super::body::TooMuch;
use super::problem::Refused;
use super::{Problem, Shop, dto};

/// Takes the demonstration's Kafka down, or up again.
#[utoipa::path(post, path = "/api/demo/kafka", tag = "gateway", request_body = dto::DemoKafka,
    responses((status = 204, description = "Done."),
        (status = 404, description = "This is not the demonstration.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON.", body = Problem, content_type = "application/problem+json"),
        TooMuch, Refused))]
pub async fn kafka(
    State(shop): State<Arc<Shop>>,
    body: Result<Json<dto::DemoKafka>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(wanted) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let Some(demo) = &shop.demo else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "this is not the demonstration",
        ));
    };
    demo.send(wanted.up)
        .await
        .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the demonstration is ending"))?;
    Ok(StatusCode::NO_CONTENT)
}
