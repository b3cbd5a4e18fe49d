//! The MQTT broker and the gateway behind it, in one: what they do is up to a [`Mood`].

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use comptoir_wire::{Ack, decode};
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Filter, Packet, PingResp, PubAck, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error, QoS};

use crate::shore::Shore;

pub const STORE: &str = "paris-1";
pub const DEVICE: &str = "till-7";
pub const PASSWORD: &str = "correct horse";
/// Without a reason: all went well.
const DISCONNECT: [u8; 2] = [0xe0, 0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As they should be.
    Well,
    /// Nobody listens.
    Away,
    /// Connections are taken, and nothing is ever answered.
    Deaf,
    /// The MQTT broker does all that it should; the gateway behind it does not ack.
    NoGateway,
}

/// One connection of the till.
#[derive(Default)]
struct Conversation {
    heard: BytesMut,
    said: BytesMut,
    packets: u16,
}

pub struct Shop {
    mood: Mood,
    conversation: Conversation,
    /// Connections that came to a CONNECT.
    pub connects: u32,
    /// Payloads of the status topic, in order.
    pub status: Vec<Bytes>,
    /// The gateway's: events by their numbers, in the order of which it takes them.
    pub journal: BTreeMap<u32, Bytes>,
    /// What the gateway told the till last, retained.
    ack: Option<Ack>,
    /// The till's session is kept while it is away, and what is sent to it meanwhile.
    has_session: bool,
    kept: Vec<Bytes>,
    /// The till may give up events: its flash lost them.
    pub gaps: bool,
    /// The MQTT broker keeps retained messages. One that does not refuses a retained will, and ends a connection for a
    /// retained publish.
    pub retains: bool,
    /// Microseconds until a publish has its PUBACK.
    pub slow: u64,
    /// PUBACKs to come: when, and the packet's number.
    pubacks: VecDeque<(u64, u16)>,
    now: u64,
}

impl Shop {
    pub fn new() -> Self {
        Self {
            mood: Mood::Well,
            conversation: Conversation::default(),
            connects: 0,
            status: Vec::new(),
            journal: BTreeMap::new(),
            ack: None,
            has_session: false,
            kept: Vec::new(),
            gaps: false,
            retains: true,
            slow: 0,
            pubacks: VecDeque::new(),
            now: 0,
        }
    }

    pub fn set(&mut self, mood: Mood) {
        self.mood = mood;
    }

    /// Bytes for the till, MQTT or not; for nobody if it is not connected.
    pub fn say(&mut self, bytes: &[u8]) {
        self.conversation.said.extend_from_slice(bytes);
    }

    /// A command for the till, which may be away.
    pub fn command(&mut self, payload: &[u8]) {
        match self.mood {
            Mood::Away if self.has_session => self.kept.push(Bytes::copy_from_slice(payload)),
            Mood::Away => {}
            _ => self.publish("commands", payload),
        }
    }

