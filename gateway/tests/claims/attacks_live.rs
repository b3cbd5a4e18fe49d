//! An attacker on the shop's network, without credentials, attacks the live connections of the pages.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Listener, Mosquitto, usage, within};
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::shop::{GATEWAY, LATER, SOON, STORE};

/// Maximum growth of the gateway's memory under attack, in bytes. Without the limits, each attack took more than 400
/// MB.
const MAX_GROWTH: u64 = 80 << 20;
/// Number of simultaneous attackers.
const ATTACKERS: usize = 40;
/// The header of a frame of 1 MiB that begins a text message of several frames, with a mask of zeros. A larger frame is
/// refused for its header, before the limit of a client's input is reached.
const FRAGMENT: &[u8] = &[0x01, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];

async fn gateway() -> Result<(Mosquitto, Gateway, SocketAddr)> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let url = gateway.http_url()?;
    let address = url.strip_prefix("http://").context("url")?.parse()?;
    Ok((mosquitto, gateway, address))
}

/// Opens a long-polling session.
async fn polling_session(gateway: &Gateway) -> Result<String> {
    let (status, body) = gateway.get("/socket.io/?EIO=4&transport=polling").await?;
    ensure!(status == 200, "{status}: {body}");
    let open: serde_json::Value = serde_json::from_str(body.strip_prefix('0').context("an open packet")?)?;
    Ok(open["sid"].as_str().context("sid")?.to_owned())
}

async fn send_head(address: SocketAddr, head: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(head.as_bytes()).await?;
    Ok(socket)
}

/// Asks for a WebSocket, and returns the status of the answer.
async fn websocket(address: SocketAddr, query: &str) -> Result<(u16, TcpStream)> {
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut socket = send_head(address, &head).await?;
    let mut status = [0; 12];
    timeout(SOON, socket.read_exact(&mut status)).await??;
    Ok((std::str::from_utf8(&status[9..])?.parse()?, socket))
}

/// Sends up to that many bytes, until the gateway closes the connection.
async fn send_until_closed(socket: &mut TcpStream, bytes: usize) {
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..bytes / chunk.len() {
        if !matches!(timeout(SOON, socket.write_all(&chunk)).await, Ok(Ok(()))) {
            break;
        }
    }
}

/// The gateway's peak memory in bytes, minus `before`.
fn growth(gateway: &Gateway, before: u64) -> Result<u64> {
    Ok(usage(gateway.pid()?)?.peak_rss_bytes.saturating_sub(before))
}

/// Fails unless a page can connect and receives the state.
async fn page_is_served(gateway: &Gateway) -> Result<()> {
    let mut page = Listener::connect(&gateway.http_url()?, None)?;
    within("initial_data", SOON, async || {
        ensure!(page.events()?.iter().any(|event| event.event == "initial_data"));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn large_packets_of_live_clients_are_refused_before_they_take_memory() -> Result<()> {
    let (_mosquitto, gateway, address) = gateway().await?;
    page_is_served(&gateway).await?;
    let before = usage(gateway.pid()?)?.peak_rss_bytes;

    // Long polling: a large body, and one that announces attachments.
    let posts = (0..ATTACKERS).map(async |_| {
        let session = polling_session(&gateway).await?;
        let head = format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={session} HTTP/1.1\r\nHost: shop\r\nContent-Length: 8388607\r\n\r\n"
        );
        let mut socket = send_head(address, &head).await?;
        send_until_closed(&mut socket, 8_000_000).await;
        anyhow::Ok(socket)
    });
    let mut posted = Vec::new();
    for socket in join_all(posts).await {
        posted.push(socket?);
    }
    let session = polling_session(&gateway).await?;
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={session}");
    let url = format!("{}{path}", gateway.http_url()?);
    let announcing = "459-[\"x\",{\"_placeholder\":true,\"num\":0}]";
    let answer = reqwest::Client::new().post(&url).body(announcing).send().await?;
    ensure!(answer.status().is_client_error(), "{}", answer.status());
    ensure!(
        growth(&gateway, before)? < MAX_GROWTH,
        "{} bytes",
        growth(&gateway, before)?
    );

    // WebSockets: fragments of a message that never ends.
    let attacks = (0..ATTACKERS).map(async |_| {
        let (status, mut socket) = websocket(address, "").await?;
        if status == 101 {
            socket.write_all(FRAGMENT).await?;
            send_until_closed(&mut socket, 60 << 20).await;
        }
        anyhow::Ok(())
    });
    for attack in join_all(attacks).await {
        attack?;
    }
    ensure!(
        growth(&gateway, before)? < MAX_GROWTH,
        "{} bytes",
        growth(&gateway, before)?
    );
    let (_, metrics) = gateway.get("/metrics").await?;
    let refused = metrics
        .lines()
        .find_map(|line| line.strip_prefix("comptoir_http_limits_total{limit=\"live_input\"} "));
    ensure!(refused.is_some_and(|count| count != "0"), "{refused:?}");
    page_is_served(&gateway).await
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_that_are_never_finished_keep_nobody_out() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.wrapper = ["bash", "-c", "ulimit -n 1024; exec \"$0\" \"$@\""]
        .map(str::to_owned)
        .to_vec();
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let url = gateway.http_url()?;
    let address: SocketAddr = url.strip_prefix("http://").context("url")?.parse()?;
    // The port accepts 512 connections, of which live connections may take a quarter.
    let mut silent = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        let Ok(session) = polling_session(&gateway).await else {
            refused += 1;
            continue;
        };
        match websocket(address, &format!("&sid={session}")).await? {
            (101, socket) => silent.push(socket),
            (503, _) => refused += 1,
            (status, _) => anyhow::bail!("{status}"),
        }
    }
    ensure!(
        !silent.is_empty() && refused > 0,
        "{} open, {refused} refused",
        silent.len()
    );
    ensure!(
        silent.len() < 128,
        "{} took all places of live connections",
        silent.len()
    );
    let (status, _) = gateway.get("/healthz").await?;
    ensure!(status == 200, "{status}");
    // No session was upgraded to them, so the gateway closes them.
    let mut closed = 0;
    for socket in &mut silent {
        let mut rest = Vec::new();
        // An error is a reset, which also ends the connection.
        let _ = timeout(LATER, socket.read_to_end(&mut rest)).await?;
        closed += 1;
    }
    ensure!(closed == silent.len());
    within("room for pages", SOON + Duration::from_secs(20), async || {
        page_is_served(&gateway).await
    })
    .await
}
