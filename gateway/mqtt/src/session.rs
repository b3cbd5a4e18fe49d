//! A session that never waits: its owner decides when it reads and writes.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, Interest, Ready};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dial::{BrokerAddress, dial};
use crate::error::Error;
use crate::handshake::{ConnectOptions, handshake};
use crate::in_flight::InFlight;
use crate::limits::BrokerLimits;
use crate::packet::{BrokerPacket, InboundPublish};
use crate::reader::PacketReader;
use crate::reason::Reason;
use crate::writer::{OutboundPublish, PacketWriter};

/// How long [`Session::close`] tries to send the remaining packets.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An established session over TCP, with QoS 1 throughout. A lost session is dropped with everything in flight.
pub struct Session {
    stream: TcpStream,
    reader: PacketReader,
    writer: PacketWriter,
    in_flight: InFlight<()>,
    /// Whether the broker accepts retained messages.
    may_retain: bool,
    /// Longest time, in seconds, that the broker accepts without a packet from this client.
    keep_alive_s: u16,
}

impl Session {
    /// Connects, with at most `window` publishes in flight, or fewer if the broker's limit is lower. Sets no deadline.
    ///
    /// # Errors
    /// The broker is unreachable, refuses the connection, or allows QoS 0 only.
    pub async fn connect(
        address: BrokerAddress<'_>,
        options: ConnectOptions,
        window: u16,
    ) -> Result<Self, Error> {
        let keep_alive_s = options.keep_alive_s;
        let mut stream = dial(address).await?;
        let session = handshake(&mut stream, options).await?;
        let BrokerLimits {
            receive_maximum,
            keeps_retained_messages,
            ..
        } = session.limits;
        Ok(Self {
            stream,
            reader: session.reader,
            writer: session.writer,
            in_flight: InFlight::new(window.min(receive_maximum)),
            may_retain: keeps_retained_messages,
            // 0 means that the broker accepts any silence. This client still needs to detect a broker that is gone.
            keep_alive_s: session
                .limits
                .keep_alive_s
                .filter(|seconds| *seconds > 0)
                .unwrap_or(keep_alive_s),
        })
    }

    /// Longest time, in seconds, that the broker accepts without a packet from this client.
    pub fn keep_alive_s(&self) -> u16 {
        self.keep_alive_s
    }

    /// Stops using the retain flag, because the broker refuses it although its CONNACK allows it.
    pub fn disable_retain(&mut self) {
        self.may_retain = false;
    }

    /// Queues a subscription at QoS 1, and returns its packet id.
    ///
    /// # Errors
    /// The packet is larger than the broker accepts.
    pub fn subscribe(&mut self, topic: &str) -> Result<u16, Error> {
        let packet_id = self.in_flight.next_id();
        self.writer.subscribe(packet_id, [topic])?;
        Ok(packet_id)
    }

    /// Queues the end of a subscription, and returns the packet id.
    ///
    /// # Errors
    /// The packet is larger than the broker accepts.
    pub fn unsubscribe(&mut self, topic: &str) -> Result<u16, Error> {
        let packet_id = self.in_flight.next_id();
        self.writer.unsubscribe(packet_id, vec![topic.to_owned()])?;
        Ok(packet_id)
    }

    /// Whether the window has room for another publish.
    pub fn has_room(&self) -> bool {
        self.in_flight.has_room() && !self.writer.is_full()
    }

    /// Queues a publish at QoS 1, and returns its packet id. The retain flag is set only if the broker accepts it.
    ///
    /// # Errors
    /// The packet is larger than the broker accepts.
    pub fn publish(&mut self, topic: Bytes, payload: Bytes, retain: bool) -> Result<u16, Error> {
        let packet_id = self.in_flight.push(());
        let put = self.writer.publish(OutboundPublish {
            packet_id,
            topic,
            payload,
            retain: retain && self.may_retain,
        });
        if put.is_err() {
            self.in_flight.remove(packet_id);
        }
        put.map(|()| packet_id)
    }

    /// Queues a ping.
    ///
    /// # Errors
    /// None at present; see [`PacketWriter`].
    pub fn ping(&mut self) -> Result<(), Error> {
        self.writer.ping()
    }

    /// The next publish among the received packets. Queues its PUBACK, and handles all other packets before it.
    ///
    /// # Errors
    /// The broker ended the connection, refused a subscription, or sent bytes that are not MQTT 5.
    pub fn next_publish(&mut self) -> Result<Option<InboundPublish>, Error> {
        while let Some(packet) = self.reader.next_packet()? {
            match packet {
                BrokerPacket::Publish(publish) => {
                    if let Some(packet_id) = publish.packet_id {
                        self.writer.puback(packet_id)?;
                    }
                    return Ok(Some(publish));
                }
                // The reason code is ignored, because only the end-to-end ack confirms that an event is safe.
                BrokerPacket::PubAck(ack) => _ = self.in_flight.remove(ack.packet_id),
                BrokerPacket::SubAck(ack) => {
                    if let Some(&code) = ack.codes.iter().find(|code| code.is_failure()) {
                        return Err(Error::SubscriptionRefused(Reason {
                            code,
                            text: ack.reason_text,
                            server: None,
                        }));
                    }
                }
                BrokerPacket::PingResp | BrokerPacket::UnsubAck => {}
                BrokerPacket::Disconnect(disconnect) => return Err(Error::Disconnected(disconnect.reason)),
                BrokerPacket::ConnAck(_) | BrokerPacket::Unexpected => return Err(Error::UnexpectedPacket),
            }
        }
        Ok(None)
    }

