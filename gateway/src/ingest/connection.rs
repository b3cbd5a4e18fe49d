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
use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore};
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Connect, ConnectProperties, ConnectReturnCode, Disconnect, DisconnectReasonCode, Filter, Login,
    Packet, PingReq, PubAck, Publish, Subscribe,
};
use rumqttc::v5::mqttbytes::{Error as PacketError, QoS};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::downlink::{self, Outgoing};
use crate::config::MqttUrl;

/// Largest MQTT packet taken. A larger one the broker does not deliver.
const MAX_PACKET: u32 = 2 << 20;
/// The broker keeps the session, and what comes for it, for a week without us.
const SESSION_EXPIRY: u32 = 7 * 24 * 3_600;
/// Seconds of silence after which the broker may give us up; it waits half as long again.
const KEEP_ALIVE: u16 = 30;
/// Between pings: each brings an answer, so that silence means that nobody is there.
pub const PING_EVERY: Duration = Duration::from_secs(10);
/// Of a peer that is being waited for.
const SILENCE: Duration = Duration::from_secs(25);
/// For everything up to the CONNACK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read at a time, and written at a time.
const CHUNK: usize = 16 << 10;
/// Of the only SUBSCRIBE of a connection.
const SUBSCRIBE_ID: u16 = downlink::MAX_PACKET_ID + 1;

/// Why a connection could not be made, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the MQTT broker closed the connection")]
    Closed,
    #[error("the MQTT broker is silent")]
    Silent,
    #[error("the MQTT broker refuses the connection: {0:?}")]
    Refused(ConnectReturnCode),
    #[error("the MQTT broker wants a user name and a password (mqtt.url has none)")]
    Anonymous,
    #[error("the MQTT broker does not know the user name, or the password is wrong")]
    WrongPassword,
    #[error("the MQTT broker ended the connection: {0:?}")]
    Ended(DisconnectReasonCode),
    #[error("the MQTT broker's bytes are not MQTT 5: {0}")]
    Packet(#[from] PacketError),
    #[error("the MQTT broker sent what does not belong here")]
    Unexpected,
    #[error("mqtt.url: the host is no name that a certificate could have: {0}")]
    ServerName(#[from] InvalidDnsNameError),
    #[error("this machine has no certificates to trust an MQTT broker by: {0}")]
    NoCertificates(String),
}

/// Who connects, where, and what it wants.
pub struct Request<'a> {
    pub url: &'a MqttUrl,
    pub client_id: &'a str,
    /// Publishes that the broker may have unacknowledged at a time, if it keeps to it.
    pub receive_maximum: u16,
    pub filters: Vec<Filter>,
}

/// A connection whose CONNECT was accepted, with the SUBSCRIBE on its way.
pub struct Opened {
    pub input: Input,
    pub output: Output,
    /// The session, and what waits in it, was kept.
    pub session_present: bool,
    /// Publishes that the broker lets us have unacknowledged.
    pub receive_maximum: u16,
}

/// What the broker sends.
pub struct Input {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
}

/// What it gets. Packets are put into a buffer, and leave together.
pub struct Output {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: BytesMut,
}

/// Connects and subscribes; the session is kept from before, if the broker still has it.
pub async fn open(request: Request<'_>) -> Result<Opened, ConnectionError> {
    timeout(CONNECT_TIMEOUT, connect(request))
        .await
        .map_err(|_| ConnectionError::Silent)?
}

/// Whether the broker is there and takes us in. Says goodbye at once; with a `client_id` of its own this disturbs
/// nobody, and leaves nothing at the broker.
pub async fn reach(url: &MqttUrl, client_id: &str) -> Result<(), ConnectionError> {
    let reached = async {
        let connect = Connect {
            keep_alive: KEEP_ALIVE,
            client_id: client_id.to_owned(),
            clean_start: true,
            // Without a session's expiry it ends with the connection.
            properties: None,
        };
        let (_, mut output, _) = introduce(url, connect).await?;
        output.goodbye()?;
        output.flush().await
    };
    timeout(CONNECT_TIMEOUT, reached)
        .await
        .map_err(|_| ConnectionError::Silent)?
}

