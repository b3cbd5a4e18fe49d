//! CONNECT and CONNACK.

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{self, Connect, ConnectProperties};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::error::Error;
use crate::limits::BrokerLimits;
use crate::packet::{BrokerPacket, ConnAck};
use crate::reader::PacketReader;
use crate::reason::{Reason, ReasonCode};
use crate::writer::PacketWriter;

/// The contents of a client's CONNECT.
pub struct ConnectOptions {
    /// Two clients with the same client id disconnect each other.
    pub client_id: String,
    pub credentials: Option<Credentials>,
    /// Whether the broker discards an earlier session of this client id.
    pub clean_start: bool,
    /// Session expiry: how many seconds the broker keeps the session and its messages while the client is away.
    pub session_expiry_s: u32,
    /// Keep-alive in seconds: the broker may consider the client gone after one and a half times this without a packet.
    pub keep_alive_s: u16,
    /// Most publishes that the broker may have unacknowledged. `None`: as many as there are packet ids.
    pub receive_maximum: Option<u16>,
    /// Largest packet that this client accepts, in bytes. The broker does not deliver a larger one.
    pub max_packet: u32,
    /// Buffer space reserved for each read, in bytes.
    pub read_size: u32,
    pub last_will: Option<LastWill>,
}

/// User name and password. Has no `Debug`, so that neither gets into a log.
pub struct Credentials {
    pub user_name: String,
    pub password: String,
}

/// Published by the broker at QoS 1 when the connection is lost.
pub struct LastWill {
    pub topic: Bytes,
    pub payload: Bytes,
    pub retain: bool,
}

/// A session right after its CONNACK.
pub struct Handshake {
    pub reader: PacketReader,
    pub writer: PacketWriter,
    pub session_present: bool,
    pub limits: BrokerLimits,
}

/// Sends CONNECT and waits for a CONNACK that accepts it. Sets no deadline.
///
/// # Errors
/// The server refuses, does not speak MQTT 5, allows QoS 0 only, or closes the connection.
pub async fn handshake(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    options: ConnectOptions,
) -> Result<Handshake, Error> {
    let mut reader = PacketReader::new(options.max_packet, options.read_size);
    let mut writer = PacketWriter::default();
    let client_id = options.client_id.clone();
    let clean_start = options.clean_start;
    let is_anonymous = options.credentials.is_none();
    put_connect(&mut writer, options)?;
    stream.write_all(writer.bytes()).await?;
    stream.flush().await?;
    writer.clear();
    let connack = await_connack(stream, &mut reader).await?;
    if let Some(error) = refusal(&connack, is_anonymous, client_id) {
        return Err(error);
    }
    let limits = match BrokerLimits::read(connack.properties) {
        Ok(limits) => limits,
        Err(error) => {
            match clean_start {
                true => writer.disconnect_and_end_session()?,
                false => writer.disconnect()?,
            }
            stream.write_all(writer.bytes()).await?;
            stream.flush().await?;
            return Err(error);
        }
    };
    writer.set_max_packet(limits.max_packet);
    Ok(Handshake {
        reader,
        writer,
        session_present: connack.session_present,
        limits,
    })
}

fn put_connect(writer: &mut PacketWriter, options: ConnectOptions) -> Result<(), Error> {
    let connect = Connect {
        keep_alive: options.keep_alive_s,
        client_id: options.client_id,
        clean_start: options.clean_start,
        properties: Some(ConnectProperties {
            session_expiry_interval: Some(options.session_expiry_s),
            receive_maximum: options.receive_maximum,
            max_packet_size: Some(options.max_packet),
            topic_alias_max: None,
            request_response_info: None,
            request_problem_info: None,
            user_properties: Vec::new(),
            authentication_method: None,
            authentication_data: None,
        }),
    };
    let will = options.last_will.map(|will| v5::LastWill {
        topic: will.topic,
        message: will.payload,
        qos: QoS::AtLeastOnce,
        retain: will.retain,
        properties: None,
    });
    let login = options.credentials.map(|credentials| v5::Login {
        username: credentials.user_name,
        password: credentials.password,
    });
    writer.connect(connect, will, login)
}

async fn await_connack(
    stream: &mut (impl AsyncRead + Unpin),
    reader: &mut PacketReader,
) -> Result<ConnAck, Error> {
    // Recognises other protocols by their first two bytes; the reader would wait for the rest of a packet.
    reader.next_packet()?;
    while reader.buffer().len() < 2 {
        match stream.read_buf(reader.buffer()).await {
            Ok(0) | Err(_) => return Err(Error::ClosedBeforeConnAck),
            Ok(_) => {}
        }
    }
    check_protocol(reader.buffer())?;
    loop {
        match reader.next_packet()? {
            Some(BrokerPacket::ConnAck(connack)) => return Ok(connack),
            Some(BrokerPacket::Disconnect(disconnect)) => return Err(Error::Disconnected(disconnect.reason)),
            Some(_) => return Err(Error::UnexpectedPacket),
            None if stream.read_buf(reader.buffer()).await? == 0 => return Err(Error::Closed),
            None => {}
        }
    }
}

fn check_protocol(answer: &BytesMut) -> Result<(), Error> {
    match answer[..] {
        [b'H', b'T', ..] => Err(Error::Http),
        // A TLS alert.
        [0x15, 3, ..] => Err(Error::TlsRequired),
        _ => Ok(()),
    }
}

