//! Takes the demonstration's Kafka down and up, so that anyone can watch nothing get lost.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;

use super::problem::operations::{self, problems};
use super::{Problem, ProblemType, Shop, dto};

problems!(ToggleProblems: operations::ACCESS, operations::BODY, &[
    ProblemType::UnsupportedMediaType,
    ProblemType::MalformedJson,
    ProblemType::InvalidField,
    ProblemType::DemoOnly,
    ProblemType::ShuttingDown,
]);

/// Takes the demonstration's Kafka down, or up again.
#[utoipa::path(post, path = "/api/demo/kafka", tag = "gateway", request_body = dto::DemoKafka,
    responses((status = 204, description = "Done."), ToggleProblems))]
pub async fn kafka(
    State(shop): State<Arc<Shop>>,
    body: Result<Json<dto::DemoKafka>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(wanted) = body?;
    let Some(demo) = &shop.demo else {
        return Err(Problem::new(
            ProblemType::DemoOnly,
            "Only the demonstration's Kafka can be switched: start the gateway with `gateway demo`.",
        ));
    };
    demo.send(wanted.up).await.map_err(|_| {
        Problem::new(
            ProblemType::ShuttingDown,
            "The demonstration is shutting down. Start it again with `gateway demo`.",
        )
    })?;
    Ok(StatusCode::NO_CONTENT)
}
