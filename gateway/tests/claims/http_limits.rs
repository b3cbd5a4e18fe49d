//! Clients that send too much, too slowly, or only half a request.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::process::Process;
use comptoir_harness::{Scratch, python};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::shop::{SOON, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_slow_clients_and_idle_connections_delay_nobody_else() -> Result<()> {
    let shop = Shop::open().await?;
    let url = shop.gateway.http_url()?;
    let address = url.strip_prefix("http://").context("url")?;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(address).await?);
    }
    // Announces a body and does not send it.
    let mut slow = TcpStream::connect(address).await?;
    slow.write_all(b"POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\n{")
        .await?;
    // Sends a byte twice a second, until the gateway closes the connection.
    let mut dripping = TcpStream::connect(address).await?;
    dripping
        .write_all(b"POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\n")
        .await?;
    let (mut heard, mut drips) = dripping.into_split();
    let drip = tokio::spawn(async move {
        let mut clock = tokio::time::interval(Duration::from_millis(500));
        while drips.write_all(b" ").await.is_ok() {
            clock.tick().await;
        }
    });
    let mut large = TcpStream::connect(address).await?;
    let body = 10 << 20;
    let head = format!("POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: {body}\r\n\r\n");
    large.write_all(head.as_bytes()).await?;
    large.write_all(&vec![b' '; body]).await?;
    let answer = read_answer(&mut large).await?;
    ensure!(is_problem(&answer, 413), "a large body: {answer}");

    for _ in 0..20 {
        let begun = Instant::now();
        let (status, _, order) = shop.gateway.post_json("/api/orders", &json!({})).await?;
        ensure!(status == 201, "{order}");
        ensure!(
            begun.elapsed() < SOON / 4,
            "another client had to wait {:?}",
            begun.elapsed()
        );
    }
    let answer = read_answer(&mut slow).await?;
    ensure!(is_problem(&answer, 408), "a slow client: {answer}");
    let answer = read_answer(&mut heard).await?;
    ensure!(
        is_problem(&answer, 408),
        "a client that sends a byte at a time: {answer}"
    );
    drip.abort();
    let stats = shop.gateway.get_json("/api/stats").await?;
    ensure!(
        stats["total_orders"] == 20,
        "an event of a refused request was stored: {stats}"
    );
    Ok(())
}

/// Reads the answer, or the first part of it.
async fn read_answer(socket: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut buffer = vec![0; 4_096];
    let read = tokio::time::timeout(SOON, socket.read(&mut buffer)).await?;
    // A reset connection counts as an empty answer.
    Ok(String::from_utf8_lossy(&buffer[..read.unwrap_or(0)]).into_owned())
}

fn is_problem(answer: &str, status: u16) -> bool {
    answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains("application/problem+json")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_large_a_body_receives_413() -> Result<()> {
    let shop = Shop::open().await?;
    let scratch = Scratch::new("large")?;
    // Once with Content-Length, and once with chunked transfer encoding, which does not announce a length.
    let script = "import requests, sys\n\
        ten = 10 << 20\n\
        pieces = (b' ' * 65536 for _ in range(ten >> 16))\n\
        for body in (b' ' * ten, pieces):\n    \
            print(requests.post(sys.argv[1], data=body, timeout=20).status_code, flush=True)\n";
    let mut command = python("python")?;
    command.args(["-c", script, &format!("{}/api/orders", shop.gateway.http_url()?)]);
    let mut process = Process::spawn("python-requests", command, &scratch.join("log"))?;
    let status = process.wait(SOON).await?;
    let said = process.log();
    ensure!(status.success() && said.lines().eq(["413", "413"]), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_requests_do_not_delay_the_shutdown() -> Result<()> {
    let mut shop = Shop::open().await?;
    let url = shop.gateway.http_url()?;
    let address = url.strip_prefix("http://").context("url")?;
    let mut halves = Vec::new();
    for half in [
        "POST /api/orders HTTP/1.1\r\nHost: sh",
        "POST /api/orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(half.as_bytes()).await?;
        halves.push(socket);
    }
    // Once this request is answered, the gateway has read the incomplete ones.
    shop.gateway.post_json("/api/orders", &json!({})).await?;
    let begun = Instant::now();
    let status = shop.gateway.terminate().await?;
    ensure!(status.success(), "{status}: {}", shop.gateway.log());
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    ensure!(
        !shop.gateway.log().contains("did not end in time"),
        "{}",
        shop.gateway.log()
    );
    Ok(())
}
