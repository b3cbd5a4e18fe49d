//! A simulated MQTT broker with a gateway behind it. A [`Condition`] sets how they behave.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use comptoir_wire::{Ack, decode};
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Filter, Packet, PingResp, PubAck, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error, QoS};

use crate::host::Host;

pub const STORE: &str = "paris-1";
pub const DEVICE: &str = "till-7";
pub const PASSWORD: &str = "correct horse";
/// A DISCONNECT without a reason code, which means normal disconnection.
const DISCONNECT: [u8; 2] = [0xe0, 0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything works.
    Working,
    /// The MQTT broker does not listen.
    Unreachable,
    /// The MQTT broker accepts connections, and never answers.
    Hanging,
    /// The MQTT broker works; the gateway behind it does not ack.
    NoGateway,
}

/// One connection of the till.
#[derive(Default)]
struct Conversation {
    received: BytesMut,
    outgoing: BytesMut,
    packets: u16,
}

pub struct Shop {
    condition: Condition,
    conversation: Conversation,
    /// Number of CONNECT packets.
    pub connects: u32,
    /// Payloads of the status topic, in order.
    pub status: Vec<Bytes>,
    /// The gateway's journal: events by number.
    pub journal: BTreeMap<u32, Bytes>,
    /// The retained ack.
    ack: Option<Ack>,
    /// Whether the broker has a session of the till, and the commands queued in it while the till is disconnected.
    has_session: bool,
    queued_commands: Vec<Bytes>,
    /// Whether the till may give up events that its flash has lost.
    pub allows_gaps: bool,
    /// Whether the MQTT broker supports retained messages. If not, it refuses a retained will, and closes the connection for
    /// a retained publish.
    pub retains: bool,
    /// Microseconds between a publish and its PUBACK.
    pub puback_delay: u64,
    /// Pending PUBACKs: the time, and the packet id.
    pubacks: VecDeque<(u64, u16)>,
    now: u64,
}

impl Shop {
    pub fn new() -> Self {
        Self {
            condition: Condition::Working,
            conversation: Conversation::default(),
            connects: 0,
            status: Vec::new(),
            journal: BTreeMap::new(),
            ack: None,
            has_session: false,
            queued_commands: Vec::new(),
            allows_gaps: false,
            retains: true,
            puback_delay: 0,
            pubacks: VecDeque::new(),
            now: 0,
        }
    }

    pub fn set(&mut self, condition: Condition) {
        self.condition = condition;
    }

    /// Sends raw bytes to the till, valid MQTT or not.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.conversation.outgoing.extend_from_slice(bytes);
    }

    /// Sends a command to the till, or queues it in the till's session.
    pub fn command(&mut self, payload: &[u8]) {
        match self.condition {
            Condition::Unreachable if self.has_session => {
                self.queued_commands.push(Bytes::copy_from_slice(payload));
            }
            Condition::Unreachable => {}
            _ => self.publish("commands", payload),
        }
    }

    /// Publishes a message to the till.
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
        self.send(Packet::Publish(publish));
    }

    pub fn turn(&mut self, host: &mut Host<'_>, micros: u64) {
        self.now = micros;
        if self.condition == Condition::Unreachable {
            host.refuse();
            return;
        }
        if host.accept() {
            self.conversation = Conversation::default();
            self.pubacks.clear();
        }
        while let Some(&(due, pkid)) = self.pubacks.front()
            && due <= micros
        {
            self.pubacks.pop_front();
            self.send(Packet::PubAck(PubAck::new(pkid, None)));
        }
        let socket = host.connection();
        let received = &mut self.conversation.received;
        while socket.can_recv() {
            let result = socket.recv(|bytes| {
                received.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            result.unwrap();
        }
        if self.condition == Condition::Hanging {
            return;
        }
        loop {
            // The codec requires a reason code in a DISCONNECT, which MQTT does not.
            if self.conversation.received.starts_with(&DISCONNECT) {
                socket.close();
                break;
            }
            match Packet::read(&mut self.conversation.received, None) {
                Ok(packet) => self.handle(packet),
                Err(Error::InsufficientBytes(_)) => break,
                // Some tests send invalid bytes to the till, but the till must never send any.
                Err(error) => panic!("the till sent invalid MQTT: {error:?}"),
            }
        }
        if socket.can_send() {
            let sent = socket.send_slice(&self.conversation.outgoing).unwrap();
            let _ = self.conversation.outgoing.split_to(sent);
        }
        if !socket.may_recv() && socket.may_send() && self.conversation.outgoing.is_empty() {
            socket.close();
        }
    }

    fn handle(&mut self, packet: Packet) {
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
                    self.send(Packet::ConnAck(ConnAck {
                        session_present: false,
                        code: ConnectReturnCode::RetainNotSupported,
                        properties: None,
                    }));
                    return;
                }
                assert_eq!(will.retain, self.retains);
                self.send(Packet::ConnAck(ConnAck {
                    session_present: self.has_session,
                    code: ConnectReturnCode::Success,
                    properties: None,
                }));
                for command in std::mem::take(&mut self.queued_commands) {
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
                self.send(Packet::SubAck(SubAck {
                    pkid: subscribe.pkid,
                    return_codes: vec![granted; subscribe.filters.len()],
                    properties: None,
                }));
                if self.retains && subscribe.filters.iter().any(|filter| filter.path == topic("ack")) {
                    self.publish_ack();
                }
            }
            Packet::Publish(publish) => {
                assert_eq!(publish.qos, QoS::AtLeastOnce);
                self.pubacks
                    .push_back((self.now + self.puback_delay, publish.pkid));
                self.accept(&publish);
            }
            Packet::PingReq(_) => self.send(Packet::PingResp(PingResp)),
            Packet::PubAck(_) => {}
            other => panic!("the till sent an unexpected packet: {other:?}"),
        }
    }

    /// Accepts an event as the gateway does: in order, each once, followed by an ack.
    fn accept(&mut self, publish: &Publish) {
        let publish_topic = std::str::from_utf8(&publish.topic).unwrap();
        if publish_topic == topic("status") {
            assert_eq!(publish.retain, self.retains);
            self.status.push(publish.payload.clone());
            return;
        }
        let frame = decode(&publish.payload).unwrap();
        assert_eq!(publish_topic, topic(frame.event.kind().as_str()));
        let header = frame.header;
        let newest = match self.allows_gaps {
            true => self.newest().max(header.oldest - 1),
            false => self.newest(),
        };
        assert!(
            header.oldest <= newest + 1,
            "the till deleted an event that the gateway does not have"
        );
        if self.condition != Condition::Working {
            return;
        }
        if header.seq == newest + 1 {
            self.journal.insert(header.seq, publish.payload.clone());
        }
        self.ack = Some(Ack {
            epoch: header.epoch,
            seq: self.newest(),
        });
        self.publish_ack();
    }

    /// The highest number in the journal.
    pub fn newest(&self) -> u32 {
        self.journal.last_key_value().map_or(0, |(&seq, _)| seq)
    }

    fn publish_ack(&mut self) {
        if let Some(ack) = self.ack {
            let mut buffer = [0; Ack::MAX_BYTES];
            let payload = ack.encode(&mut buffer).unwrap().to_vec();
            self.publish("ack", &payload);
        }
    }

    fn send(&mut self, packet: Packet) {
        packet.write(&mut self.conversation.outgoing, None).unwrap();
    }
}

fn topic(leaf: &str) -> String {
    format!("pos/{STORE}/{DEVICE}/{leaf}")
}
