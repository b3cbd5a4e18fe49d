//! One MQTT 5 connection, in two halves that never wait for one another.
//!
//! The packets are rumqttc's; its event loop is not used, for it reads and writes in turn: whoever stops
//! reading because the disk is slow stops acknowledging, too, and a broker that does not keep to the Receive
//! Maximum (Mosquitto 2.0.11, for a session with a backlog) is read without a bound. Reasons and costs:
//! docs/adr/0005-mqtt-connection.md.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use rumqttc::tokio_rustls::rustls::{ClientConfig, Error as TlsError, InvalidMessage, RootCertStore};
use rumqttc::v5::mqttbytes::v5::{
    Connect, ConnectProperties, Disconnect, DisconnectProperties, DisconnectReasonCode, Filter, Login,
    Packet, PingReq, PubAck, Publish, Subscribe, Unsubscribe,
};
use rumqttc::v5::mqttbytes::{Error as PacketError, QoS};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::downlink::{self, Outgoing};
use super::limits::{KEEP_ALIVE, Limits, SESSION_EXPIRY};
use super::packet::{self, ConnAck, Incoming};
use super::pauses::Cause;
use super::reason::Reason;
use super::subscription::{self, SubscribeError};
use crate::config::MqttUrl;

/// Largest MQTT packet taken. A larger one the broker does not deliver.
const MAX_PACKET: u32 = 2 << 20;
/// For everything up to the CONNACK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read at a time, and written at a time.
const CHUNK: usize = 16 << 10;
/// Of the only SUBSCRIBE of a connection, and of its UNSUBSCRIBE.
const SUBSCRIBE_ID: u16 = downlink::MAX_PACKET_ID + 1;
const UNSUBSCRIBE_ID: u16 = downlink::MAX_PACKET_ID + 2;
/// Reason codes. The broker says the first when another client connects with the same client id.
const SESSION_TAKEN_OVER: u8 = 0x8E;
const SERVER_UNAVAILABLE: u8 = 0x88;
/// Server unavailable, server shutting down, keep alive timeout.
const PASSING: [u8; 3] = [SERVER_UNAVAILABLE, 0x8B, 0x8D];

/// Why a connection could not be made, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error(
        "no connection to the MQTT broker at {0}: {1}; check mqtt.url, and that the broker runs and listens there"
    )]
    Unreachable(String, io::Error),
    #[error("the connection to the MQTT broker was lost: {0}")]
    Io(#[from] io::Error),
    #[error("no TLS connection to the MQTT broker: {0}")]
    Tls(io::Error),
    #[error(
        "the MQTT broker does not speak TLS on this port; write mqtt:// in mqtt.url, or the port of its TLS listener"
    )]
    NotTls,
    #[error(
        "the MQTT broker speaks TLS on this port; write mqtts:// in mqtt.url, or the port of its plain listener"
    )]
    OnlyTls,
    #[error(
        "what listens there answers in HTTP; mqtt.url must name the MQTT port (usually 1883, or 8883 with mqtts://)"
    )]
    Http,
    #[error("the MQTT broker closed the connection without giving a reason")]
    Closed,
    #[error(
        "the MQTT broker closed the connection instead of answering: Comptoir needs a broker that speaks MQTT 5 on this \
         port (with TLS: mqtts:// in mqtt.url)"
    )]
    Unanswered,
    #[error("the MQTT broker does not answer")]
    Silent,
    #[error("the MQTT broker does not answer the subscription")]
    Unsubscribed,
    #[error("the MQTT broker does not acknowledge what the gateway publishes; the broker's log says more")]
    Unacknowledged,
    #[error("{}", .0.refusal())]
    Refused(Reason),
    #[error("the MQTT broker wants a user name and a password (mqtt.url has none)")]
    Anonymous,
    #[error(
        "the MQTT broker does not know the user name, the password is wrong, or this user may not connect with the client \
         id {0:?}"
    )]
    WrongPassword(String),
    #[error("{}", .0.end())]
    Ended(Reason),
    #[error(
        "another client connected to the MQTT broker with the client id {0:?}: two gateways share it, for example after a \
         card was cloned; give each its own store, or its own mqtt.client_id"
    )]
    TakenOver(String),
    #[error(
        "the MQTT broker closed the connection several times without giving a reason: perhaps two gateways share the client \
         id {0:?}, for example after a card was cloned; give each its own store, or its own mqtt.client_id"
    )]
    PerhapsTakenOver(String),
    #[error(
        "the MQTT broker allows QoS 0 only, with which events are lost without a trace; allow QoS 1 (Mosquitto: max_qos 1)"
    )]
    NoQos,
    #[error(
        "the MQTT broker does not support wildcard subscriptions, with which the gateway hears its tills; use a broker that \
         does, for example Mosquitto"
    )]
    NoWildcards,
    #[error(
        "the MQTT broker takes packets of at most {0} bytes, too few for the gateway's; raise its limit (Mosquitto: \
         max_packet_size)"
    )]
    SmallPackets(u32),
    #[error("the MQTT broker's CONNACK says what MQTT 5 forbids: {0}; report it to the broker's maker")]
    Forbidden(&'static str),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error(
        "the MQTT broker sent bytes that are not MQTT 5: {0}; check that mqtt.url names an MQTT broker's port"
    )]
    Packet(#[from] PacketError),
    #[error(
        "the MQTT broker sent a packet that it must not send to a client; report it to the broker's maker"
    )]
    Unexpected,
    #[error("mqtt.url: the host is no name that a certificate could have: {0}")]
    ServerName(#[from] InvalidDnsNameError),
    #[error("this machine has no certificates to trust an MQTT broker by: {0}")]
    NoCertificates(String),
}

