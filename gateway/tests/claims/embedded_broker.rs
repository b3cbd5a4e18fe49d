//! The embedded MQTT broker keeps nothing over a restart and may reorder topics. The end-to-end ack compensates for
//! both.

use anyhow::{Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Kafka, PosSim, audit, free_port, fresh_prefix, within};
use comptoir_harness::{MqttProbe, Reader};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::shop::{GATEWAY, LATER, SOON, STORE};

#[tokio::test(flavor = "multi_thread")]
async fn tills_on_the_embedded_broker_lose_nothing_when_it_dies_with_the_gateway() -> Result<()> {
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let url = format!("mqtt://127.0.0.1:{}", free_port()?);
    let mut config = GatewayConfig::new(STORE, &url).kafka(kafka.brokers(), &prefix);
    config.extra = format!("mqtt.embedded = \"{}\"", url.trim_start_matches("mqtt://"));
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let events = 4_000;
    let count = events.to_string();
    let args = [
        "--broker",
        &url,
        "--store",
        STORE,
        "--devices",
        "20",
        "--rate",
        "0",
        "--events",
        &count,
    ];
    let mut sim = PosSim::spawn(args)?;
    let stored = async |gateway: &Gateway| {
        let status = gateway.get_json("/api/gateway").await?;
        Ok::<_, anyhow::Error>(status["journal"]["last_offset"].as_u64().unwrap_or_default())
    };
    within("half of the events", LATER, async || {
        let stored = stored(&gateway).await?;
        ensure!(stored > events / 2, "{stored} stored");
        Ok(())
    })
    .await?;
    gateway.kill9()?;
    gateway.start_again()?;
    sim.finish(LATER).await?;
    gateway.wait_ready().await?;
    within("all of them in Kafka", LATER, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(
            status["journal"]["pending"] == 0 && stored(&gateway).await? == events,
            "{}",
            status["journal"]
        );
        Ok(())
    })
    .await?;
    let topics = ["orders", "payments", "deliveries"].map(|name| format!("{prefix}{name}"));
    let audit = audit(
        &sim.ledger()?,
        &Reader::new(kafka.brokers()).read(&topics, LATER).await?,
    );
    ensure!(audit.is_clean() && audit.records == events as usize, "{audit}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_reaches_an_embedded_broker_that_listens_on_a_single_address() -> Result<()> {
    // All of 127.0.0.0/8 is this machine, but a listener on one of these addresses does not answer on another.
    let listen = format!("127.0.0.2:{}", free_port()?);
    let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
    config.extra = format!("mqtt.embedded = \"{listen}\"");
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    within("the embedded broker to be connected", SOON, async || {
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(status["mqtt"]["state"] == "up", "{}", status["mqtt"]);
        Ok(())
    })
    .await?;
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

/// A gateway with an embedded broker and without Kafka, and the broker's address.
async fn gateway_with_broker() -> Result<(Gateway, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
    config.extra = format!("mqtt.embedded = \"{address}\"");
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    Ok((gateway, address))
}

/// An MQTT 3.1.1 packet with a body of at most 127 bytes.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, body.len() as u8], body].concat()
}

