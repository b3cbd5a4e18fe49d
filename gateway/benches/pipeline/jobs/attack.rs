//! Everybody who attacks a shop at once: on its network without credentials, with the token of a wall screen, with the MQTT
//! password of a till, and with another shop's Kafka credentials.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::join_all;
use rand::RngExt as _;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use reqwest::Client;
use rumqttc::v5::mqttbytes::v5::Packet;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ResourceSample;
use crate::sales::{self, STORE};
use crate::till::Connection;

/// Unfinished requests that are open at the same time.
const HALF_HEADS: usize = 300;
/// Clients that do not read, at the same time.
const UNREAD: usize = 50;
/// How long an attacker holds what it has opened.
const HOLD: Duration = Duration::from_millis(500);
/// Size of a dead letter, just below what the gateway accepts.
const LETTER_BYTES: usize = 1_900_000;
/// Dead letters of [`LETTER_BYTES`].
const LARGE_LETTERS_PER_S: f64 = 1.0;
/// Messages that cannot be decoded.
const NOISE_PER_S: f64 = 1_000.0;
/// New epochs of one till: as many as in the attack that this limit was made for.
const EPOCHS_PER_S: f64 = 5_000.0;
/// Forged records in each of two topics.
const FORGED_PER_S: f64 = 10.0;

/// `40`, which joins the namespace, in a WebSocket text frame with a mask of zeros.
const JOIN: [u8; 8] = [0x81, 0x82, 0, 0, 0, 0, b'4', b'0'];
/// The name of the forged records, that of an event of a till.
pub const FORGED: &str = "paris-1/till-1/1/1";

/// What is attacked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Victim {
    pub http: SocketAddr,
    /// A viewer's token.
    pub token: String,
    pub mqtt_port: u16,
    pub brokers: String,
    /// Prefix of the topics.
    pub prefix: String,
}

/// Attacks until the process is killed.
pub async fn run(victim: Victim) -> Result<()> {
    // In a shop the attackers have processors of their own.
    rustix::process::nice(19)?;
    let mut attackers = JoinSet::new();
    attackers.spawn(send_half_heads(victim.http));
    attackers.spawn(read_nothing(victim.clone()));
    attackers.spawn(post_without_credentials(victim.http));
    attackers.spawn(guess_passwords(victim.http));
    attackers.spawn(flood_epochs(victim.mqtt_port));
    attackers.spawn(fill_dead_letters(victim.mqtt_port));
    attackers.spawn(send_noise(victim.mqtt_port));
    attackers.spawn(forge_records(victim));
    ResourceSample::print()?;
    match attackers.join_next().await {
        Some(ended) => ended
            .context("an attacker's task")?
            .context("an attacker gave up"),
        None => bail!("no attackers"),
    }
}

async fn send_half_heads(http: SocketAddr) -> Result<()> {
    loop {
        let sockets = join_all((0..HALF_HEADS).map(|_| async {
            let mut socket = TcpStream::connect(http).await?;
            socket.write_all(b"GET /api/orders HTTP/1.1\r\nHost: sh").await?;
            std::io::Result::Ok(socket)
        }));
        // The gateway closes some at once.
        let open = sockets.await;
        tokio::time::sleep(HOLD).await;
        drop(open);
    }
}

async fn read_nothing(victim: Victim) -> Result<()> {
    let head = |request: &str| {
        format!(
            "GET {request} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n",
            victim.http, victim.token
        )
    };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut live = (head("/socket.io/?EIO=4&transport=websocket") + upgrade).into_bytes();
    live.extend(JOIN);
    let list = (head("/api/orders?limit=500") + "\r\n").into_bytes();
    loop {
        let sockets = join_all([&live, &list].into_iter().cycle().take(2 * UNREAD).map(
            async |bytes| -> std::io::Result<TcpStream> {
                let socket = TcpSocket::new_v4()?;
                socket.set_recv_buffer_size(4 << 10)?;
                let mut socket = socket.connect(victim.http).await?;
                socket.write_all(bytes).await?;
                Ok(socket)
            },
        ));
        let open = sockets.await;
        tokio::time::sleep(HOLD).await;
        drop(open);
    }
}

async fn post_without_credentials(http: SocketAddr) -> Result<()> {
    let client = Client::new();
    let nested = format!("{{\"lines\":{}", "[".repeat(60_000));
    let payment =
        json!({"payment_id": "mallory", "order_id": "o", "amount": 99_999.99, "method": "Cash"}).to_string();
    loop {
        for (path, body) in [("orders", &nested), ("payments", &payment)] {
            let request = client.post(format!("http://{http}/api/{path}"));
            // The gateway may cut the connection instead.
            let _ = request.body(body.clone()).send().await;
        }
    }
}

