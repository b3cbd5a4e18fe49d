//! A receiver of webhooks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::eventually::eventually;

/// The path of the address, which stands for a secret: no log may contain it.
const PATH: &str = "/hook";

/// An HTTP server on the loopback interface that keeps the JSON of each `POST`. Ends when it is dropped.
#[derive(Debug)]
pub struct WebhookReceiver {
    url: String,
    received: Arc<Received>,
    server: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Received {
    messages: Mutex<Vec<Value>>,
    /// How many messages are refused before the first is accepted.
    refusals: usize,
    /// Each reply takes a permit.
    replies: Arc<Semaphore>,
}

impl WebhookReceiver {
    /// Starts a receiver that refuses the first messages, so many of them.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(refusals: usize) -> Result<Self> {
        let replies = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self::serve(0, refusals, replies).await
    }

    /// Starts a receiver on this port, which was down before.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start_on(port: u16) -> Result<Self> {
        let replies = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self::serve(port, 0, replies).await
    }

    /// Starts a receiver that replies once for each permit.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start_with_replies(replies: Arc<Semaphore>) -> Result<Self> {
        Self::serve(0, 0, replies).await
    }

    async fn serve(port: u16, refusals: usize, replies: Arc<Semaphore>) -> Result<Self> {
        let received = Arc::new(Received {
            messages: Mutex::default(),
            refusals,
            replies,
        });
        let router = Router::new()
            .route(PATH, post(receive))
            .with_state(Arc::clone(&received));
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        Ok(Self {
            url: Self::url_on(listener.local_addr()?.port()),
            received,
            server: tokio::spawn(axum::serve(listener, router).into_future()),
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of a receiver on this port, whether there is one or not.
    pub fn url_on(port: u16) -> String {
        format!("http://127.0.0.1:{port}{PATH}")
    }

    /// All messages so far, the refused ones too.
    pub fn messages(&self) -> Vec<Value> {
        let messages = self.received.messages.lock();
        messages.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A message by its index, from 0.
    ///
    /// # Panics
    /// It does not arrive in time.
    pub async fn message(&self, index: usize, deadline: Duration) -> Value {
        eventually("the message", deadline, async || {
            let messages = self.messages();
            ensure!(messages.len() > index, "{messages:?}");
            Ok(messages[index].clone())
        })
        .await
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(received): State<Arc<Received>>, Json(message): Json<Value>) -> StatusCode {
    let is_refused = {
        let mut messages = received.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
        messages.len() <= received.refusals
    };
    // Fails only if the semaphore is closed, which nobody does.
    if let Ok(permit) = received.replies.acquire().await {
        permit.forget();
    }
    match is_refused {
        true => StatusCode::INTERNAL_SERVER_ERROR,
        false => StatusCode::OK,
    }
}
