//! A connection in two halves that never wait for each other.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::dial::{BrokerAddress, dial, dial_tls};
use crate::error::Error;
use crate::handshake::{ConnectOptions, Handshake, handshake};
use crate::limits::BrokerLimits;
use crate::packet::BrokerPacket;
use crate::reader::PacketReader;
use crate::writer::PacketWriter;

/// Longest silence until the caller sets its own limit.
const DEFAULT_SILENCE: Duration = Duration::from_secs(25);

/// A connection whose CONNECT was accepted.
pub struct Connection {
    pub input: Input,
    pub output: Output,
    /// Whether the broker kept the session and its queued messages.
    pub session_present: bool,
    pub limits: BrokerLimits,
}

/// The half that receives packets.
pub struct Input {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    packets: PacketReader,
    /// Silence after which the broker is considered gone.
    max_silence: Duration,
}

/// The half that sends packets. It collects them, and [`Output::flush`] sends them together.
pub struct Output {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    packets: PacketWriter,
}

impl Connection {
    /// Connects over TCP, or over TLS if `tls` is set. Sets no deadline.
    ///
    /// # Errors
    /// The broker is unreachable, refuses the connection, or allows QoS 0 only.
    pub async fn open(address: BrokerAddress<'_>, tls: bool, options: ConnectOptions) -> Result<Self, Error> {
        match tls {
            false => {
                let mut stream = dial(address).await?;
                let session = handshake(&mut stream, options).await?;
                let (input, output) = stream.into_split();
                Ok(Self::new(session, input, output))
            }
            true => {
                let mut stream = dial_tls(address).await?;
                let session = handshake(&mut stream, options).await?;
                let (input, output) = tokio::io::split(stream);
                Ok(Self::new(session, input, output))
            }
        }
    }

    fn new(
        session: Handshake,
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            input: Input {
                stream: Box::new(input),
                packets: session.reader,
                max_silence: DEFAULT_SILENCE,
            },
            output: Output {
                stream: Box::new(output),
                packets: session.writer,
            },
            session_present: session.session_present,
            limits: session.limits,
        }
    }
}

impl Input {
    /// The broker is considered gone after `max` of silence. Only time spent in [`Input::next`] counts, because the
    /// broker is not to blame while its packets are not being read.
    pub fn set_max_silence(&mut self, max: Duration) {
        self.max_silence = max;
    }

    /// The next packet, which is never a DISCONNECT. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// The broker ended the connection, was silent for too long, or sent bytes that are not MQTT 5.
    pub async fn next(&mut self) -> Result<BrokerPacket, Error> {
        loop {
            match self.packets.next_packet()? {
                Some(BrokerPacket::Disconnect(disconnect)) => {
                    return Err(Error::Disconnected(disconnect.reason));
                }
                Some(packet) => return Ok(packet),
                None => {}
            }
            let read = timeout(self.max_silence, self.stream.read_buf(self.packets.buffer())).await;
            if read.map_err(|_| Error::Timeout)?? == 0 {
                return Err(Error::Closed);
            }
        }
    }
}

impl Output {
    /// The writer that collects packets for [`Output::flush`].
    pub fn packets(&mut self) -> &mut PacketWriter {
        &mut self.packets
    }

    /// Sends all collected packets. Not cancel-safe: a dropped future may have sent half a packet.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.stream.write_all(self.packets.bytes()).await?;
        self.stream.flush().await?;
        self.packets.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(stream: impl AsyncRead + Send + Unpin + 'static) -> Input {
        Input {
            stream: Box::new(stream),
            packets: PacketReader::new(1_024, 1_024),
            max_silence: DEFAULT_SILENCE,
        }
    }

    #[tokio::test]
    async fn a_broker_that_is_silent_for_too_long_counts_as_gone() {
        let (client, _broker) = tokio::io::duplex(1_024);
        let mut input = input(client);
        input.set_max_silence(Duration::from_millis(10));
        assert!(matches!(input.next().await, Err(Error::Timeout)));
    }

    #[tokio::test]
    async fn packets_that_arrive_together_are_returned_one_by_one_before_the_disconnect() {
        let (client, mut broker) = tokio::io::duplex(1_024);
        broker.write_all(&[0xD0, 0, 0xD0, 0, 0xE0, 0]).await.unwrap();
        let mut input = input(client);
        for _ in 0..2 {
            assert_eq!(input.next().await.unwrap(), BrokerPacket::PingResp);
        }
        assert!(matches!(input.next().await, Err(Error::Disconnected(_))));
    }
}
