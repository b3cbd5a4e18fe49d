//! A Socket.IO client of the office, as small as one can be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const DEADLINE: Duration = Duration::from_secs(20);
pub const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a client has received, and whether its connection has ended.
#[derive(Debug, Default, Clone)]
pub struct Received {
    pub messages: Vec<(String, Value)>,
    pub has_ended: bool,
}

/// A joined client that reads everything.
pub struct LiveClient {
    received: Arc<Mutex<Received>>,
    reading: JoinHandle<()>,
}

impl Drop for LiveClient {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Connects and joins. `server`: `http://127.0.0.1:8090`. The error contains the office's reason.
pub async fn join(server: &str, auth: &Value) -> Result<Socket> {
    join_as(server, auth, "").await
}

/// The same, with this cookie.
async fn join_as(server: &str, auth: &Value, cookie: &str) -> Result<Socket> {
    let joining = async {
        let url = format!("{}{PATH}", server.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("cookie", cookie.parse()?);
        let (mut socket, _) = connect_async(request).await?;
        socket.send(Message::text(format!("40{auth}"))).await?;
        loop {
            let message = socket.next().await.context("closed before the client joined")??;
            match message.to_text()? {
                text if text.starts_with("40") => return Ok(socket),
                text if text.starts_with("44") => bail!("{text}"),
                // The first ping comes before the client has joined. Without a pong the connection ends.
                "2" => socket.send(Message::text("3")).await?,
                text => ensure!(text.starts_with('0'), "{text}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, joining)
        .await
        .context("the client could not join")?
}

impl LiveClient {
    pub async fn join(server: &str, auth: &Value) -> Result<Self> {
        Self::join_as(server, auth, "").await
    }

    /// With this cookie.
    pub async fn join_as(server: &str, auth: &Value, cookie: &str) -> Result<Self> {
        let mut socket = join_as(server, auth, cookie).await?;
        let received = Arc::<Mutex<Received>>::default();
        let of_task = Arc::clone(&received);
        let reading = tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                let text = message.to_text().unwrap_or_default();
                // The office has ended the client's connection.
                if text.starts_with("41") {
                    break;
                }
                if text == "2" && socket.send(Message::text("3")).await.is_err() {
                    break;
                }
                let Some(packet) = text.strip_prefix("42") else {
                    continue;
                };
                let (event, data): (String, Value) = serde_json::from_str(packet).unwrap();
                of_task.lock().unwrap().messages.push((event, data));
            }
            of_task.lock().unwrap().has_ended = true;
        });
        Ok(Self { received, reading })
    }

    pub fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }

    /// The messages `reload`.
    pub fn reloads(&self) -> Vec<Value> {
        let received = self.received.lock().unwrap();
        let reloads = received.messages.iter().filter(|(event, _)| event == "reload");
        reloads.map(|(_, data)| data.clone()).collect()
    }

    /// The events, each by its name: how many times it came, and its item.
    pub fn events(&self) -> BTreeMap<String, (usize, Value)> {
        let mut events = BTreeMap::new();
        for (event, data) in &self.received.lock().unwrap().messages {
            if event.starts_with("new_") {
                let name = data["ce_id"].as_str().unwrap_or_default().to_owned();
                let (count, _) = events.entry(name).or_insert((0, data.clone()));
                *count += 1;
            }
        }
        events
    }
}
