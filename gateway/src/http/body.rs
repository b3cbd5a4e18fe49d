//! Limits the size and the duration of requests.
//!
//! Bodies are small, so each is received completely before a handler sees it. If a body is too large, the rest of it is
//! read and discarded for a while: a connection closed with unread bytes is reset, and the client would not see the
//! response.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use super::{Problem, ProblemType};

/// Bytes of the largest request body.
const MAX_BODY: usize = 64 << 10;
/// Bytes of a larger body that are read and discarded.
const MAX_DISCARDED: usize = 16 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limits for the stages of a request. Tests set shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For receiving the body from a slow client.
    pub body: Duration,
    /// For the response.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            body: Duration::from_secs(10),
            answer: Duration::from_secs(10),
        }
    }
}

/// Middleware: receives the whole body, then waits for the response, each within its timeout.
pub async fn buffer(State(timeouts): State<Timeouts>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    // No handler reads the body of a GET or HEAD.
    let may_store = !matches!(head.method, Method::GET | Method::HEAD);
    let body = match may_store {
        false => body,
        true => match receive(body, MAX_BODY, timeouts.body).await {
            Ok(body) => body.into(),
            Err(problem) => return problem.into_response(),
        },
    };
    let answer = next.run(Request::from_parts(head, body));
    match timeout(timeouts.answer, answer).await {
        Ok(answer) => answer,
        Err(_) if may_store => Problem::new(
            ProblemType::OutcomeUnknown,
            format!(
                "The gateway did not answer within {:?}. The event may be stored. Send it again with the same id.",
                timeouts.answer
            ),
        )
        .into_response(),
        Err(_) => Problem::new(
            ProblemType::AnswerTimeout,
            format!(
                "The gateway did not answer within {:?}. Try again in a moment.",
                timeouts.answer
            ),
        )
        .into_response(),
    }
}

/// Receives a body of at most `max_bytes` within `limit`.
///
/// # Errors
/// The body is larger, takes longer, or cannot be read.
pub async fn receive(body: Body, max_bytes: usize, limit: Duration) -> Result<Bytes, Problem> {
    // `size_hint` uses Content-Length; without that header the lower bound is 0.
    let mut is_too_large = body.size_hint().lower() > max_bytes as u64;
    let mut chunks = body.into_data_stream();
    let mut received = Vec::new();
    let receiving = async {
        while !is_too_large && let Some(chunk) = chunks.try_next().await? {
            received.extend_from_slice(&chunk);
            is_too_large = received.len() > max_bytes;
        }
        Ok::<_, axum::Error>(())
    };
    match timeout(limit, receiving).await {
        Ok(Ok(())) if !is_too_large => return Ok(received.into()),
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let detail = format!("The request body could not be read: {error}. Send the request again.");
            return Err(Problem::new(ProblemType::UnreadableBody, detail));
        }
        Err(_) => {
            let detail = format!("The request body did not arrive within {limit:?}. Send the request again.");
            return Err(Problem::new(ProblemType::BodyTimeout, detail));
        }
    }
    let mut left = MAX_DISCARDED;
    let discarding = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(DISCARD_TIMEOUT, discarding).await;
    let detail =
        format!("The request body is larger than the maximum of {max_bytes} bytes. Send a smaller one.");
    Err(Problem::new(ProblemType::BodyTooLarge, detail))
}
