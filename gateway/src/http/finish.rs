//! Finishes what a request changes, even if its client does not wait for the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::connections::{ClientAddress, Sender};
use super::{Problem, ProblemType};
use crate::platform::metrics::{HttpLimit, Metrics};

/// Most requests that change something at the same time, from the network and from this machine each. Those of clients
/// that have left count, too.
const MAX_CHANGES: usize = 256;
/// Most of these from one address on the network. A page sends one at a time.
const MAX_OF_SENDER: usize = 64;

/// The requests in progress that change something.
pub struct Changes {
    from_network: Arc<Semaphore>,
    from_this_machine: Arc<Semaphore>,
    by_sender: Mutex<HashMap<Sender, usize>>,
    metrics: Arc<Metrics>,
}

/// The place of a request among those of its sender.
struct Place {
    changes: Arc<Changes>,
    sender: Sender,
}

impl Changes {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let semaphore = || Arc::new(Semaphore::new(MAX_CHANGES));
        Arc::new(Self {
            from_network: semaphore(),
            from_this_machine: semaphore(),
            by_sender: Mutex::default(),
            metrics,
        })
    }

    fn by_sender(&self) -> MutexGuard<'_, HashMap<Sender, usize>> {
        // A panic in another thread leaves the numbers valid.
        self.by_sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the sender has as many as it may.
    fn take_place(self: &Arc<Self>, sender: Sender) -> Option<Place> {
        let mut by_sender = self.by_sender();
        let count = by_sender.entry(sender).or_default();
        if sender != Sender::Loopback && *count >= MAX_OF_SENDER {
            return None;
        }
        *count += 1;
        let changes = Arc::clone(self);
        Some(Place { changes, sender })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_sender = self.changes.by_sender();
        if let Some(count) = by_sender.get_mut(&self.sender) {
            *count -= 1;
            if *count == 0 {
                by_sender.remove(&self.sender);
            }
        }
    }
}

/// Middleware: runs the handler of a change to its end. A handler that is dropped when its client disconnects could have
/// stored an event, but neither its entry in the audit log nor the end of its turn at a refund.
pub async fn run(State(changes): State<Arc<Changes>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let client = request.extensions().get::<ConnectInfo<ClientAddress>>();
    let sender = client.map_or(Sender::Loopback, |client| client.0.sender());
    let Some(place) = changes.take_place(sender) else {
        changes.metrics.http_limit(HttpLimit::Requests);
        let detail = format!(
            "This address has {MAX_OF_SENDER} requests in progress that change something. Nothing was stored. Wait for their \
             answers, then send the request again."
        );
        return Problem::new(ProblemType::TooManyRequests, detail).into_response();
    };
    let all = match sender {
        Sender::Loopback => &changes.from_this_machine,
        Sender::V4(_) | Sender::V6(_) => &changes.from_network,
    };
    // Never closed.
    let permit = Arc::clone(all).acquire_owned().await;
    let handler = async move {
        let _held = (permit, place);
        next.run(request).await
    };
    match tokio::spawn(handler.in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Problem::internal("the request was stopped").into_response(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_can_take_a_quarter_of_the_places_and_gives_them_back() {
        let changes = Changes::new(Arc::new(Metrics::new().unwrap()));
        let sender = |last| Sender::V4([192, 168, 1, last].into());
        let places: Vec<_> = (0..300).map_while(|_| changes.take_place(sender(5))).collect();
        assert_eq!(places.len(), MAX_CHANGES / 4);
        assert!(changes.take_place(sender(6)).is_some());
        assert!((0..300).all(|_| changes.take_place(Sender::Loopback).is_some()));
        drop(places);
        assert!(changes.by_sender().is_empty());
    }
}
