//! MQTT brokers that answer by a script, against the whole of ingest.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::reason::{Code, name};
use super::*;
use crate::link::{LinkState, LinkStatus};
use crate::sale::Currency;

/// For what takes milliseconds on a machine that is not busy.
const SOON: Duration = Duration::from_secs(30);
/// The window in which connections are counted, and the most that pauses of 0.1, 0.2, 0.4 and 0.8 s leave room for.
const WINDOW: Duration = Duration::from_secs(2);
const MOST: usize = 5;

const GRANTED: [u8; 4] = [1; 4];
const EVENT: &str = r#"{"epoch":5,"seq":1,"payment_id":"p-1","order_id":"o-1","amount":1.30,"method":"Cash","status":"SUCCESS"}"#;

/// How a broker answers on each connection.
#[derive(Clone)]
struct Script {
    connack: Vec<u8>,
    /// The codes of the SUBACK; none of them: no answer.
    suback: Vec<u8>,
    puback: u8,
    /// What it sends behind the SUBACK.
    then: Vec<u8>,
    /// Whether a publish with the retain flag ends the connection.
    refuses_retain: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            connack: connack(0, &[]),
            suback: GRANTED.to_vec(),
            puback: 0,
            then: Vec::new(),
            refuses_retain: false,
        }
    }
}

fn connack(code: u8, properties: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).unwrap();
    [&[0x20, 3 + length, 0, code, length], properties].concat()
}

fn accepts(properties: &[u8]) -> Script {
    Script {
        connack: connack(0, properties),
        ..Script::default()
    }
}

fn answers(connack: &[u8]) -> Script {
    Script {
        connack: connack.to_vec(),
        ..Script::default()
    }
}

fn grants(codes: &[u8]) -> Script {
    Script {
        suback: codes.to_vec(),
        ..Script::default()
    }
}

fn then(bytes: &[u8]) -> Script {
    Script {
        then: bytes.to_vec(),
        ..Script::default()
    }
}

fn text(property: u8, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[property], &length[..], text.as_bytes()].concat()
}

fn publish(topic: &str, payload: &str, packet: u16) -> Vec<u8> {
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload.to_owned(), None);
    publish.pkid = packet;
    let mut bytes = BytesMut::new();
    publish.write(&mut bytes).unwrap();
    bytes.to_vec()
}

/// A broker that follows a script, and what it saw.
struct Broker {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    /// To be sent on the connection that there is.
    send: mpsc::UnboundedSender<Vec<u8>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    pings: usize,
    published: Vec<Publish>,
}

impl Broker {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (send, mut to_send) = mpsc::unbounded_channel();
        let also_seen = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                also_seen.lock().unwrap().connections += 1;
                // It ends with the connection.
                _ = serve(stream, &script, &also_seen, &mut to_send).await;
            }
        });
        Self { address, seen, send }
    }

    fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    fn published(&self) -> Vec<(String, bool, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let seen = self.seen.lock().unwrap();
        let published = seen.published.iter();
        published
            .map(|publish| (text(&publish.topic), publish.retain, text(&publish.payload)))
            .collect()
    }

    async fn saw_publishes(&self, count: usize) {
        until(|| self.published().len() >= count).await;
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, polling).await.expect("in time");
}

async fn serve(
    mut stream: TcpStream,
    script: &Script,
    seen: &Mutex<Seen>,
    to_send: &mut mpsc::UnboundedReceiver<Vec<u8>>,
) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        let answer = match Packet::read(&mut buffer, None) {
            Ok(Packet::Connect(..)) if script.connack.is_empty() => return Ok(()),
            Ok(Packet::Connect(..)) => script.connack.clone(),
            Ok(Packet::Subscribe(subscribe)) if !script.suback.is_empty() => {
                let length = 3 + u8::try_from(script.suback.len()).unwrap();
                let [high, low] = subscribe.pkid.to_be_bytes();
                [&[0x90, length, high, low, 0], &script.suback[..], &script.then].concat()
            }
            Ok(Packet::Publish(publish)) => {
                let [high, low] = publish.pkid.to_be_bytes();
                let refused = publish.retain && script.refuses_retain;
                seen.lock().unwrap().published.push(publish);
                match refused {
                    true => vec![0xE0, 1, RETAIN_NOT_SUPPORTED],
                    false => vec![0x40, 3, high, low, script.puback],
                }
            }
            Ok(Packet::PingReq(_)) => {
                seen.lock().unwrap().pings += 1;
                vec![0xD0, 0]
            }
            Ok(_) => Vec::new(),
            Err(_) => {
                tokio::select! {
                    read = stream.read_buf(&mut buffer) => if read? == 0 {
                        return Ok(());
                    },
                    Some(bytes) = to_send.recv() => stream.write_all(&bytes).await?,
                }
                continue;
            }
        };
        stream.write_all(&answer).await?;
    }
}