    /// Waits until the socket is readable or, if there are bytes to write, writable. Cancel-safe: dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn ready(&self) -> Result<Ready, Error> {
        let interest = match self.writer.is_empty() {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        Ok(self.stream.ready(interest).await?)
    }

    /// Reads the bytes that have arrived. Returns `false` if there are none.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn read(&mut self) -> Result<bool, Error> {
        match self.stream.try_read_buf(self.reader.buffer()) {
            Ok(0) => Err(Error::Closed),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as many bytes as the socket accepts. Returns `false` if there are none, or it accepts none.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn write(&mut self) -> Result<bool, Error> {
        let mut wrote = false;
        while !self.writer.is_empty() {
            match self.stream.try_write(self.writer.bytes()) {
                Ok(count) => self.writer.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            wrote = true;
        }
        Ok(wrote)
    }

    /// Writes the remaining bytes and ends the connection; the broker keeps the session.
    ///
    /// # Errors
    /// The connection is lost, or does not accept the bytes within a second.
    pub async fn close(mut self) -> Result<(), Error> {
        self.writer.disconnect()?;
        let sent = async {
            self.stream.write_all(self.writer.bytes()).await?;
            self.stream.shutdown().await
        };
        timeout(CLOSE_TIMEOUT, sent).await.map_err(|_| Error::Timeout)??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// A session, and the broker's end of its connection after the CONNACK.
    async fn connected(connack: &[u8]) -> (Session, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = BrokerAddress {
            host: "127.0.0.1",
            port: listener.local_addr().unwrap().port(),
        };
        let options = ConnectOptions {
            client_id: "c".to_owned(),
            credentials: None,
            clean_start: false,
            session_expiry_s: 60,
            keep_alive_s: 30,
            receive_maximum: None,
            max_packet: 1_024,
            read_size: 1_024,
            last_will: None,
        };
        let accepted = async {
            let (mut broker, _) = listener.accept().await.unwrap();
            let mut header = [0; 2];
            broker.read_exact(&mut header).await.unwrap();
            let mut connect = vec![0; usize::from(header[1])];
            broker.read_exact(&mut connect).await.unwrap();
            broker.write_all(connack).await.unwrap();
            broker
        };
        let (session, broker) = tokio::join!(Session::connect(address, options, 128), accepted);
        (session.unwrap(), broker)
    }

    async fn read_some(session: &mut Session) {
        while !session.read().unwrap() {
            session.ready().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_puback_makes_room_in_the_brokers_window() {
        // Receive Maximum 1.
        let (mut session, mut broker) = connected(&[0x20, 6, 0, 0, 3, 0x21, 0, 1]).await;
        let id = session.publish("t".into(), "x".into(), false).unwrap();
        assert!(!session.has_room());
        assert!(session.write().unwrap());
        let mut sent = [0; 9];
        broker.read_exact(&mut sent).await.unwrap();
        assert_eq!(sent, [0x32, 7, 0, 1, b't', 0, 1, 0, b'x']);
        broker.write_all(&[0x40, 2, 0, id as u8]).await.unwrap();
        read_some(&mut session).await;
        assert_eq!(session.next_publish().unwrap(), None);
        assert!(session.has_room());
    }

    #[tokio::test]
    async fn a_received_publish_is_acknowledged_with_the_next_write() {
        let (mut session, mut broker) = connected(&[0x20, 3, 0, 0, 0]).await;
        let publish = [0x32, 7, 0, 1, b't', 0, 9, 0, b'x'];
        broker.write_all(&publish).await.unwrap();
        read_some(&mut session).await;
        let publish = session.next_publish().unwrap().unwrap();
        assert_eq!(publish.packet_id, Some(9));
        session.write().unwrap();
        let mut puback = [0; 4];
        broker.read_exact(&mut puback).await.unwrap();
        assert_eq!(puback, [0x40, 2, 0, 9]);
    }

    #[tokio::test]
    async fn the_retain_flag_is_dropped_where_the_broker_retains_nothing() {
        // Retain Available 0.
        let (mut session, mut broker) = connected(&[0x20, 5, 0, 0, 2, 0x25, 0]).await;
        session.publish("t".into(), "x".into(), true).unwrap();
        session.close().await.unwrap();
        let mut sent = Vec::new();
        broker.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, [0x32, 7, 0, 1, b't', 0, 1, 0, b'x', 0xE0, 0]);
    }

    #[tokio::test]
    async fn a_refused_subscription_and_a_takeover_end_the_session() {
        let (mut session, mut broker) = connected(&[0x20, 3, 0, 0, 0]).await;
        broker.write_all(&[0x90, 4, 0, 1, 0, 0x87]).await.unwrap();
        read_some(&mut session).await;
        let error = session.next_publish().unwrap_err();
        assert!(matches!(error, Error::SubscriptionRefused(_)), "{error}");
        broker.write_all(&[0xE0, 1, 0x8E]).await.unwrap();
        read_some(&mut session).await;
        assert!(session.next_publish().unwrap_err().is_taken_over());
    }
}