impl ConnectionError {
    /// Who has to do something about it.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Unreachable(..) | Self::Io(_) | Self::Tls(_) | Self::Unanswered | Self::Silent => {
                Cause::Network
            }
            Self::Closed => Cause::Closed,
            Self::TakenOver(_) | Self::PerhapsTakenOver(_) => Cause::Twin,
            Self::Refused(Reason { code, .. }) if *code == SERVER_UNAVAILABLE => Cause::Network,
            Self::Ended(Reason { code, .. }) if PASSING.contains(code) => Cause::Network,
            _ => Cause::Broker,
        }
    }
}

/// Who connects, where, and what it wants.
pub struct Request<'a> {
    pub url: &'a MqttUrl,
    pub client_id: &'a str,
    /// Publishes that the broker may have unacknowledged at a time, if it keeps to it.
    pub receive_maximum: u16,
    pub filters: Vec<Filter>,
    /// Subscriptions that a session may have from before and that are no longer wanted.
    pub former: Vec<String>,
}

/// A connection whose CONNECT was accepted, with the SUBSCRIBE on its way.
pub struct Opened {
    pub input: Input,
    pub output: Output,
    /// The session, and what waits in it, was kept.
    pub session_present: bool,
    pub limits: Limits,
}

/// What the broker sends.
pub struct Input {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    /// Silence after which the broker counts as gone.
    silence: Duration,
    client_id: String,
}

/// What it gets. Packets are put into a buffer, and leave together.
pub struct Output {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: BytesMut,
    /// Largest packet that the broker takes, if it has said so. A larger one would end the connection.
    max_packet: Option<u32>,
}

/// Connects and subscribes; the session is kept from before, if the broker still has it.
///
/// # Errors
/// The broker is not reached, refuses, or lacks something without which the gateway cannot work.
pub async fn open(request: Request<'_>) -> Result<Opened, ConnectionError> {
    timeout(CONNECT_TIMEOUT, connect(request, false))
        .await
        .map_err(|_| ConnectionError::Silent)?
}

/// Connects and subscribes as the gateway does, and leaves again; gives the broker's limits that make something work less
/// well. With a `client_id` of its own this disconnects nobody, and leaves nothing behind on the broker.
///
/// # Errors
/// What would keep the gateway from working with this broker.
pub async fn reach(
    url: &MqttUrl,
    client_id: &str,
    filters: Vec<Filter>,
) -> Result<Vec<String>, ConnectionError> {
    let reached = async {
        let topics: Vec<String> = filters.iter().map(|filter| filter.path.clone()).collect();
        let request = Request {
            url,
            client_id,
            receive_maximum: u16::MAX,
            filters,
            former: Vec::new(),
        };
        let mut opened = connect(request, true).await?;
        let granted = loop {
            match opened.input.next().await? {
                Incoming::SubAck(ack) => break subscription::granted(&topics, &ack),
                Incoming::Unexpected | Incoming::ConnAck(_) => return Err(ConnectionError::Unexpected),
                _ => {}
            }
        };
        opened.output.leave_for_good()?;
        opened.output.flush().await?;
        let mut warnings = opened.limits.warnings;
        warnings.extend(granted?);
        Ok(warnings)
    };
    timeout(CONNECT_TIMEOUT, reached)
        .await
        .map_err(|_| ConnectionError::Silent)?
}