fn refusal(connack: &ConnAck, is_anonymous: bool, client_id: String) -> Option<Error> {
    match connack.code {
        ReasonCode::SUCCESS => None,
        ReasonCode::BAD_USER_NAME_OR_PASSWORD | ReasonCode::NOT_AUTHORIZED if is_anonymous => {
            Some(Error::CredentialsRequired)
        }
        ReasonCode::BAD_USER_NAME_OR_PASSWORD | ReasonCode::NOT_AUTHORIZED => {
            Some(Error::CredentialsRejected { client_id })
        }
        code => {
            let properties = connack.properties.as_ref();
            Some(Error::Refused(Reason {
                code,
                text: properties.and_then(|properties| properties.reason_string.clone()),
                server: properties.and_then(|properties| properties.server_reference.clone()),
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(credentials: Option<Credentials>) -> ConnectOptions {
        ConnectOptions {
            client_id: "c".to_owned(),
            credentials,
            clean_start: false,
            session_expiry_s: 0x0102_0304,
            keep_alive_s: 30,
            receive_maximum: Some(1_000),
            max_packet: 0x0020_0000,
            read_size: 1_024,
            last_will: None,
        }
    }

    async fn answer(bytes: &[u8], credentials: Option<Credentials>) -> Result<Handshake, Error> {
        let (mut client, mut broker) = tokio::io::duplex(1 << 10);
        broker.write_all(bytes).await.unwrap();
        broker.shutdown().await.unwrap();
        handshake(&mut client, options(credentials)).await
    }

    /// Sessions at brokers outlive an update of the gateway, so the bytes that a broker sees must not change.
    #[test]
    fn a_connect_has_the_same_bytes_as_ever() {
        let mut writer = PacketWriter::default();
        let will = LastWill {
            topic: Bytes::from_static(b"t"),
            payload: Bytes::from_static(b"off"),
            retain: true,
        };
        let credentials = Credentials {
            user_name: "u".to_owned(),
            password: "p".to_owned(),
        };
        let options = ConnectOptions {
            last_will: Some(will),
            ..options(Some(credentials))
        };
        put_connect(&mut writer, options).unwrap();
        let expected = [
            &[0x10, 42, 0, 4][..],
            b"MQTT",
            // Version; flags (user name, password, retained will at QoS 1, no clean start); keep-alive.
            &[5, 0b1110_1100, 0, 30],
            // Session Expiry Interval, Receive Maximum, Maximum Packet Size.
            &[13, 0x11, 1, 2, 3, 4, 0x21, 3, 0xE8, 0x27, 0, 0x20, 0, 0],
            &[0, 1, b'c', 0, 0, 1, b't', 0, 3, b'o', b'f', b'f'],
            &[0, 1, b'u', 0, 1, b'p'],
        ];
        assert_eq!(writer.bytes(), expected.concat());
    }

    #[tokio::test]
    async fn the_limits_are_those_of_the_connack() {
        let all = [
            0x20, 18, 1, 0, 15, 0x21, 0, 7, 0x27, 0, 0, 1, 0, 0x25, 0, 0x28, 0, 0x13, 0, 9, 0,
        ];
        // The last byte belongs to no packet yet.
        let session = answer(&all, None).await.unwrap();
        let expected = BrokerLimits {
            receive_maximum: 7,
            max_packet: Some(256),
            keeps_retained_messages: false,
            allows_wildcards: false,
            session_expiry_s: None,
            keep_alive_s: Some(9),
            assigned_client_id: None,
        };
        assert_eq!((session.session_present, session.limits), (true, expected));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_acceptance_is_an_error_that_says_what_it_is() {
        let cases: [(&[u8], &str); 9] = [
            (b"", "instead of answering"),
            (b"HTTP/1.1 400", "HTTP"),
            (&[0x15, 3, 3, 0, 2, 2, 70], "speaks TLS"),
            (&[0xFF; 8], "not MQTT 5"),
            (&[0xD0, 0], "must not send"),
            (&[0x20, 9, 0], "without giving a reason"),
            (&[0x20, 2, 0, 1], "unsupported protocol version (0x84)"),
            (&[0x20, 5, 0, 0, 2, 0x24, 0], "QoS 0 only"),
            (&[0x20, 6, 0, 0, 3, 0x21, 0, 0], "Receive Maximum 0"),
        ];
        for (bytes, words) in cases {
            let Err(error) = answer(bytes, None).await else {
                panic!("{bytes:?} was accepted");
            };
            assert!(error.to_string().contains(words), "{bytes:?}: {error}");
        }
    }

    #[tokio::test]
    async fn missing_credentials_are_distinguished_from_wrong_ones() {
        for code in [0x86, 0x87] {
            let bytes = [0x20, 3, 0, code, 0];
            let error = answer(&bytes, None).await.err().unwrap();
            assert!(matches!(error, Error::CredentialsRequired), "{error}");
            let credentials = Credentials {
                user_name: "u".to_owned(),
                password: "p".to_owned(),
            };
            let error = answer(&bytes, Some(credentials)).await.err().unwrap();
            assert!(matches!(error, Error::CredentialsRejected { .. }), "{error}");
        }
    }
}
