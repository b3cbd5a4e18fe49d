//! Somebody on the shop's network attacks the HTTP port. Tills go on selling, and everybody else is answered.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{
    Gateway, GatewayConfig, Kafka, LedgerLine, Listener, Mosquitto, MqttProbe, PosSim, Scratch, audit,
    fresh_prefix, usage, within,
};
use futures::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::shop::{GATEWAY, LATER, SOON, STORE, Shop};

const UNIT: &str = include_str!("../../../deploy/systemd/comptoir-gateway.service");
/// Half of the head of a request.
const HALF_A_HEAD: &[u8] = b"GET /api/orders HTTP/1.1\r\nHost: sh";
/// The gateway runs with this limit of open files.
const DESCRIPTORS: usize = 1_024;

/// The unit's `MemoryMax`, in bytes.
fn memory_max() -> Result<u64> {
    let limit = UNIT.lines().find_map(|line| line.strip_prefix("MemoryMax="));
    let limit = limit.and_then(|limit| limit.strip_suffix('M'));
    Ok(limit.context("MemoryMax in MiB")?.parse::<u64>()? << 20)
}

fn limit_descriptors(mut config: GatewayConfig) -> GatewayConfig {
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    config.wrapper = ["bash", "-c", &script].map(str::to_owned).to_vec();
    config
}

/// An address of this machine that is not loopback, so that the limits per address apply to it.
fn network_address() -> Result<IpAddr> {
    // Sends nothing; the kernel only chooses the source address.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}

fn address_of(gateway: &Gateway) -> Result<SocketAddr> {
    let url = gateway.http_url()?;
    let address: SocketAddr = url.strip_prefix("http://").context("url")?.parse()?;
    Ok(address)
}

fn tills(mosquitto: &Mosquitto, events: u64, rate: u32) -> Result<PosSim> {
    let (events, rate) = (events.to_string(), rate.to_string());
    let url = mosquitto.url();
    let arguments = [
        "--broker",
        &url,
        "--store",
        STORE,
        "--devices",
        "5",
        "--events",
        &events,
    ];
    PosSim::spawn(arguments.into_iter().chain(["--rate", &rate]))
}

/// Fails unless Kafka contains each sale of the ledger once. There may be other events.
async fn sold_once(shop: &Shop, ledger: &[LedgerLine]) -> Result<()> {
    let sold: HashSet<&str> = ledger.iter().map(|line| line.ce_id.as_str()).collect();
    let mut records = shop.records().await?;
    records.retain(|record| record.ce_id().is_some_and(|name| sold.contains(name)));
    let audit = audit(ledger, &records);
    ensure!(audit.is_clean(), "{audit}");
    Ok(())
}

/// How often a limit was reached, from `/metrics`.
async fn reached(gateway: &Gateway, limit: &str) -> Result<u64> {
    let (_, metrics) = gateway.get("/metrics").await?;
    let name = format!("comptoir_http_limits_total{{limit=\"{limit}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}

/// Opens connections that send half a head, again and again, until the task is aborted. The gateway closes some of them.
async fn send_half_heads(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let sockets = join_all((0..count).map(|_| async move {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(HALF_A_HEAD).await?;
        std::io::Result::Ok(socket)
    }));
    sockets.await.into_iter().flatten().collect()
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

    let mut sim = tills(&shop.mosquitto, 300, 0)?;
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
    large.write_all(&vec![b'x'; 20 << 10]).await?;
    large.write_all(b"\r\n\r\n").await?;
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
    let mut sim = tills(&mosquitto, 300, 0)?;
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

/// Asks for `path` on a connection of its own, and reads nothing of the answer.
async fn ask_and_not_read(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 << 10)?;
    let mut socket = socket.connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_dead_letters_are_listed_as_summaries_and_never_exhaust_the_memory() -> Result<()> {
    const LETTERS: u64 = 60;
    const BYTES: usize = 1_900_000;
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    for number in 0..LETTERS {
        let mut letter = format!("{{\"number\": {number}, ").into_bytes();
        letter.resize(BYTES, b'x');
        probe
            .publish(&format!("pos/{STORE}/till-1/orders"), letter)
            .await?;
    }
    within("all dead letters", LATER, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["dead_letters"] == LETTERS, "{}", status["dead_letters"]);
        Ok(())
    })
    .await?;
    let address = address_of(&gateway)?;
    let pid = gateway.pid()?;
    let (status, list) = gateway.get("/api/dead-letters?limit=500").await?;
    ensure!(
        status == 200 && list.len() < 200_000,
        "{status}, {} bytes",
        list.len()
    );
    let list: Vec<Value> = serde_json::from_str(&list)?;
    ensure!(list.len() as u64 == LETTERS);
    ensure!(list.iter().all(|letter| letter["bytes"] == BYTES), "{}", list[0]);
    let offset = list[0]["offset"].as_u64().context("offset")?;
    let path = format!("/api/dead-letters/{offset}");
    let whole = gateway.get_json(&path).await?;
    let payload = whole["payload"].as_str().context("payload")?;
    ensure!(
        payload.len() == BYTES.div_ceil(3) * 4,
        "{} characters",
        payload.len()
    );
    let beginning = list[0]["payload"].as_str().context("payload")?;
    ensure!(payload.starts_with(beginning.trim_end_matches('=').get(..600).context("512 bytes")?));
    // Clients that ask for all of them at once and do not read.
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(ask_and_not_read(address, &path).await?);
        unread.push(ask_and_not_read(address, "/api/dead-letters?limit=500").await?);
    }
    let mut sim = tills(&mosquitto, 300, 0)?;
    sim.finish(LATER).await?;
    let (exit, listed) = gateway.run(&["dead-letters", "list"], SOON).await?;
    ensure!(
        exit.success() && listed.contains(&format!("{BYTES} bytes")),
        "{listed}"
    );
    let (exit, shown) = gateway
        .run(&["dead-letters", "show", &offset.to_string()], SOON)
        .await?;
    ensure!(
        exit.success() && shown.len() > BYTES,
        "{} characters",
        shown.len()
    );
    let peak = usage(pid)?.peak_rss_bytes;
    ensure!(peak < memory_max()?, "{} MiB were resident", peak >> 20);
    drop(unread);
    Ok(())
}

/// Opens a live connection and reads nothing.
async fn live_and_not_read(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 << 10)?;
    let mut socket = socket.connect(address).await?;
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await?;
    // "40" in a text frame with a mask of zeros: joins the namespace.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']).await?;
    Ok(socket)
}

