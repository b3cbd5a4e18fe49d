//! The time and the room that a request gets.
//!
//! Bodies are small, so each is here before it is looked at. One that is too large is read on for a while and thrown
//! away: whoever is still sending it would not see the answer, for a connection that is closed on unread bytes is reset.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;
use utoipa::IntoResponses;

use super::Problem;

/// Largest request body.
const MAX: usize = 64 << 10;
/// A client that takes longer for its request is let go, and so is a request that nobody can answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What of a larger body is read on.
const THROWN_AWAY: usize = 16 << 20;
const THROWING: Duration = Duration::from_secs(2);

/// A body that is not taken in.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "for the API's description")]
pub enum TooMuch {
    /// It did not come in time.
    #[response(status = 408, content_type = "application/problem+json")]
    Late(#[to_schema] Problem),
    /// It is larger than 64 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    Large(#[to_schema] Problem),
}

/// Passes a request on with its whole body.
pub async fn whole(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = match head.method {
        // Nobody reads it.
        Method::GET | Method::HEAD => body,
        _ => match read(body).await {
            Ok(body) => body.into(),
            Err(problem) => return problem.into_response(),
        },
    };
    let answer = next.run(Request::from_parts(head, body));
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            Problem::unavailable("no answer in time; what was sent may have been stored").into_response()
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    // Said, or not known yet.
    let mut large = body.size_hint().lower() > MAX as u64;
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    let reading = async {
        while !large && let Some(chunk) = chunks.try_next().await? {
            whole.extend_from_slice(&chunk);
            large = whole.len() > MAX;
        }
        Ok::<_, axum::Error>(())
    };
    match timeout(PATIENCE, reading).await {
        Ok(Ok(())) if !large => return Ok(whole.into()),
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Problem::new(StatusCode::BAD_REQUEST, error)),
        Err(_) => {
            let problem = format!("the body did not come within {} s", PATIENCE.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, problem));
        }
    }
    let mut left = THROWN_AWAY;
    let throwing = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(THROWING, throwing).await;
    let problem = format!("the body is larger than {MAX} bytes");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, problem))
}
