//! Makes the Kafka of `gateway demo` unreachable and reachable again, to show that no event is lost.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;

use super::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::{AppState, Problem, ProblemType};

problems!(ToggleProblems: operations::ACCESS, operations::BODY, &[
    ProblemType::UnsupportedMediaType,
    ProblemType::MalformedJson,
    ProblemType::InvalidField,
    ProblemType::DemoOnly,
    ProblemType::ShuttingDown,
]);

/// Makes Kafka unreachable or reachable again, in `gateway demo` only.
#[utoipa::path(post, path = "/api/demo/kafka", security(("token" = ["administrator"])), tag = "gateway", request_body = dto::DemoKafka,
    responses((status = 204, description = "Kafka is in the requested state."), ToggleProblems))]
pub async fn kafka(
    State(app): State<Arc<AppState>>,
    body: Result<Json<dto::DemoKafka>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(requested) = body?;
    let Some(demo) = &app.demo else {
        return Err(Problem::new(
            ProblemType::DemoOnly,
            "Only `gateway demo` can take its Kafka down, and this gateway is not a demo.",
        ));
    };
    demo.send(requested.up).await.map_err(|_| {
        Problem::new(
            ProblemType::ShuttingDown,
            "The demo is shutting down. Run `gateway demo` to start it again.",
        )
    })?;
    Ok(StatusCode::NO_CONTENT)
}
