//! The time and the room that a request gets.
//!
//! Bodies are small, so each is here before it is looked at. One that is too large is read on for a while and thrown
//! away: whoever is still sending it would not see the answer, for a connection that is closed on unread bytes is reset.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use super::{Problem, ProblemType};

/// Largest request body.
const MAX: usize = 64 << 10;
/// What of a larger body is read on.
const THROWN_AWAY: usize = 16 << 20;
const THROWING: Duration = Duration::from_secs(2);

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From a slow client.
    pub body: Duration,
    pub answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            body: Duration::from_secs(10),
            answer: Duration::from_secs(10),
        }
    }
}

/// Passes a request on with its whole body.
pub async fn whole(State(deadlines): State<Deadlines>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    // Nobody reads a body of these.
    let stores = !matches!(head.method, Method::GET | Method::HEAD);
    let body = match stores {
        false => body,
        true => match read(body, deadlines.body).await {
            Ok(body) => body.into(),
            Err(problem) => return problem.into_response(),
        },
    };
    let answer = next.run(Request::from_parts(head, body));
    match timeout(deadlines.answer, answer).await {
        Ok(answer) => answer,
        Err(_) if stores => Problem::new(
            ProblemType::OutcomeUnknown,
            "The gateway did not answer in time. What was sent may be stored. Send it again with the same id.",
        )
        .into_response(),
        Err(_) => Problem::new(
            ProblemType::AnswerTimeout,
            "The gateway did not answer in time. Ask again in a moment.",
        )
        .into_response(),
    }
}

async fn read(body: Body, deadline: Duration) -> Result<Bytes, Problem> {
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
    match timeout(deadline, reading).await {
        Ok(Ok(())) if !large => return Ok(whole.into()),
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let problem = format!("The request body could not be read: {error}. Send it again.");
            return Err(Problem::new(ProblemType::UnreadableBody, problem));
        }
        Err(_) => {
            let problem = format!("The request body did not arrive within {deadline:?}. Send it again.");
            return Err(Problem::new(ProblemType::BodyTimeout, problem));
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
    let problem = format!("The request body is larger than {MAX} bytes, the most that is accepted.");
    Err(Problem::new(ProblemType::BodyTooLarge, problem))
}