fn connect(client_id: &str) -> Vec<u8> {
    let head = b"\x00\x04MQTT\x04\x02\x00\x3c";
    packet(0x10, &[head, &text(client_id)[..]].concat())
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// Sends the bytes and returns what the broker answers until it closes the connection.
async fn until_closed(address: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut client = TcpStream::connect(address).await?;
    let _ = client.write_all(bytes).await;
    let mut answer = Vec::new();
    // A reset also ends the connection.
    let _ = timeout(SOON, client.read_to_end(&mut answer)).await?;
    Ok(answer)
}

/// Fails unless a till's sale arrives in the journal.
async fn sells(gateway: &Gateway, address: &str, id: &str) -> Result<()> {
    let before = gateway.get_json("/api/stats").await?["total_payments"].clone();
    let mut till = MqttProbe::connect(&format!("mqtt://{address}")).await?;
    let payment =
        json!({"payment_id": id, "order_id": "o", "amount": 1, "method": "Cash", "status": "SUCCESS"});
    till.publish(&format!("pos/{STORE}/till-1/payments"), payment.to_string())
        .await?;
    within("the sale to be stored", SOON, async || {
        let now = gateway.get_json("/api/stats").await?["total_payments"].clone();
        ensure!(now.as_u64() == before.as_u64().map(|before| before + 1), "{now}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_topics_and_client_ids_stop_neither_the_embedded_broker_nor_the_gateway() -> Result<()> {
    let (mut gateway, address) = gateway_with_broker().await?;
    for topic in ["é", "éclair/1", "$SYS/x", "pos/+/x/orders"] {
        let publish = packet(0x32, &[&text(topic)[..], &[0, 7], b"x"].concat());
        until_closed(&address, &[connect("odd"), publish].concat()).await?;
        let subscribe = packet(0x82, &[&[0, 8], &text(topic)[..], &[1]].concat());
        until_closed(&address, &[connect("odd"), subscribe, vec![0xE0, 0]].concat()).await?;
    }
    for client_id in ["a/b", "a/b", "é", "é"] {
        let answer = until_closed(&address, &connect(client_id)).await?;
        ensure!(answer == [0x20, 2, 0, 2], "{client_id}: {answer:?}");
    }
    sells(&gateway, &address, "p-1").await?;
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_sockets_at_the_embedded_broker_keep_no_till_out() -> Result<()> {
    let (gateway, address) = gateway_with_broker().await?;
    let mut idle = Vec::new();
    for _ in 0..1_100 {
        idle.push(TcpStream::connect(&address).await?);
    }
    sells(&gateway, &address, "p-1").await?;
    let (_, metrics) = gateway.get("/metrics").await?;
    ensure!(!metrics.contains("comptoir_mqtt_broker_refused_total{reason=\"waiting\"} 0\n"));
    drop(idle);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_gateways_client_id_at_the_embedded_broker() -> Result<()> {
    let (gateway, address) = gateway_with_broker().await?;
    let since = gateway.get_json("/api/gateway").await?["mqtt"]["since"].clone();
    for _ in 0..3 {
        let answer = until_closed(&address, &connect(&format!("comptoir-{STORE}"))).await?;
        ensure!(answer == [0x20, 2, 0, 2], "{answer:?}");
    }
    sells(&gateway, &address, "p-1").await?;
    let mqtt = gateway.get_json("/api/gateway").await?["mqtt"].clone();
    ensure!(mqtt["state"] == "up" && mqtt["since"] == since, "{mqtt}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_the_embedded_broker_stops_no_other_till() -> Result<()> {
    let (gateway, address) = gateway_with_broker().await?;
    let mut flooder = TcpStream::connect(&address).await?;
    let topic = text(&format!("pos/{STORE}/flooder/orders"));
    let publishes = packet(0x30, &[&topic[..], &[b'x'; 90]].concat()).repeat(1_000);
    let flood = tokio::spawn(async move {
        let mut sent = flooder.write_all(&connect("flooder")).await;
        while sent.is_ok() {
            sent = flooder.write_all(&publishes).await;
        }
    });
    within("the flood to arrive", SOON, async || {
        let (_, metrics) = gateway.get("/metrics").await?;
        ensure!(!metrics.contains("comptoir_dead_letters 0\n"));
        Ok(())
    })
    .await?;
    for sale in 1..=4 {
        sells(&gateway, &address, &format!("p-{sale}")).await?;
    }
    ensure!(!flood.is_finished(), "it is slowed down, and not disconnected");
    flood.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_keep_alive_from_many_addresses_keep_no_till_out() -> Result<()> {
    let (gateway, address) = gateway_with_broker().await?;
    let mut taken = Vec::new();
    let mut is_full = false;
    for number in 0..9 * 128 {
        let socket = TcpSocket::new_v4()?;
        socket.bind(format!("127.0.0.{}:0", 2 + number / 128).parse()?)?;
        let mut client = socket.connect(address.parse()?).await?;
        let mut connect = connect(&format!("client-{number}"));
        connect[10..12].fill(0);
        client.write_all(&connect).await?;
        let mut connack = [0; 4];
        timeout(SOON, client.read_exact(&mut connack)).await??;
        is_full |= connack == [0x20, 2, 0, 3];
        taken.push(client);
    }
    ensure!(is_full, "{} connections", taken.len());
    sells(&gateway, &address, "p-1").await?;
    drop(taken);
    Ok(())
}