async fn guess_passwords(http: SocketAddr) -> Result<()> {
    let client = Client::new();
    loop {
        let guesses = (0..8).map(|_| {
            let guess = json!({"name": "marie", "password": "guessed guessed"});
            client
                .post(format!("http://{http}/api/session"))
                .json(&guess)
                .send()
        });
        join_all(guesses).await;
    }
}

/// Ticks at a rate. Unlimited floods would measure the MQTT broker, which serves all its clients on one thread.
struct Pace {
    period: Duration,
    due: Instant,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        Self {
            period: Duration::from_secs_f64(1.0 / per_second),
            due: Instant::now(),
        }
    }

    /// Waits until the next tick. Catches up if it was late, because timers have a resolution of a millisecond.
    async fn next(&mut self) {
        self.due += self.period;
        tokio::time::sleep_until(self.due).await;
    }
}

/// A till of the attackers, which may publish under its own name only.
struct Mallory {
    connection: Connection,
    number: u16,
}

impl Mallory {
    async fn connect(port: u16, name: &str) -> Result<Self> {
        let connection = Connection::open(port, name).await?;
        Ok(Self {
            connection,
            number: 0,
        })
    }

    async fn publish(&mut self, topic: &Bytes, payload: Bytes) -> Result<()> {
        self.number = self.number % u16::MAX + 1;
        self.connection.queue_publish(topic, &payload, self.number)?;
        self.connection.flush().await?;
        match self.connection.next().await? {
            Packet::PubAck(_) => Ok(()),
            other => bail!("the MQTT broker sends {other:?}"),
        }
    }
}

async fn flood_epochs(port: u16) -> Result<()> {
    let mut mallory = Mallory::connect(port, "mallory-1").await?;
    let topic = Bytes::from(sales::topic("mallory-1", "payments"));
    let mut pace = Pace::new(EPOCHS_PER_S);
    loop {
        pace.next().await;
        let epoch = sales::new_epoch();
        let payment = json!({"epoch": epoch, "seq": 1, "payment_id": format!("p-{epoch}"), "order_id": "o", "amount": 1,
            "method": "Cash", "status": "SUCCESS"});
        mallory.publish(&topic, payment.to_string().into()).await?;
    }
}

async fn fill_dead_letters(port: u16) -> Result<()> {
    let mut mallory = Mallory::connect(port, "mallory-2").await?;
    let topic = Bytes::from(sales::topic("mallory-2", "orders"));
    let mut pace = Pace::new(LARGE_LETTERS_PER_S);
    loop {
        pace.next().await;
        let mut letter = format!("{{\"number\": {}, ", sales::new_epoch()).into_bytes();
        letter.resize(LETTER_BYTES, b'x');
        mallory.publish(&topic, letter.into()).await?;
    }
}

async fn send_noise(port: u16) -> Result<()> {
    let mut mallory = Mallory::connect(port, "mallory-3").await?;
    let topic = Bytes::from(sales::topic("mallory-3", "deliveries"));
    let mut pace = Pace::new(NOISE_PER_S);
    loop {
        pace.next().await;
        let noise: [u8; 200] = rand::rng().random();
        mallory.publish(&topic, Bytes::copy_from_slice(&noise)).await?;
    }
}

async fn forge_records(victim: Victim) -> Result<()> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &victim.brokers)
        .create()?;
    let watermarks = format!("{}comptoir-watermarks.{STORE}", victim.prefix);
    let payments = format!("{}payments", victim.prefix);
    let watermark = json!({"offset": 1_000_000, "event": FORGED, "run": null}).to_string();
    let payment = json!({"payment_id": "p-1", "order_id": "o-1", "amount": 9_999_999, "currency": "EUR", "method": "Cash",
        "status": "FAILED", "timestamp": "2026-01-01T00:00:00Z", "store": STORE, "device": "till-1"});
    let payment = payment.to_string();
    let headers = OwnedHeaders::new().insert(Header {
        key: "ce_id",
        value: Some(FORGED),
    });
    let mut pace = Pace::new(FORGED_PER_S);
    loop {
        pace.next().await;
        for (topic, value) in [(&watermarks, &watermark), (&payments, &payment)] {
            let record = FutureRecord::to(topic)
                .key("o-1")
                .payload(value)
                .headers(headers.clone());
            let sent = producer.send(record, Duration::from_secs(10)).await;
            sent.map_err(|(error, _)| error)?;
        }
    }
}