async fn connect(request: Request<'_>, clean_start: bool) -> Result<Opened, ConnectionError> {
    let connect = Connect {
        keep_alive: KEEP_ALIVE,
        client_id: request.client_id.to_owned(),
        clean_start,
        properties: Some(ConnectProperties {
            session_expiry_interval: Some(SESSION_EXPIRY),
            receive_maximum: Some(request.receive_maximum),
            max_packet_size: Some(MAX_PACKET),
            topic_alias_max: None,
            request_response_info: None,
            request_problem_info: None,
            user_properties: Vec::new(),
            authentication_method: None,
            authentication_data: None,
        }),
    };
    let (mut input, mut output, accepted) = introduce(request.url, connect).await?;
    let limits = match Limits::of(&accepted, request.client_id) {
        Ok(limits) => limits,
        Err(error) => {
            match clean_start {
                true => output.leave_for_good()?,
                false => output.goodbye()?,
            }
            output.flush().await?;
            return Err(error);
        }
    };
    input.silence = limits.silence;
    output.max_packet = limits.max_packet;
    if accepted.session_present && !request.former.is_empty() {
        output.put(&Packet::Unsubscribe(Unsubscribe {
            pkid: UNSUBSCRIBE_ID,
            filters: request.former,
            properties: None,
        }))?;
    }
    let mut subscribe = Subscribe::new_many(request.filters, None);
    subscribe.pkid = SUBSCRIBE_ID;
    match output.put(&Packet::Subscribe(subscribe)) {
        Err(ConnectionError::Packet(PacketError::OutgoingPacketTooLarge { max, .. })) => {
            return Err(ConnectionError::SmallPackets(max));
        }
        put => put?,
    }
    output.flush().await?;
    Ok(Opened {
        input,
        output,
        session_present: accepted.session_present,
        limits,
    })
}

/// From the dial to a CONNACK that accepts.
async fn introduce(url: &MqttUrl, connect: Connect) -> Result<(Input, Output, ConnAck), ConnectionError> {
    let (mut input, mut output) = dial(url).await?;
    input.client_id.clone_from(&connect.client_id);
    let login = url.credentials.as_ref().map(|(username, password)| Login {
        username: username.clone(),
        password: password.reveal().to_owned(),
    });
    let is_anonymous = login.is_none();
    output.put(&Packet::Connect(connect, None, login))?;
    output.flush().await?;
    input.first_bytes().await?;
    let Incoming::ConnAck(accepted) = input.next().await? else {
        return Err(ConnectionError::Unexpected);
    };
    match accepted.code {
        0 => Ok((input, output, accepted)),
        0x86 | 0x87 if is_anonymous => Err(ConnectionError::Anonymous),
        0x86 | 0x87 => Err(ConnectionError::WrongPassword(input.client_id)),
        code => {
            let properties = accepted.properties;
            let (text, server) = properties
                .map(|properties| (properties.reason_string, properties.server_reference))
                .unwrap_or_default();
            Err(ConnectionError::Refused(Reason { code, text, server }))
        }
    }
}

async fn dial(url: &MqttUrl) -> Result<(Input, Output), ConnectionError> {
    let stream = TcpStream::connect((url.host.as_str(), url.port))
        .await
        .map_err(|error| ConnectionError::Unreachable(format!("{}:{}", url.host, url.port), error))?;
    stream.set_nodelay(true)?;
    if !url.tls {
        let (input, output) = stream.into_split();
        return Ok(halves(input, output));
    }
    let name = ServerName::try_from(url.host.clone())?;
    let stream =
        TlsConnector::from(trust()?)
            .connect(name, stream)
            .await
            .map_err(|error| match speaks_no_tls(&error) {
                true => ConnectionError::NotTls,
                false => ConnectionError::Tls(error),
            })?;
    let (input, output) = tokio::io::split(stream);
    Ok(halves(input, output))
}

fn halves(
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
) -> (Input, Output) {
    let input = Input {
        stream: Box::new(input),
        buffer: BytesMut::new(),
        silence: CONNECT_TIMEOUT,
        client_id: String::new(),
    };
    let output = Output {
        stream: Box::new(output),
        buffer: BytesMut::new(),
        max_packet: None,
    };
    (input, output)
}

/// The certificates of the operating system, or those that `SSL_CERT_FILE` names. Read at each connection:
/// they are renewed while the gateway runs.
fn trust() -> Result<Arc<ClientConfig>, ConnectionError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (trusted, _) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        let problem = found.errors.first().map(ToString::to_string);
        return Err(ConnectionError::NoCertificates(
            problem.unwrap_or_else(|| "none were found".to_owned()),
        ));
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether a TLS handshake failed because the peer answered with something that is not TLS.
fn speaks_no_tls(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(
        cause,
        Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType))
    )
}