async fn connect(request: Request<'_>) -> Result<Opened, ConnectionError> {
    let connect = Connect {
        keep_alive: KEEP_ALIVE,
        client_id: request.client_id.to_owned(),
        clean_start: false,
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
    let (input, mut output, accepted) = introduce(request.url, connect).await?;
    let mut subscribe = Subscribe::new_many(request.filters, None);
    subscribe.pkid = SUBSCRIBE_ID;
    output.put(&Packet::Subscribe(subscribe))?;
    output.flush().await?;
    let limits = accepted.properties;
    Ok(Opened {
        input,
        output,
        session_present: accepted.session_present,
        receive_maximum: limits.and_then(|limits| limits.receive_max).unwrap_or(u16::MAX),
    })
}

/// From the dial to a CONNACK that accepts.
async fn introduce(url: &MqttUrl, connect: Connect) -> Result<(Input, Output, ConnAck), ConnectionError> {
    let (mut input, mut output) = dial(url).await?;
    let login = url.credentials.as_ref().map(|(username, password)| Login {
        username: username.clone(),
        password: password.reveal().to_owned(),
    });
    let anonymous = login.is_none();
    output.put(&Packet::Connect(connect, None, login))?;
    output.flush().await?;
    let Packet::ConnAck(accepted) = input.next().await? else {
        return Err(ConnectionError::Unexpected);
    };
    match accepted.code {
        ConnectReturnCode::Success => Ok((input, output, accepted)),
        ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword if anonymous => {
            Err(ConnectionError::Anonymous)
        }
        ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword => {
            Err(ConnectionError::WrongPassword)
        }
        code => Err(ConnectionError::Refused(code)),
    }
}

async fn dial(url: &MqttUrl) -> Result<(Input, Output), ConnectionError> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    stream.set_nodelay(true)?;
    if !url.tls {
        let (input, output) = stream.into_split();
        return Ok(halves(input, output));
    }
    let name = ServerName::try_from(url.host.clone())?;
    let stream = TlsConnector::from(trust()?).connect(name, stream).await?;
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
    };
    let output = Output {
        stream: Box::new(output),
        buffer: BytesMut::new(),
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

impl Input {
    /// The next packet. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<Packet, ConnectionError> {
        loop {
            match Packet::read(&mut self.buffer, Some(MAX_PACKET)) {
                Ok(Packet::Disconnect(goodbye)) => return Err(ConnectionError::Ended(goodbye.reason_code)),
                Ok(packet) => return Ok(packet),
                Err(PacketError::InsufficientBytes(more)) => self.buffer.reserve(more.max(CHUNK)),
                Err(error) => return Err(error.into()),
            }
            let read = timeout(SILENCE, self.stream.read_buf(&mut self.buffer)).await;
            if read.map_err(|_| ConnectionError::Silent)?? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }
}

impl Output {
    pub fn puback(&mut self, packet: u16) -> Result<(), ConnectionError> {
        self.put(&Packet::PubAck(PubAck::new(packet, None)))
    }

    pub fn publish(&mut self, outgoing: Outgoing) -> Result<(), ConnectionError> {
        self.put(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: outgoing.retain,
            topic: Bytes::from(outgoing.topic),
            pkid: outgoing.packet,
            payload: Bytes::from(outgoing.payload),
            properties: None,
        }))
    }

    pub fn ping(&mut self) -> Result<(), ConnectionError> {
        self.put(&Packet::PingReq(PingReq))
    }

    pub fn goodbye(&mut self) -> Result<(), ConnectionError> {
        let reason = DisconnectReasonCode::NormalDisconnection;
        self.put(&Packet::Disconnect(Disconnect::new(reason)))
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
        packet.write(&mut self.buffer, None)?;
        Ok(())
    }
}
