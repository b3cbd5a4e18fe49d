//! Bounds the memory of responses that are being built or that clients do not read.
//!
//! A response of the API reserves the bytes that it may need before it is built, and keeps them until it is sent. One
//! sender can reserve only a part of the budget. So clients that request but do not read delay only their own address,
//! until they are disconnected (`connections`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::AppState;
use super::budget::{ByteBudget, Reservation};
use super::connections::{ClientAddress, RequestInProgress, Sender};

const MIB: u32 = 1 << 20;
/// Bytes for all API responses: an eighth of the unit's memory limit.
const MAX_BYTES: u32 = 48 * MIB;
/// Bytes for the responses to one sender: at least the largest response.
const MAX_BYTES_PER_SENDER: u32 = 16 * MIB;
/// A list, including its items and its JSON: a page has at most 1 MiB.
const LIST: u32 = 2 * MIB;
/// A response whose size other limits bound: a dead letter of up to 2 MiB, encoded in Base64, or all devices of a shop.
const LARGE: u32 = 8 * MIB;
/// Bytes of a response that the connection gets at a time, so that the rest stays reserved.
const CHUNK: usize = 16 << 10;

/// The byte budget for all responses.
pub fn budget() -> ByteBudget {
    ByteBudget::new(MAX_BYTES, MAX_BYTES_PER_SENDER)
}

/// The bytes to reserve for the response to a request.
fn cost(request: &Request) -> Option<u32> {
    let path = request.uri().path();
    if !path.starts_with("/api/") || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let is_large = path == "/api/gateway" || path.starts_with("/api/dead-letters/");
    Some(if is_large { LARGE } else { LIST })
}

/// Middleware: reserves the bytes of the response.
pub async fn reserve(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let Some(bytes) = cost(&request) else {
        return next.run(request).await;
    };
    let client = request.extensions().get::<ConnectInfo<ClientAddress>>();
    let sender = client.map_or(Sender::Loopback, |client| client.0.sender());
    let reservation = app.answers.reserve(sender, bytes).await;
    let mut response = next.run(request).await;
    response.extensions_mut().insert(reservation);
    response
}

/// A response body. Until it is sent, the request counts as in progress and its bytes stay reserved.
pub struct AnswerBody {
    body: Body,
    /// The unsent rest of the frame taken from `body`.
    rest: Bytes,
    _in_progress: RequestInProgress,
    _reservation: Option<Reservation>,
}

impl AnswerBody {
    pub fn wrap(mut response: Response, in_progress: RequestInProgress) -> Response {
        let reservation = response.extensions_mut().remove();
        response.map(|body| {
            Body::new(Self {
                body,
                rest: Bytes::new(),
                _in_progress: in_progress,
                _reservation: reservation,
            })
        })
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(CHUNK);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_sent_in_chunks_with_its_length_known() {
        let connections = super::super::connections::tests::connections();
        let slot = connections
            .admit(ClientAddress::new([127, 0, 0, 1].into()))
            .unwrap();
        let whole: Vec<u8> = (0..3 * CHUNK + 5).map(|at| at as u8).collect();
        let response = Response::new(Body::from(whole.clone()));
        let in_progress = slot.connection().begin_request();
        let mut body = AnswerBody::wrap(response, in_progress).into_body();
        assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
        let mut sent = Vec::new();
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= CHUNK);
            sent.extend_from_slice(&data);
        }
        assert_eq!(sent, whole);
        assert!(body.is_end_stream());
    }
}