/// A gateway's ingest that connects to that broker.
struct Gateway {
    link: Link,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Gateway {
    fn start(journal: &Journal, address: SocketAddr) -> Self {
        let link = Link::new("MQTT broker", LinkState::Down);
        let stop = CancellationToken::new();
        let ingest = Ingest {
            url: MqttUrl {
                host: address.ip().to_string(),
                port: address.port(),
                tls: false,
                credentials: None,
            },
            client_id: "comptoir-paris-1".to_owned(),
            stores: Stores::default(),
            journal: journal.clone(),
            decoder: Decoder {
                store: "paris-1".to_owned(),
                currency: Currency::EUR,
            },
            downlink: Arc::default(),
            presence: Arc::default(),
            link: link.clone(),
            metrics: Arc::new(Metrics::new().unwrap()),
            complaints: Seldom::default(),
        };
        let ended = tokio::spawn(ingest.run(stop.clone()));
        Self { link, stop, ended }
    }

    async fn status(&self, holds: impl FnMut(&LinkStatus) -> bool) -> LinkStatus {
        let mut status = self.link.watch();
        let status = timeout(SOON, status.wait_for(holds)).await;
        match status {
            Ok(status) => status.unwrap().clone(),
            Err(_) => panic!("it stays {:?}", self.link.status()),
        }
    }

    async fn up(&self) -> LinkStatus {
        self.status(|status| status.state == LinkState::Up).await
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.ended).await.expect("in time").unwrap();
    }
}

async fn journal() -> (Journal, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.db");
    let (journal, writer) = Journal::open(&file, 1 << 24).await.unwrap();
    tokio::spawn(writer.run());
    (journal, folder)
}

