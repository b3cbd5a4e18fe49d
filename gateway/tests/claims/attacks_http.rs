//! Somebody on the shop's network attacks the HTTP port. Tills go on selling, and everybody else is answered.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Kafka, Mosquitto, Scratch, fresh_prefix, within};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::attackers::{
    DESCRIPTORS, HALF_A_HEAD, address_of, limit_descriptors, reached, send_half_heads, sold_once,
};
use crate::shop::{GATEWAY, LATER, SOON, STORE, Shop, tills};

/// An address of this machine that is not loopback, so that the limits per address apply to it.
fn network_address() -> Result<IpAddr> {
    // Sends nothing; the kernel only chooses the source address.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_idle_sockets_than_descriptors_leave_tills_pages_and_the_watchdog_alone() -> Result<()> {
    let scratch = Scratch::new("systemd")?;
    let systemd = UnixDatagram::bind(scratch.join("notify"))?;
    systemd.set_nonblocking(true)?;
    let kafka = Kafka::shared().await;
    let shop = Shop::open_with(kafka.brokers(), |config| {
        let mut config = limit_descriptors(config);
        let socket = scratch.join("notify").display().to_string();
        config.env = vec![
            ("NOTIFY_SOCKET".to_owned(), socket),
            ("WATCHDOG_USEC".to_owned(), "6000000".to_owned()),
        ];
        config
    })
    .await?;
    let address = address_of(&shop.gateway)?;
    let watchdog_notifications = || {
        let mut buffer = [0; 256];
        let mut count = 0;
        while let Ok(length) = systemd.recv(&mut buffer) {
            count += usize::from(buffer[..length].starts_with(b"WATCHDOG=1"));
        }
        count
    };
    // The first of them open sockets faster than the gateway closes them.
    let idle = send_half_heads(address, 2 * DESCRIPTORS).await;
    ensure!(idle.len() > DESCRIPTORS, "{} were accepted", idle.len());
    let pid = shop.gateway.pid()?;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    ensure!(open < DESCRIPTORS * 3 / 4, "{open} descriptors are open");
    watchdog_notifications();

    let mut sim = tills(&shop.mosquitto, 5, 300, 0)?;
    sim.finish(LATER).await?;
    let (status, _, order) = shop.gateway.post_json("/api/orders", &json!({})).await?;
    ensure!(status == 201, "{order}");
    let mut told = 0;
    within("systemd to be notified", SOON, async || {
        told += watchdog_notifications();
        ensure!(told >= 3, "{told} notifications");
        Ok(())
    })
    .await?;
    ensure!(reached(&shop.gateway, "connections").await? > 0);
    shop.drained(301, LATER).await?;
    sold_once(&shop, &sim.ledger()?).await?;
    drop(idle);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_head_and_a_silent_connection_are_closed_and_a_large_head_is_refused() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let address = address_of(&gateway)?;
    let mut half = TcpStream::connect(address).await?;
    half.write_all(HALF_A_HEAD).await?;
    let silent = TcpStream::connect(address).await?;
    // A byte now and then does not prolong it.
    let mut dripping = TcpStream::connect(address).await?;
    dripping.write_all(b"GET / HTTP/1.1\r\nX: ").await?;
    let (drip_reader, mut drip_writer) = dripping.into_split();
    let drip = tokio::spawn(async move {
        let mut clock = tokio::time::interval(Duration::from_millis(500));
        while drip_writer.write_all(b"x").await.is_ok() {
            clock.tick().await;
        }
    });
    let (half, _half_writer) = half.into_split();
    let (silent, _silent_writer) = silent.into_split();
    for (what, mut socket) in [("half a head", half), ("silence", silent), ("drops", drip_reader)] {
        let mut byte = [0];
        let read = timeout(SOON, socket.read(&mut byte)).await;
        let read = read.with_context(|| format!("{what}: still open after {SOON:?}"))?;
        // A reset connection is closed too.
        ensure!(read.unwrap_or(0) == 0, "{what}: answered");
    }
    drip.abort();
    ensure!(reached(&gateway, "head_timeout").await? >= 3);

    let mut large = TcpStream::connect(address).await?;
    large
        .write_all(b"GET /api/orders HTTP/1.1\r\nHost: shop\r\nX-Large: ")
        .await?;
    // The gateway may answer and close before it has read everything, so only its answer counts.
    let _ = large.write_all(&vec![b'x'; 20 << 10]).await;
    let mut answer = [0; 64];
    let length = timeout(SOON, large.read(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer[..length]);
    ensure!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    Ok(())
}

/// A gateway that listens on the network, and the address under which it is reached there.
async fn on_the_network(mosquitto: &Mosquitto) -> Result<(Gateway, SocketAddr)> {
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.http_listen = "0.0.0.0:0".to_owned();
    config.extra = "http.mdns = \"\"".to_owned();
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let address = SocketAddr::new(network_address()?, address_of(&gateway)?.port());
    Ok((gateway, address))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_can_take_neither_all_connections_nor_all_requests() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let (gateway, address) = on_the_network(&mosquitto).await?;
    let idle = send_half_heads(address, 600).await;
    within("the flood to be limited", SOON, async || {
        ensure!(reached(&gateway, "connections_per_address").await? >= 300);
        Ok(())
    })
    .await?;
    let (_, metrics) = gateway.get("/metrics").await?;
    let open = metrics
        .lines()
        .find_map(|line| line.strip_prefix("comptoir_http_connections "));
    let open: usize = open.context("comptoir_http_connections")?.parse()?;
    ensure!(open < 300, "{open} connections are open");
    drop(idle);

    let client = Client::new();
    let url = format!("http://{address}/api/stats");
    let mut refused = None;
    for _ in 0..2_000 {
        let answer = client.get(&url).send().await?;
        if answer.status() != StatusCode::OK {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.context("2,000 requests were answered at once")?;
    ensure!(
        refused.status() == StatusCode::TOO_MANY_REQUESTS,
        "{}",
        refused.status()
    );
    ensure!(refused.headers()["retry-after"] == "1");
    let problem: Value = refused.json().await?;
    ensure!(
        problem["type"] == "urn:comptoir:problem:too-many-requests",
        "{problem}"
    );
    // Another address is answered meanwhile, and this one again after a moment.
    let (status, _, order) = gateway.post_json("/api/orders", &json!({})).await?;
    ensure!(status == 201, "{order}");
    within("the address to be answered again", SOON, async || {
        let answer = client.get(&url).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_cannot_fill_the_journal_so_tills_are_accepted_while_kafka_is_away() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.max_bytes = Some(1 << 20);
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let (mut stored, mut refused) = (0, 0);
    let product = "x".repeat(500);
    for _ in 0..2_000 {
        let (status, headers, body) = gateway
            .post_json("/api/orders", &json!({"product": product}))
            .await?;
        match status {
            201 => stored += 1,
            503 => {
                ensure!(body["type"] == "urn:comptoir:problem:journal-full", "{body}");
                ensure!(
                    body["stored"] == "no" && headers.contains_key("retry-after"),
                    "{body}"
                );
                refused += 1;
            }
            _ => anyhow::bail!("{status} {body}"),
        }
        if refused == 20 {
            break;
        }
    }
    ensure!(
        refused == 20 && stored > 200,
        "{stored} stored, {refused} refused"
    );
    ensure!(reached(&gateway, "counter_share").await? == 20);
    let status = gateway.get_json("/api/gateway").await?;
    ensure!(status["journal"]["refusing"] == false, "{}", status["journal"]);
    let mut sim = tills(&mosquitto, 5, 300, 0)?;
    sim.finish(LATER).await?;
    ensure!(sim.ledger()?.len() == 300);
    // The share outlives a restart.
    gateway.kill9()?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let (status, _, body) = gateway
        .post_json("/api/orders", &json!({"product": product}))
        .await?;
    ensure!(status == 503, "{status} {body}");
    // Once everything is in Kafka, the counter is accepted again.
    ensure!(gateway.terminate().await?.success());
    let config = gateway.config();
    config.kafka_brokers = Some(Kafka::shared().await.brokers().to_owned());
    config.topic_prefix = fresh_prefix();
    gateway.start_again()?;
    gateway.wait_ready().await?;
    within("the counter to be accepted again", LATER, async || {
        let (status, _, body) = gateway
            .post_json("/api/orders", &json!({"product": product}))
            .await?;
        ensure!(status == 201, "{status} {body}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_reads_nothing_by_dns_rebinding_or_embedding() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let url = gateway.http_url()?;
    let (status, _, order) = gateway
        .post_json("/api/orders", &json!({"customer_email": "a@b.example"}))
        .await?;
    ensure!(status == 201, "{order}");
    let client = Client::new();
    let cross_site = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    for (path, host, headers, expected) in [
        ("/api/orders", "rebound.example", &[][..], 403),
        (
            "/api/orders",
            "rebound.example:8080",
            &[("sec-fetch-site", "same-origin")],
            403,
        ),
        ("/orders", "rebound.example", &[], 403),
        ("/socket.io/?EIO=4&transport=polling", "rebound.example", &[], 403),
        ("/healthz", "rebound.example", &[], 200),
        ("/readyz", "rebound.example", &[], 200),
        ("/metrics", "rebound.example", &[], 200),
        ("/api/orders", "comptoir.local", &[], 200),
        ("/api/orders", "comptoir.local", &cross_site, 403),
        ("/api/orders", "comptoir.local", &link, 403),
        ("/orders", "comptoir.local", &link, 200),
        ("/orders", "comptoir.local", &cross_site, 403),
    ] {
        let mut request = client.get(format!("{url}{path}")).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        ensure!(
            answer.status() == expected,
            "{host} {path} {headers:?}: {}",
            answer.status()
        );
        ensure!(answer.headers()["x-content-type-options"] == "nosniff");
        if path.starts_with("/api/") {
            ensure!(answer.headers()["cache-control"] == "no-store", "{path}");
        }
        if expected == 403 {
            let problem: Value = answer.json().await?;
            ensure!(
                problem["type"] == "urn:comptoir:problem:cross-site-request",
                "{problem}"
            );
            ensure!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|detail| detail.contains("http.hosts"))
            );
        }
    }
    Ok(())
}
