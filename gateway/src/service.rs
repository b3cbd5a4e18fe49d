//! As a service of systemd: says when the gateway is ready, what its state is, and, where the unit has a
//! watchdog, that it still answers.
//!
//! Started in any other way it has no `NOTIFY_SOCKET`, and all of this does nothing.

use std::net::SocketAddr;

use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::warn;

use crate::address::reachable;

/// `systemctl start` returns; `status` is the line that `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the watchdog again and again that the gateway lives, as long as it answers over HTTP: a process that
/// is there and hangs is one that systemd must start anew. Never ends.
pub async fn watchdog(http: SocketAddr) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // Two tries may fail before the limit is reached.
    let mut tick = tokio::time::interval(limit / 3);
    loop {
        tick.tick().await;
        match tokio::time::timeout(limit / 4, answers(http)).await {
            Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
            Ok(Err(problem)) => warn!(%problem, "the gateway does not answer itself"),
            Err(_) => warn!("the gateway does not answer itself in time"),
        }
    }
}

/// `GET /healthz` on the gateway's own port.
async fn answers(http: SocketAddr) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(reachable(http)).await?;
    connection
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut status = [0; 12];
    connection.read_exact(&mut status).await?;
    match &status {
        b"HTTP/1.1 200" => Ok(()),
        _ => Err(std::io::Error::other(
            String::from_utf8_lossy(&status).into_owned(),
        )),
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_answer_counts_and_an_error_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for answer in ["HTTP/1.1 200 OK\r\n\r\nok\n", "HTTP/1.1 503 Full\r\n\r\n"] {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = [0; 64];
                let _ = connection.read(&mut request).await.unwrap();
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        assert!(answers(http).await.is_ok());
        assert!(answers(http).await.is_err());
        server.await.unwrap();
        assert!(answers(http).await.is_err(), "nobody listens any more");
    }
}
