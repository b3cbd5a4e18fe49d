//! A scripted broker, with the whole of ingest connected to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use comptoir_mqtt::ReasonCode;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::decode::Decoder;
use super::{Ingest, Stores};
use crate::config::MqttUrl;
use crate::platform::metrics::Metrics;
use crate::platform::peer::{Peer, PeerState, PeerStatus, WarningLimiter};
use comptoir_core::sale::Currency;
use comptoir_journal::Journal;

/// Deadline for steps that take milliseconds on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

/// The reason codes of a SUBACK that grants all four subscriptions at QoS 1.
const GRANTED: [u8; 4] = [1; 4];
pub const EVENT: &str = r#"{"epoch":5,"seq":1,"payment_id":"p-1","order_id":"o-1","amount":1.30,"method":"Cash","status":"SUCCESS"}"#;

/// How the broker answers on each connection.
#[derive(Clone)]
pub struct Script {
    /// The response to the CONNECT. If empty, the broker closes the connection.
    pub connack: Vec<u8>,
    /// The reason codes of the SUBACK. If empty, the broker does not answer.
    pub suback: Vec<u8>,
    /// The reason code of each PUBACK.
    pub puback: u8,
    /// Bytes that follow the SUBACK.
    pub after_suback: Vec<u8>,
    /// Whether a publish with the retain flag ends the connection.
    pub refuses_retain: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            connack: connack(0, &[]),
            suback: GRANTED.to_vec(),
            puback: 0,
            after_suback: Vec::new(),
            refuses_retain: false,
        }
    }
}

/// A CONNACK of MQTT 5.
pub fn connack(code: u8, properties: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).unwrap();
    [&[0x20, 3 + length, 0, code, length], properties].concat()
}

/// Accepts the CONNECT with these properties.
pub fn accepts(properties: &[u8]) -> Script {
    Script {
        connack: connack(0, properties),
        ..Script::default()
    }
}

/// Answers the CONNECT with these bytes.
pub fn answers(connack: &[u8]) -> Script {
    Script {
        connack: connack.to_vec(),
        ..Script::default()
    }
}

/// Answers the SUBSCRIBE with these reason codes.
pub fn grants(codes: &[u8]) -> Script {
    Script {
        suback: codes.to_vec(),
        ..Script::default()
    }
}

/// Sends these bytes after the SUBACK.
pub fn sends_after_suback(bytes: &[u8]) -> Script {
    Script {
        after_suback: bytes.to_vec(),
        ..Script::default()
    }
}

/// A property whose value is a string.
pub fn text(property: u8, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[property], &length[..], text.as_bytes()].concat()
}

pub fn publish(topic: &str, payload: &str, packet: u16) -> Vec<u8> {
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload.to_owned(), None);
    publish.pkid = packet;
    let mut bytes = BytesMut::new();
    publish.write(&mut bytes).unwrap();
    bytes.to_vec()
}

/// A broker that follows a script and records what clients do.
pub struct Broker {
    pub address: SocketAddr,
    record: Arc<Mutex<BrokerRecord>>,
    /// Bytes to be sent on the present connection.
    outbox: mpsc::UnboundedSender<Vec<u8>>,
}

#[derive(Default)]
struct BrokerRecord {
    connections: usize,
    pings: usize,
    publishes: Vec<Publish>,
}

impl Broker {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let record = Arc::new(Mutex::new(BrokerRecord::default()));
        let (outbox, mut to_send) = mpsc::unbounded_channel();
        let recorded = Arc::clone(&record);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                recorded.lock().unwrap().connections += 1;
                // An error ends the connection, like a lost one.
                _ = serve(stream, &script, &recorded, &mut to_send).await;
            }
        });
        Self {
            address,
            record,
            outbox,
        }
    }

    pub fn send(&self, bytes: Vec<u8>) {
        self.outbox.send(bytes).unwrap();
    }

    pub fn connections(&self) -> usize {
        self.record.lock().unwrap().connections
    }

    pub fn pings(&self) -> usize {
        self.record.lock().unwrap().pings
    }

    /// Topic, retain flag and payload of each publish.
    pub fn publishes(&self) -> Vec<(String, bool, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let record = self.record.lock().unwrap();
        let publishes = record.publishes.iter();
        publishes
            .map(|publish| (text(&publish.topic), publish.retain, text(&publish.payload)))
            .collect()
    }

    pub async fn wait_for_publishes(&self, count: usize) {
        until(|| self.publishes().len() >= count).await;
    }
}

/// Polls until the condition holds.
pub async fn until(mut holds: impl FnMut() -> bool) {
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
    record: &Mutex<BrokerRecord>,
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
                [
                    &[0x90, length, high, low, 0],
                    &script.suback[..],
                    &script.after_suback,
                ]
                .concat()
            }
            Ok(Packet::Publish(publish)) => {
                let [high, low] = publish.pkid.to_be_bytes();
                let is_refused = publish.retain && script.refuses_retain;
                record.lock().unwrap().publishes.push(publish);
                match is_refused {
                    true => vec![0xE0, 1, ReasonCode::RETAIN_NOT_SUPPORTED.0],
                    false => vec![0x40, 3, high, low, script.puback],
                }
            }
            Ok(Packet::PingReq(_)) => {
                record.lock().unwrap().pings += 1;
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

/// The ingest of a gateway.
pub struct Gateway {
    peer: Peer,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Gateway {
    pub fn start(journal: &Journal, address: SocketAddr) -> Self {
        let peer = Peer::new("MQTT broker", PeerState::Down);
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
            peer: peer.clone(),
            metrics: Arc::new(Metrics::new().unwrap()),
            refusal_warnings: WarningLimiter::default(),
            card_warnings: WarningLimiter::default(),
        };
        let ended = tokio::spawn(ingest.run(stop.clone()));
        Self { peer, stop, ended }
    }

    /// Waits for a status for which `holds` is true.
    pub async fn status(&self, holds: impl FnMut(&PeerStatus) -> bool) -> PeerStatus {
        let mut status = self.peer.watch();
        let status = timeout(SOON, status.wait_for(holds)).await;
        match status {
            Ok(status) => status.unwrap().clone(),
            Err(_) => panic!("the status stays {:?}", self.peer.status()),
        }
    }

    pub async fn up(&self) -> PeerStatus {
        self.status(|status| status.state == PeerState::Up).await
    }

    pub async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.ended).await.expect("in time").unwrap();
    }
}

pub async fn journal() -> (Journal, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.db");
    let (journal, writer) = Journal::open(&file, 1 << 24).await.unwrap();
    tokio::spawn(writer.run());
    (journal, folder)
}