/// Each broker makes work impossible, or ends each connection, and the gateway says why.
fn unusable() -> Vec<(Script, Vec<String>)> {
    let mut cases = Vec::new();
    let mut case = |script: Script, words: &[&str]| {
        cases.push((script, words.iter().map(|&word| word.to_owned()).collect()));
    };
    // Neither an answer, nor MQTT.
    case(
        answers(&[]),
        &["closed the connection instead of answering", "MQTT 5"],
    );
    case(answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), &["HTTP"]);
    case(answers(&[0x15, 3, 3, 0, 2, 2, 70]), &["speaks TLS", "mqtts://"]);
    case(answers(&[0xFF; 8]), &["not MQTT 5"]);
    case(answers(&[0xD0, 0]), &["must not send"]);
    // MQTT 3.1.1.
    case(
        answers(&[0x20, 2, 0, 1]),
        &[
            "unsupported protocol version",
            "needs a broker that speaks MQTT 5",
        ],
    );
    case(
        answers(&[0x20, 2, 0, 2]),
        &["client identifier not valid", "mqtt.client_id"],
    );
    case(answers(&[0x20, 2, 0, 5]), &["wants a user name and a password"]);
    // CONNACK.
    let signing_in = [0x86, 0x87];
    for code in (0x80..=0x9F).filter(|code| !signing_in.contains(code)) {
        let shown = Code(code).to_string();
        case(
            answers(&connack(code, &[])),
            &["refuses the connection", &shown, name(code)],
        );
    }
    for code in signing_in {
        case(
            answers(&connack(code, &[])),
            &["wants a user name and a password"],
        );
    }
    let reason = text(0x1F, "full\u{1b}[2J\nof \u{202E}sheep");
    case(
        answers(&connack(0x97, &reason)),
        &["quota exceeded (0x97)", "it says \"full [2J of  sheep\""],
    );
    let server = text(0x1C, "mqtt-2.example:1883");
    case(
        answers(&connack(0x9D, &server)),
        &["server moved", "mqtt.url", "mqtt-2.example:1883"],
    );
    // What it cannot do.
    case(accepts(&[0x24, 0]), &["QoS 0 only", "lost"]);
    case(accepts(&[0x28, 0]), &["wildcard subscriptions"]);
    case(accepts(&[0x21, 0, 0]), &["Receive Maximum 0"]);
    case(accepts(&[0x27, 0, 0, 0, 0]), &["Maximum Packet Size 0"]);
    case(
        accepts(&[0x27, 0, 0, 0, 20]),
        &["at most 20 bytes", "max_packet_size"],
    );
    case(accepts(&[0x25, 2]), &["MQTT 5 forbids", "Retain Available"]);
    // SUBACK.
    case(
        grants(&[1, 0x87, 1, 1]),
        &["subscribe to pos/+/+/payments", "not authorized (0x87)"],
    );
    case(
        grants(&[0x97, 0x97, 0x97, 0x97]),
        &["pos/+/+/orders, pos/+/+/payments, pos/+/+/deliveries", "quota"],
    );
    case(
        grants(&[1, 1, 0x8F, 1]),
        &["pos/+/+/deliveries", "topic filter invalid"],
    );
    case(grants(&[0xA2; 4]), &["wildcard subscriptions not supported"]);
    case(
        grants(&[0xC7; 4]),
        &["a reason code that MQTT 5 does not define (0xC7)"],
    );
    case(grants(&[1, 0, 1, 1]), &["pos/+/+/payments with QoS 0"]);
    case(grants(&[1]), &["answered 4 subscriptions with 1"]);
    let unanswered = Script {
        suback: Vec::new(),
        ..accepts(&[0x13, 0, 1])
    };
    case(unanswered, &["does not answer the subscription"]);
    // DISCONNECT, short and with properties.
    case(
        then(&[0xE0, 0]),
        &["ended the connection", "normal disconnection (0x00)"],
    );
    for code in [
        0x80, 0x81, 0x82, 0x87, 0x89, 0x8B, 0x8D, 0x8F, 0x90, 0x93, 0x95, 0x96, 0x97, 0x98, 0x9B, 0x9D, 0xA0,
        0xC0,
    ] {
        let shown = Code(code).to_string();
        case(then(&[0xE0, 1, code]), &["ended the connection", &shown]);
    }
    let twin = [
        "another client",
        "comptoir-paris-1",
        "two gateways",
        "mqtt.client_id",
    ];
    case(then(&[0xE0, 1, 0x8E]), &twin);
    case(then(&[0xE0, 2, 0x8E, 0]), &twin);
    let length = u8::try_from(server.len()).unwrap();
    let elsewhere = [&[0xE0, 2 + length, 0x9C, length], &server[..]].concat();
    case(
        then(&elsewhere),
        &["use another server (0x9C)", "mqtt-2.example:1883"],
    );
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_be_used_is_named_in_a_sentence_and_asked_more_and_more_rarely() {
    let (journal, _folder) = journal().await;
    let cases = unusable().into_iter().map(async |(script, words)| {
        let broker = Broker::start(script).await;
        let gateway = Gateway::start(&journal, broker.address);
        tokio::time::sleep(WINDOW).await;
        let connections = broker.connections();
        assert!(
            (1..=MOST).contains(&connections),
            "{words:?}: {connections} connections"
        );
        gateway
            .status(|status| {
                let problem = status.problem.as_deref().unwrap_or_default();
                status.state == LinkState::Down && words.iter().all(|word| problem.contains(word))
            })
            .await;
        gateway.stop().await;
    });
    futures::future::join_all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_limits_is_used_and_what_works_less_well_is_said() {
    let (journal, _folder) = journal().await;
    let limited = [
        (accepts(&[0x25, 0]), "retained messages"),
        (accepts(&[0x11, 0, 0, 0, 0]), "Session Expiry Interval 0"),
        (accepts(&[0x11, 0, 0, 14, 16]), "for 3600 s only"),
        (accepts(&text(0x12, "x-9")), "\"comptoir-paris-1\" by \"x-9\""),
        (accepts(&[0x27, 0, 0, 4, 0]), "at most 1024 bytes"),
        (grants(&[1, 1, 1, 0x87]), "unknown which tills are online"),
    ];
    let cases = limited.into_iter().map(async |(script, words)| {
        let broker = Broker::start(script).await;
        let gateway = Gateway::start(&journal, broker.address);
        let warnings = gateway.up().await.warnings;
        assert!(
            warnings.len() == 1 && warnings[0].contains(words),
            "{words}: {warnings:?}"
        );
        gateway.stop().await;
    });
    futures::future::join_all(cases).await;
    // Nothing of this concerns the gateway: maximum QoS 1, no subscription identifiers, no shared subscriptions, no topic
    // aliases, a longer session, response information, and user properties.
    let harmless = [
        &[
            0x24, 1, 0x29, 0, 0x2A, 0, 0x22, 0, 0, 0x11, 0xFF, 0xFF, 0xFF, 0xFF, 0x21, 0, 1,
        ][..],
        &text(0x1A, "r/"),
        &[0x26, 0, 1, b'a', 0, 1, b'b'],
    ];
    let broker = Broker::start(accepts(&harmless.concat())).await;
    let gateway = Gateway::start(&journal, broker.address);
    let up = gateway.up().await;
    assert!(up.warnings.is_empty(), "{up:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_sent_within_half_of_the_server_keep_alive() {
    let (journal, _folder) = journal().await;
    let broker = Broker::start(accepts(&[0x13, 0, 1])).await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    let begun = Instant::now();
    until(|| broker.seen.lock().unwrap().pings >= 3).await;
    // Three within twice the time that the broker would wait for one.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(broker.connections(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_retained_messages_a_till_gets_its_ack_and_gets_it_again_when_it_comes_online() {
    let (journal, _folder) = journal().await;
    let broker = Broker::start(accepts(&[0x25, 0])).await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    let ack = |till: &str| {
        (
            format!("pos/paris-1/{till}/ack"),
            false,
            r#"{"epoch":5,"seq":1}"#.to_owned(),
        )
    };
    broker
        .send
        .send(publish("pos/paris-1/till-1/payments", EVENT, 1))
        .unwrap();
    broker.saw_publishes(1).await;
    assert_eq!(broker.published(), [ack("till-1")]);
    // Nobody waits for an ack of till-2, which has sold nothing.
    for (till, packet) in [("till-2", 2), ("till-1", 3)] {
        let online = publish(&format!("pos/paris-1/{till}/status"), "online", packet);
        broker.send.send(online).unwrap();
    }
    broker.saw_publishes(2).await;
    assert_eq!(broker.published(), [ack("till-1"), ack("till-1")]);
    // Also by a gateway that has just been started.
    gateway.stop().await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    broker
        .send
        .send(publish("pos/paris-1/till-1/status", "online", 1))
        .unwrap();
    broker.saw_publishes(3).await;
    assert_eq!(broker.published()[2], ack("till-1"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_disconnects_for_the_retain_flag_is_not_sent_it_again() {
    let (journal, _folder) = journal().await;
    let script = Script {
        refuses_retain: true,
        ..Script::default()
    };
    let broker = Broker::start(script).await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    broker
        .send
        .send(publish("pos/paris-1/till-1/payments", EVENT, 1))
        .unwrap();
    broker.saw_publishes(2).await;
    let retained: Vec<bool> = broker.published().iter().map(|&(_, retain, _)| retain).collect();
    assert_eq!(retained, [true, false]);
    let warned = |status: &LinkStatus| {
        status
            .warnings
            .iter()
            .any(|warning| warning.contains("retained messages"))
    };
    gateway.status(warned).await;
    assert_eq!(broker.connections(), 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_the_broker_refuses_is_named_and_the_connection_is_kept() {
    let (journal, _folder) = journal().await;
    let refusals = [0x87, 0x97, 0xC5].map(async |code| {
        let script = Script {
            puback: code,
            ..Script::default()
        };
        let broker = Broker::start(script).await;
        let gateway = Gateway::start(&journal, broker.address);
        gateway.up().await;
        let topic = format!("pos/paris-1/till-{code}/payments");
        broker.send.send(publish(&topic, EVENT, 1)).unwrap();
        let status = gateway.status(|status| !status.warnings.is_empty()).await;
        let words = format!(
            "refused what was published to pos/paris-1/till-{code}/ack: {}",
            Code(code)
        );
        assert!(status.warnings[0].contains(&words), "{status:?}");
        assert_eq!((status.state, broker.connections()), (LinkState::Up, 1));
        gateway.stop().await;
    });
    futures::future::join_all(refusals).await;
}