/// An order of about this many bytes.
fn large_order(id: &str, bytes: usize) -> String {
    let product = "Croissant ".repeat(40);
    let line = json!({"product": product, "quantity": 1, "unit_price": 1.10});
    let lines = vec![line.clone(); bytes / line.to_string().len()];
    json!({"order_id": id, "customer_name": "Anna", "amount": 12.50, "status": "Pending", "lines": lines, "product": "many"})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_orders_and_live_connections_that_do_not_read_never_exhaust_the_memory() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    let topic = format!("pos/{STORE}/till-1/orders");
    // Below and above the size that a snapshot may contain.
    for number in 0..60 {
        probe
            .publish(&topic, large_order(&format!("huge-{number}"), 250_000))
            .await?;
        probe
            .publish(&topic, large_order(&format!("large-{number}"), 60_000))
            .await?;
    }
    within("all orders", LATER, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_orders"] == 120, "{stats}");
        Ok(())
    })
    .await?;
    let address = address_of(&gateway)?;
    let mut unread = Vec::new();
    for _ in 0..100 {
        unread.push(live_and_not_read(address).await?);
        unread.push(ask_and_not_read(address, "/api/orders?limit=500").await?);
    }
    // A page is served meanwhile, and sees what the till sells.
    let mut page = Listener::connect(&gateway.http_url()?, None)?;
    within("initial_data", SOON, async || {
        ensure!(page.events()?.iter().any(|event| event.event == "initial_data"));
        Ok(())
    })
    .await?;
    let mut sim = tills(&mosquitto, 300, 0)?;
    sim.finish(LATER).await?;
    within("the sales of the tills", SOON, async || {
        let sales = page
            .events()?
            .iter()
            .filter(|event| event.event.starts_with("new_"))
            .count();
        ensure!(sales >= 300, "{sales} of 300");
        Ok(())
    })
    .await?;
    let peak = usage(gateway.pid()?)?.peak_rss_bytes;
    ensure!(peak < memory_max()?, "{} MiB were resident", peak >> 20);

    // Those that did not read are disconnected in the end.
    within("the silent readers to be disconnected", LATER, async || {
        let (_, metrics) = gateway.get("/metrics").await?;
        let live = metrics
            .lines()
            .find_map(|line| line.strip_prefix("comptoir_live_connections "));
        ensure!(live == Some("1"), "{live:?}");
        ensure!(reached(&gateway, "write_stall").await? > 0);
        Ok(())
    })
    .await?;
    drop(unread);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_large_orders_is_read_completely_in_pages_of_bounded_size() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    for number in 0..40 {
        let topic = format!("pos/{STORE}/till-1/orders");
        probe
            .publish(&topic, large_order(&format!("o-{number}"), 200_000))
            .await?;
    }
    within("all orders", LATER, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_orders"] == 40, "{stats}");
        Ok(())
    })
    .await?;
    for (filter, restart) in [("", false), ("&status=Pending", false), ("", true)] {
        if restart {
            // From the file only.
            ensure!(gateway.terminate().await?.success());
            gateway.start_again()?;
            gateway.wait_ready().await?;
        }
        let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let (status, page) = gateway
                .get(&format!("/api/orders?limit=500{filter}{cursor}"))
                .await?;
            ensure!(
                status == 200 && page.len() < 3 << 19,
                "{status}, {} bytes",
                page.len()
            );
            let page: Value = serde_json::from_str(&page)?;
            pages += 1;
            for order in page["items"].as_array().context("items")? {
                ids.push(order["order_id"].as_str().context("order_id")?.to_owned());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<String> = (0..40).rev().map(|number| format!("o-{number}")).collect();
        ensure!(ids == expected, "{filter}: {ids:?}");
        ensure!(pages >= 6, "{pages} pages");
    }
    Ok(())
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

/// Posts nested JSON, sends half heads, reads nothing, lists everything, at once and as fast as it can.
#[tokio::test(flavor = "multi_thread")]
async fn all_attacks_at_once_lose_no_sale_and_no_memory() -> Result<()> {
    const SALES: u64 = 1_000;
    let kafka = Kafka::shared().await;
    let shop = Shop::open_with(kafka.brokers(), limit_descriptors).await?;
    let address = address_of(&shop.gateway)?;
    let url = shop.gateway.http_url()?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    for number in 0..20 {
        let mut letter = format!("?{number}").into_bytes();
        letter.resize(1_900_000, b'x');
        probe
            .publish(&format!("pos/{STORE}/mallory/orders"), letter)
            .await?;
        let order = large_order(&format!("mallory-{number}"), 60_000);
        probe
            .publish(&format!("pos/{STORE}/mallory/orders"), order)
            .await?;
    }
    let mut attackers = tokio::task::JoinSet::new();
    attackers.spawn(async move {
        loop {
            drop(send_half_heads(address, 300).await);
        }
    });
    attackers.spawn(async move {
        loop {
            let mut unread = Vec::new();
            for _ in 0..50 {
                unread.extend(live_and_not_read(address).await);
                unread.extend(ask_and_not_read(address, "/api/orders?limit=500").await);
                unread.extend(ask_and_not_read(address, "/api/dead-letters/1").await);
            }
        }
    });
    attackers.spawn(async move {
        let client = Client::new();
        let nested = format!("{{\"lines\":{}", "[".repeat(60_000));
        loop {
            // Refused or cut off: both are fine.
            let _ = client
                .post(format!("{url}/api/orders"))
                .body(nested.clone())
                .send()
                .await;
        }
    });
    let mut sim = tills(&shop.mosquitto, SALES, 100)?;
    sim.finish(LATER).await?;
    ensure!(attackers.try_join_next().is_none(), "an attacker gave up");
    attackers.abort_all();
    let ledger = sim.ledger()?;
    ensure!(ledger.len() as u64 == SALES);
    shop.drained(SALES + 40, LATER).await?;
    sold_once(&shop, &ledger).await?;
    let peak = usage(shop.gateway.pid()?)?.peak_rss_bytes;
    ensure!(peak < memory_max()?, "{} MiB were resident", peak >> 20);
    Ok(())
}
