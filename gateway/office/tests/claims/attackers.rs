//! Strangers cannot take what the users of head office need: connections, live pages, guesses.

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::Kafka;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::accounts::{add_user, cookie, sign_in, wait_ready};
use crate::live_client::LiveClient;
use crate::office::{DEADLINE, Office, Site};

/// The office has 384 places for live pages.
const STRANGERS: usize = 400;

async fn office(site: &Site) -> Result<Office> {
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    Ok(office)
}

async fn connect(office: &mut Office) -> Result<TcpStream> {
    let url = office.url("").await?;
    Ok(TcpStream::connect(url.strip_prefix("http://").context("a URL")?).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_sends_no_whole_request_is_closed() -> Result<()> {
    let site = Site::new().await?;
    let mut office = office(&site).await?;
    for beginning in ["", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut connection = connect(&mut office).await?;
        connection.write_all(beginning.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(DEADLINE, connection.read_to_end(&mut answer))
            .await
            .with_context(|| format!("still open after {beginning:?}"))??;
    }
    // One that does is not, and its second request is answered, too.
    let mut connection = connect(&mut office).await?;
    for _ in 0..2 {
        connection
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await?;
        let mut answer = [0; 512];
        let length = connection.read(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // Longer than the time for a head: between two requests there is none.
        tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_take_no_place_of_live_pages() -> Result<()> {
    let site = Site::new().await?;
    let mut office = office(&site).await?;
    add_user(&site, "boss", "administrator", None)?;
    let cookie = cookie(&mut office, "boss").await?;
    // More than there are places.
    let mut strangers = Vec::new();
    for _ in 0..STRANGERS {
        let mut connection = connect(&mut office).await?;
        connection
            .write_all(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                  Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await?;
        strangers.push(connection);
    }
    for stranger in &mut strangers {
        let mut answer = [0; 512];
        let length = stranger.read(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        ensure!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    }
    let server = office.url("").await?;
    let boss = LiveClient::join_as(&server, &json!({}), &cookie).await?;
    ensure!(!boss.received().has_ended);
    for stranger in &mut strangers {
        tokio::time::timeout(DEADLINE, stranger.read_to_end(&mut Vec::new()))
            .await
            .context("a stranger's connection is still open")??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_address_or_parameter_is_a_problem_that_names_it() -> Result<()> {
    let site = Site::new().await?;
    let mut office = office(&site).await?;
    for (path, name, field) in [
        ("/api/shops/%FF/stats", "malformed-path", None),
        ("/api/shops?since=today", "invalid-query", Some("since")),
        (
            "/api/shops/shop-1/stats?until=today",
            "invalid-query",
            Some("until"),
        ),
        ("/api/sales?limit=many", "invalid-query", Some("limit")),
        ("/api/sales.csv?until=today", "invalid-query", Some("until")),
        ("/api/comparison?unknown=1", "invalid-query", Some("unknown")),
        ("/api/commands?after=now", "invalid-query", Some("after")),
        ("/api/audit?limit=-1", "invalid-query", Some("limit")),
    ] {
        let (status, text) = office.get(path).await?;
        let problem: Value = serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))?;
        let kind = format!("urn:comptoir:problem:{name}");
        ensure!(
            status == 400 && problem["type"] == kind && problem["field"].as_str() == field,
            "{path}: {status} {text}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_same_time_are_all_counted() -> Result<()> {
    let site = Site::new().await?;
    let mut office = office(&site).await?;
    add_user(&site, "boss", "administrator", None)?;
    let url = office.url("/api/session").await?;
    let client = reqwest::Client::new();
    let mut checked = 0;
    for _ in 0..3 {
        let guesses = (0..9).map(|_| {
            let body = json!({"name": "boss", "password": "a wrong guess of it"});
            client.post(&url).json(&body).send()
        });
        for answer in join_all(guesses).await {
            checked += usize::from(answer?.status() == 401);
        }
    }
    // The burst, and what the time of the test allows.
    ensure!(
        (5..=13).contains(&checked),
        "{checked} of 27 guesses were checked"
    );
    let answer = sign_in(&mut office, "boss", crate::accounts::PASSWORD).await?;
    ensure!(answer.status() == 429, "{}", answer.status());
    Ok(())
}