    /// A message for the till.
    pub fn publish(&mut self, leaf: &str, payload: &[u8]) {
        self.conversation.packets += 1;
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: topic(leaf).into(),
            pkid: self.conversation.packets,
            payload: Bytes::copy_from_slice(payload),
            properties: None,
        };
        self.answer(Packet::Publish(publish));
    }

    pub fn turn(&mut self, shore: &mut Shore<'_>, micros: u64) {
        self.now = micros;
        if self.mood == Mood::Away {
            shore.refuse();
            return;
        }
        if shore.accept() {
            self.conversation = Conversation::default();
            self.pubacks.clear();
        }
        while let Some(&(due, pkid)) = self.pubacks.front()
            && due <= micros
        {
            self.pubacks.pop_front();
            self.answer(Packet::PubAck(PubAck::new(pkid, None)));
        }
        let socket = shore.connection();
        let heard = &mut self.conversation.heard;
        while socket.can_recv() {
            let taken = socket.recv(|bytes| {
                heard.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            taken.unwrap();
        }
        if self.mood == Mood::Deaf {
            return;
        }
        loop {
            // The codec wants a reason in a DISCONNECT, which MQTT does not.
            if self.conversation.heard.starts_with(&DISCONNECT) {
                socket.close();
                break;
            }
            match Packet::read(&mut self.conversation.heard, None) {
                Ok(packet) => self.hear(packet),
                Err(Error::InsufficientBytes(_)) => break,
                // The till is told nonsense, and never says any.
                Err(error) => panic!("the till says what is no MQTT: {error:?}"),
            }
        }
        if socket.can_send() {
            let sent = socket.send_slice(&self.conversation.said).unwrap();
            let _ = self.conversation.said.split_to(sent);
        }
        if !socket.may_recv() && socket.may_send() && self.conversation.said.is_empty() {
            socket.close();
        }
    }

    fn hear(&mut self, packet: Packet) {
        match packet {
            Packet::Connect(connect, will, login) => {
                assert!(!connect.clean_start);
                let expiry = connect.properties.unwrap().session_expiry_interval;
                assert_eq!(expiry, Some(24 * 60 * 60));
                let login = login.unwrap();
                assert_eq!(login.username, format!("{STORE}/{DEVICE}"));
                assert_eq!(login.password, PASSWORD);
                let will = will.unwrap();
                assert_eq!(will.message, "offline");
                self.connects += 1;
                if will.retain && !self.retains {
                    self.answer(Packet::ConnAck(ConnAck {
                        session_present: false,
                        code: ConnectReturnCode::RetainNotSupported,
                        properties: None,
                    }));
                    return;
                }
                assert_eq!(will.retain, self.retains);
                self.answer(Packet::ConnAck(ConnAck {
                    session_present: self.has_session,
                    code: ConnectReturnCode::Success,
                    properties: None,
                }));
                for command in std::mem::take(&mut self.kept) {
                    self.publish("commands", &command);
                }
            }
            Packet::Subscribe(subscribe) => {
                let at_least_once = |filter: &Filter| filter.qos == QoS::AtLeastOnce;
                assert!(subscribe.filters.iter().all(at_least_once));
                self.has_session |= subscribe
                    .filters
                    .iter()
                    .any(|filter| filter.path == topic("commands"));
                let granted = SubscribeReasonCode::Success(QoS::AtLeastOnce);
                self.answer(Packet::SubAck(SubAck {
                    pkid: subscribe.pkid,
                    return_codes: vec![granted; subscribe.filters.len()],
                    properties: None,
                }));
                if self.retains && subscribe.filters.iter().any(|filter| filter.path == topic("ack")) {
                    self.tell();
                }
            }
            Packet::Publish(publish) => {
                assert_eq!(publish.qos, QoS::AtLeastOnce);
                self.pubacks.push_back((self.now + self.slow, publish.pkid));
                self.take(&publish);
            }
            Packet::PingReq(_) => self.answer(Packet::PingResp(PingResp)),
            Packet::PubAck(_) => {}
            other => panic!("a till has no reason to say {other:?}"),
        }
    }

    /// As the gateway does: in order, each once, and an ack of all that is safe.
    fn take(&mut self, publish: &Publish) {
        let publish_topic = std::str::from_utf8(&publish.topic).unwrap();
        if publish_topic == topic("status") {
            assert_eq!(publish.retain, self.retains);
            self.status.push(publish.payload.clone());
            return;
        }
        let frame = decode(&publish.payload).unwrap();
        assert_eq!(publish_topic, topic(frame.event.kind().as_str()));
        let header = frame.header;
        let newest = match self.gaps {
            true => self.newest().max(header.oldest - 1),
            false => self.newest(),
        };
        assert!(
            header.oldest <= newest + 1,
            "the till has deleted what no gateway has"
        );
        if self.mood != Mood::Well {
            return;
        }
        if header.seq == newest + 1 {
            self.journal.insert(header.seq, publish.payload.clone());
        }
        self.ack = Some(Ack {
            epoch: header.epoch,
            seq: self.newest(),
        });
        self.tell();
    }

    /// The highest number in the journal.
    pub fn newest(&self) -> u32 {
        self.journal.last_key_value().map_or(0, |(&seq, _)| seq)
    }

    fn tell(&mut self) {
        if let Some(ack) = self.ack {
            let mut buffer = [0; Ack::MAX_BYTES];
            let payload = ack.encode(&mut buffer).unwrap().to_vec();
            self.publish("ack", &payload);
        }
    }

    fn answer(&mut self, packet: Packet) {
        packet.write(&mut self.conversation.said, None).unwrap();
    }
}

fn topic(leaf: &str) -> String {
    format!("pos/{STORE}/{DEVICE}/{leaf}")
}
