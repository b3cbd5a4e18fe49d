//! Calls a webhook.

use std::time::Duration;

pub use reqwest::Url;
use reqwest::{Client, Response};
use serde_json::Value;

/// Timeout of one call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The client that calls webhooks. Clones share its connections.
#[derive(Debug, Clone)]
pub struct WebhookClient(Client);

impl WebhookClient {
    /// # Errors
    /// The operating system's certificates cannot be read.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            // Only the configured receiver may get the message.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(client))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The webhook cannot be reached, or does not answer with a status of 200 to 299. The error contains no part of the
    /// address, which may be a secret.
    pub async fn post(&self, webhook: &Url, message: &Value) -> Result<(), reqwest::Error> {
        let post = self.0.post(webhook.clone()).json(message).send();
        let result = post.await.and_then(Response::error_for_status);
        result.map(|_| ()).map_err(reqwest::Error::without_url)
    }

    /// Connects without sending a message. Any HTTP response will do, because receivers need to accept `POST` only.
    ///
    /// # Errors
    /// The webhook cannot be reached. The error contains no part of the address.
    pub async fn check(&self, webhook: &Url) -> Result<(), reqwest::Error> {
        let options = self.0.request(reqwest::Method::OPTIONS, webhook.clone()).send();
        options.await.map(|_| ()).map_err(reqwest::Error::without_url)
    }
}