impl Input {
    /// The next packet. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<Incoming, ConnectionError> {
        loop {
            match packet::read(&mut self.buffer, MAX_PACKET) {
                Ok(Incoming::Disconnect(goodbye)) if goodbye.code == SESSION_TAKEN_OVER => {
                    return Err(ConnectionError::TakenOver(self.client_id.clone()));
                }
                Ok(Incoming::Disconnect(goodbye)) => {
                    return Err(ConnectionError::Ended(Reason {
                        code: goodbye.code,
                        text: goodbye.reason,
                        server: goodbye.server,
                    }));
                }
                Ok(packet) => return Ok(packet),
                Err(PacketError::InsufficientBytes(more)) => self.buffer.reserve(more.max(CHUNK)),
                Err(error) => return Err(error.into()),
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), ConnectionError> {
        let read = timeout(self.silence, self.stream.read_buf(&mut self.buffer)).await;
        match read.map_err(|_| ConnectionError::Silent)?? {
            0 => Err(ConnectionError::Closed),
            _ => Ok(()),
        }
    }

    /// Waits for the first bytes of the answer to the CONNECT, and tells other protocols from MQTT by them.
    async fn first_bytes(&mut self) -> Result<(), ConnectionError> {
        while self.buffer.len() < 2 {
            self.fill().await.map_err(|error| match error {
                ConnectionError::Closed | ConnectionError::Io(_) => ConnectionError::Unanswered,
                error => error,
            })?;
        }
        match *self.buffer {
            [b'H', b'T', ..] => Err(ConnectionError::Http),
            // A TLS alert.
            [0x15, 3, ..] => Err(ConnectionError::OnlyTls),
            _ => Ok(()),
        }
    }
}

impl Output {
    pub fn puback(&mut self, packet: u16) -> Result<(), ConnectionError> {
        self.put(&Packet::PubAck(PubAck::new(packet, None)))
    }

    /// False if it is larger than the broker takes.
    pub fn publish(&mut self, outgoing: Outgoing) -> Result<bool, ConnectionError> {
        let put = self.put(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: outgoing.retain,
            topic: Bytes::from(outgoing.topic),
            pkid: outgoing.packet,
            payload: Bytes::from(outgoing.payload),
            properties: None,
        }));
        match put {
            Ok(()) => Ok(true),
            Err(ConnectionError::Packet(PacketError::OutgoingPacketTooLarge { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn ping(&mut self) -> Result<(), ConnectionError> {
        self.put(&Packet::PingReq(PingReq))
    }

    pub fn goodbye(&mut self) -> Result<(), ConnectionError> {
        let reason = DisconnectReasonCode::NormalDisconnection;
        self.put(&Packet::Disconnect(Disconnect::new(reason)))
    }

    /// A goodbye with which the broker forgets the session, too.
    fn leave_for_good(&mut self) -> Result<(), ConnectionError> {
        self.put(&Packet::Disconnect(Disconnect {
            reason_code: DisconnectReasonCode::NormalDisconnection,
            properties: Some(DisconnectProperties {
                session_expiry_interval: Some(0),
                reason_string: None,
                user_properties: Vec::new(),
                server_reference: None,
            }),
        }))
    }

    /// Enough is in the buffer for one write.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= CHUNK
    }

    /// Writes what was put. Must be driven to its end.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        self.stream.write_all(&self.buffer).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        Ok(())
    }

    fn put(&mut self, packet: &Packet) -> Result<(), ConnectionError> {
        packet.write(&mut self.buffer, self.max_packet)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_broker_does_not_take_is_not_sent_and_the_rest_is() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(ours);
        let (_input, mut output) = halves(input, output);
        output.max_packet = Some(100);
        let outgoing = |packet, bytes| Outgoing {
            packet,
            topic: "pos/s/a/commands".to_owned(),
            retain: false,
            payload: vec![b'x'; bytes],
        };
        assert!(output.publish(outgoing(1, 10)).unwrap());
        assert!(!output.publish(outgoing(2, 100)).unwrap());
        assert!(output.publish(outgoing(3, 20)).unwrap());
        output.flush().await.unwrap();
        drop((_input, output));
        let mut sent = BytesMut::new();
        while theirs.read_buf(&mut sent).await.unwrap() > 0 {}
        let mut packets = Vec::new();
        while let Ok(Packet::Publish(publish)) = Packet::read(&mut sent, None) {
            packets.push(publish.pkid);
        }
        assert_eq!(packets, [1, 3]);
        assert!(sent.is_empty(), "not half of it");
    }
}
