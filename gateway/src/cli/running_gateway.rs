//! Requests from a subcommand to the gateway running on this machine, the only writer of its files.

use anyhow::{Context, bail};
use comptoir_core::Secret;
use comptoir_identity::{Accounts, Role};
use jiff::SignedDuration;
use serde_json::Value;

use crate::app::accounts_path;
use crate::config::Config;
use crate::platform::address::reachable;

/// Lifetime of the token for one request.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(1);

/// Sends requests to the gateway that runs with this configuration.
pub struct RunningGateway<'a> {
    config: &'a Config,
    client: reqwest::Client,
    /// `ADDRESS:PORT`
    address: String,
}

impl<'a> RunningGateway<'a> {
    /// # Errors
    /// `http.port_file` is configured and cannot be read.
    pub fn of(config: &'a Config) -> anyhow::Result<Self> {
        let mut address = reachable(config.http.listen);
        if let Some(file) = &config.http.port_file {
            let port = std::fs::read_to_string(file).with_context(|| {
                format!("http.port_file: read {}; is the gateway running?", file.display())
            })?;
            let port = port.trim().parse();
            address
                .set_port(port.with_context(|| format!("http.port_file: {} has no port", file.display()))?);
        }
        Ok(Self {
            config,
            client: reqwest::Client::new(),
            address: address.to_string(),
        })
    }

    /// Sends a `POST` and returns the JSON of the response. Plain HTTP: the request does not leave this machine.
    ///
    /// # Errors
    /// The gateway does not answer, or it refuses; a refusal carries its own message.
    pub async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self.client.post(format!("http://{}{path}", self.address));
        if let Some(body) = body {
            request = request.json(body);
        }
        let token = match self.config.http.open {
            true => None,
            false => Some(OneRequestToken::new(self.config).await?),
        };
        if let Some(token) = &token {
            request = request.bearer_auth(token.secret.reveal());
        }
        let response = request.send().await;
        if let Some(token) = token {
            token.remove().await;
        }
        let response = response
            .with_context(|| format!("the gateway does not answer at {}; is it running?", self.address))?;
        let is_success = response.status().is_success();
        let body: Value = response.json().await.unwrap_or_default();
        if !is_success {
            bail!("{}", body["detail"].as_str().unwrap_or("the gateway refused"));
        }
        Ok(body)
    }
}

/// A token for one request. The command may write the accounts file, so it needs no password.
struct OneRequestToken {
    accounts: Accounts,
    id: String,
    secret: Secret,
}

impl OneRequestToken {
    async fn new(config: &Config) -> anyhow::Result<Self> {
        let accounts = Accounts::new(&accounts_path(config), &config.store);
        let (id, secret) = accounts
            .add_token("gateway command line", Role::Administrator, Some(TOKEN_LIFE))
            .await?;
        Ok(Self { accounts, id, secret })
    }

    async fn remove(self) {
        // If it cannot be removed, it expires.
        let _ = self.accounts.end(&self.id).await;
        self.accounts.close().await;
    }
}
