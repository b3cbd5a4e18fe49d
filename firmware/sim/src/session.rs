//! One MQTT 5 connection of a terminal, on rumqttc's packets.
//!
//! Only the packets are rumqttc's, not its event loop: that one makes a system call for each publish, keeps
//! stale publishes over a lost session, and has large tables for each client. A terminal has no use for its
//! resending either, since what is not acked end to end is sent again by the window. Here, any number of
//! packets leave in one write, and a lost connection is simply dropped, with all that was in flight.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    Connect, ConnectProperties, ConnectReturnCode, Disconnect, DisconnectReasonCode, Filter, LastWill, Login,
    Packet, PingReq, PubAck, Publish, Subscribe, SubscribeReasonCode, Unsubscribe,
};
use rumqttc::v5::mqttbytes::{self, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use comptoir_link::{Identity, OFFLINE};

use crate::json::JsonError;
use crate::plan::Broker;

/// Seconds between pings on a silent connection; a silence of twice as long ends it.
pub const KEEP_ALIVE: u16 = 30;
/// Seconds for which the MQTT broker keeps a terminal's session while it is away.
const SESSION_EXPIRY: u32 = 24 * 60 * 60;
/// Publishes without a PUBACK, at most; the MQTT broker may allow fewer.
const MOST_IN_FLIGHT: u16 = 128;
/// Bytes of a packet that a terminal takes: a command is one frame.
const MAX_PACKET: u32 = 64 * 1024;
/// Bytes waiting to be written from which on nothing more is added.
const FULL: usize = 16 * 1024;
/// Bytes made free for each read.
const READ: usize = 1024;
/// A peer that is silent for so long while connecting is not there.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The network.
    #[error("connection to the MQTT broker: {0}")]
    Io(#[from] io::Error),
    /// No answer.
    #[error("the MQTT broker is silent")]
    Silent,
    /// The CONNACK says no.
    #[error("the MQTT broker refuses the connection: {0:?}")]
    Refused(ConnectReturnCode),
    /// The SUBACK says no.
    #[error("the MQTT broker refuses the subscription: {0:?}")]
    NoSubscription(SubscribeReasonCode),
    /// The MQTT broker ended it.
    #[error("the MQTT broker ended the connection: {0:?}")]
    Ended(DisconnectReasonCode),
    /// Not MQTT 5, or not what belongs here.
    #[error("the MQTT broker's answer is not understood: {0}")]
    Protocol(mqttbytes::Error),
    /// QoS 0 only.
    #[error("the MQTT broker allows QoS 0 only, with which events are lost without a trace")]
    NoQos,
    /// A packet that does not belong here.
    #[error("the MQTT broker sent an unexpected packet")]
    Unexpected,
    /// A fault that was asked for.
    #[error("the connection is cut")]
    Cut,
    /// As much is on its way as may be.
    #[error("no room for another publish now")]
    Busy,
    /// An event cannot be put into the terminal's language.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl SessionError {
    /// Whether another client has connected under the terminal's name.
    pub fn is_taken_over(&self) -> bool {
        matches!(self, Self::Ended(DisconnectReasonCode::SessionTakenOver))
    }

    /// Whether there will be room for what was refused.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

impl From<mqttbytes::Error> for SessionError {
    fn from(error: mqttbytes::Error) -> Self {
        Self::Protocol(error)
    }
}

/// An established connection.
pub struct Session {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    /// Publishes without a PUBACK: their packet ids, mostly in the order of the PUBACKs to come.
    in_flight: VecDeque<u16>,
    most_in_flight: u16,
    last_id: u16,
    /// The MQTT broker keeps retained messages.
    retain: bool,
    /// Seconds of silence that the MQTT broker bears.
    keep_alive: u16,
}

impl Session {
    /// Connects. The session at the MQTT broker is kept if it is there.
    ///
    /// # Errors
    /// The MQTT broker is not there, or says no.
    pub async fn connect(broker: &Broker, identity: &Identity) -> Result<Self, SessionError> {
        let attempt = async {
            match Self::connect_patiently(broker, identity, true).await {
                // For its last will.
                Err(SessionError::Refused(ConnectReturnCode::RetainNotSupported)) => {
                    Self::connect_patiently(broker, identity, false).await
                }
                connected => connected,
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, attempt)
            .await
            .map_err(|_| SessionError::Silent)?
    }

    async fn connect_patiently(
        broker: &Broker,
        identity: &Identity,
        retain: bool,
    ) -> Result<Self, SessionError> {
        let stream = TcpStream::connect((broker.host(), broker.port())).await?;
        stream.set_nodelay(true)?;
        let mut session = Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            in_flight: VecDeque::new(),
            most_in_flight: MOST_IN_FLIGHT,
            last_id: 0,
            retain,
            keep_alive: KEEP_ALIVE,
        };
        let connect = Connect {
            keep_alive: KEEP_ALIVE,
            client_id: identity.client_id.to_string(),
            clean_start: false,
            properties: Some(ConnectProperties {
                session_expiry_interval: Some(SESSION_EXPIRY),
                receive_maximum: None,
                max_packet_size: Some(MAX_PACKET),
                topic_alias_max: None,
                request_response_info: None,
                request_problem_info: None,
                user_properties: Vec::new(),
                authentication_method: None,
                authentication_data: None,
            }),
        };
        let will = LastWill {
            topic: Bytes::copy_from_slice(identity.status.as_bytes()),
            message: Bytes::from_static(OFFLINE),
            qos: QoS::AtLeastOnce,
            retain,
            properties: None,
        };
        let login = broker.login().map(|(username, password)| Login {
            username: username.to_owned(),
            password: password.to_owned(),
        });
        session.put(&Packet::Connect(connect, Some(will), login))?;
        session.stream.write_all_buf(&mut session.output).await?;
        let connack = loop {
            match session.packet()? {
                Some(Packet::ConnAck(connack)) => break connack,
                Some(_) => return Err(SessionError::Unexpected),
                None if session.stream.read_buf(&mut session.input).await? == 0 => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                None => {}
            }
        };
        if connack.code != ConnectReturnCode::Success {
            return Err(SessionError::Refused(connack.code));
        }
        if let Some(limits) = connack.properties {
            if limits.max_qos == Some(0) {
                return Err(SessionError::NoQos);
            }
            if let Some(most) = limits.receive_max {
                session.most_in_flight = most.clamp(1, MOST_IN_FLIGHT);
            }
            session.retain &= limits.retain_available != Some(0);
            // 0: it bears any silence. The terminal does not.
            session.keep_alive = match limits.server_keep_alive {
                Some(0) | None => KEEP_ALIVE,
                Some(seconds) => seconds,
            };
        }
        Ok(session)
    }

    /// Seconds of silence that the MQTT broker bears.
    pub fn keep_alive(&self) -> u16 {
        self.keep_alive
    }

    /// Adds a subscription at QoS 1 to what is to be written; its packet id.
    ///
    /// # Errors
    /// The packet cannot be written.
    pub fn subscribe(&mut self, topic: &str) -> Result<u16, SessionError> {
        let mut subscribe = Subscribe::new(Filter::new(topic, QoS::AtLeastOnce), None);
        subscribe.pkid = self.free_id();
        let pkid = subscribe.pkid;
        self.put(&Packet::Subscribe(subscribe))?;
        Ok(pkid)
    }

    /// Adds the end of a subscription to what is to be written; its packet id.
    ///
    /// # Errors
    /// The packet cannot be written.
    pub fn unsubscribe(&mut self, topic: &str) -> Result<u16, SessionError> {
        let mut unsubscribe = Unsubscribe::new(topic, None);
        unsubscribe.pkid = self.free_id();
        let pkid = unsubscribe.pkid;
        self.put(&Packet::Unsubscribe(unsubscribe))?;
        Ok(pkid)
    }

    /// Whether another publish may be added now.
    pub fn has_room(&self) -> bool {
        self.in_flight.len() < usize::from(self.most_in_flight) && self.output.len() < FULL
    }

    /// Adds a publish at QoS 1 to what is to be written; its packet id. Retained only where the MQTT broker does that.
    ///
    /// # Errors
    /// The packet cannot be written.
    pub fn publish(&mut self, topic: Bytes, payload: Bytes, retain: bool) -> Result<u16, SessionError> {
        let pkid = self.free_id();
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: retain && self.retain,
            topic,
            pkid,
            payload,
            properties: None,
        };
        publish.write(&mut self.output)?;
        self.in_flight.push_back(pkid);
        Ok(pkid)
    }

    /// Adds a ping.
    ///
    /// # Errors
    /// The packet cannot be written.
    pub fn ping(&mut self) -> Result<(), SessionError> {
        self.put(&Packet::PingReq(PingReq))
    }

    /// The next publish among what was received. All else is dealt with on the way; PUBACKs for what is
    /// returned are added to what is to be written.
    ///
    /// # Errors
    /// The MQTT broker ended the session, or sent what makes no sense.
    pub fn received(&mut self) -> Result<Option<Publish>, SessionError> {
        while let Some(packet) = self.packet()? {
            match packet {
                Packet::Publish(publish) => {
                    if publish.qos == QoS::AtLeastOnce {
                        self.put(&Packet::PubAck(PubAck::new(publish.pkid, None)))?;
                    }
                    return Ok(Some(publish));
                }
                // Whatever its reason: only the ack end to end says that an event is safe.
                Packet::PubAck(ack) => {
                    if let Some(at) = self.in_flight.iter().position(|&pkid| pkid == ack.pkid) {
                        self.in_flight.remove(at);
                    }
                }
                Packet::SubAck(ack) => {
                    let refused =
                        |code: &&SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
                    if let Some(code) = ack.return_codes.iter().find(refused) {
                        return Err(SessionError::NoSubscription(*code));
                    }
                }
                Packet::PingResp(_) | Packet::UnsubAck(_) => {}
                Packet::Disconnect(disconnect) => return Err(SessionError::Ended(disconnect.reason_code)),
                _ => return Err(SessionError::Unexpected),
            }
        }
        Ok(None)
    }

    /// Waits until something can be read, or until what is to be written can be. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn ready(&self) -> io::Result<tokio::io::Ready> {
        let writing = if self.output.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        self.stream.ready(writing).await
    }

    /// Reads what there is; `true` if there was something.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn read(&mut self) -> Result<bool, SessionError> {
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what there is to write, as far as it goes; `true` if something went.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn write(&mut self) -> Result<bool, SessionError> {
        let mut went = false;
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(written) => self.output.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            went = true;
        }
        Ok(went)
    }

    /// Writes what there is to write, and says goodbye.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn close(mut self) -> Result<(), SessionError> {
        self.put(&Packet::Disconnect(Disconnect::new(
            DisconnectReasonCode::NormalDisconnection,
        )))?;
        let goodbye = async {
            self.stream.write_all_buf(&mut self.output).await?;
            self.stream.shutdown().await
        };
        tokio::time::timeout(Duration::from_secs(1), goodbye)
            .await
            .map_err(|_| SessionError::Silent)??;
        Ok(())
    }

    fn packet(&mut self) -> Result<Option<Packet>, SessionError> {
        // Without properties, rumqttc takes them for incomplete: a DISCONNECT, and how a broker that speaks only MQTT 3.1.1
        // refuses.
        match *self.input {
            [0xE0, 0, ..] => return Err(SessionError::Ended(DisconnectReasonCode::NormalDisconnection)),
            [0xE0, 1, code, ..] => return Err(SessionError::Ended(DisconnectReasonCode::try_from(code)?)),
            [0x20, 2, _, 1, ..] => {
                return Err(SessionError::Refused(
                    ConnectReturnCode::UnsupportedProtocolVersion,
                ));
            }
            _ => {}
        }
        match Packet::read(&mut self.input, Some(MAX_PACKET)) {
            Ok(packet) => Ok(Some(packet)),
            Err(mqttbytes::Error::InsufficientBytes(more)) => {
                self.input.reserve(more.max(READ));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn put(&mut self, packet: &Packet) -> Result<(), SessionError> {
        packet.write(&mut self.output, None)?;
        Ok(())
    }

    /// A packet id that no publish in flight has. There is always one: fewer are in flight than there are
    /// ids.
    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.in_flight.contains(&self.last_id) {
                return self.last_id;
            }
        }
    }
}
