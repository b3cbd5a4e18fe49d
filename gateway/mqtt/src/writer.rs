//! Encodes packets into bytes to send.

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    Connect, Disconnect, DisconnectProperties, DisconnectReasonCode, Filter, LastWill, Login, Packet,
    PingReq, PubAck, Publish, Subscribe, Unsubscribe,
};
use rumqttc::v5::mqttbytes::{Error as PacketError, QoS};

use crate::error::Error;

/// From this size, in bytes, the buffer is worth writing.
const WRITE_SIZE: usize = 16 << 10;

/// A publish at QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundPublish {
    pub packet_id: u16,
    pub topic: Bytes,
    pub payload: Bytes,
    pub retain: bool,
}

/// Encodes packets into a buffer, so that many of them leave in one write.
#[derive(Default)]
pub struct PacketWriter {
    buffer: BytesMut,
    /// Largest packet that the broker accepts, in bytes, if it names a limit. It would end the connection after a
    /// larger one.
    max_packet: Option<u32>,
}

/// # Errors
/// Each of these methods fails with [`Error::PacketTooLarge`] if the packet is larger than the broker accepts, and with
/// [`Error::Malformed`] if it is larger than MQTT can express. In both cases the buffer is unchanged.
impl PacketWriter {
    pub(crate) fn connect(
        &mut self,
        connect: Connect,
        will: Option<LastWill>,
        login: Option<Login>,
    ) -> Result<(), Error> {
        self.put(&Packet::Connect(connect, will, login))
    }

    pub fn publish(&mut self, publish: OutboundPublish) -> Result<(), Error> {
        self.put(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: publish.retain,
            topic: publish.topic,
            pkid: publish.packet_id,
            payload: publish.payload,
            properties: None,
        }))
    }

    /// Acknowledges a publish from the broker.
    pub fn puback(&mut self, packet_id: u16) -> Result<(), Error> {
        self.put(&Packet::PubAck(PubAck::new(packet_id, None)))
    }

    /// Subscribes to all of `filters` at QoS 1.
    pub fn subscribe<T: Into<String>>(
        &mut self,
        packet_id: u16,
        filters: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let filters = filters.into_iter();
        let mut subscribe =
            Subscribe::new_many(filters.map(|filter| Filter::new(filter, QoS::AtLeastOnce)), None);
        subscribe.pkid = packet_id;
        self.put(&Packet::Subscribe(subscribe))
    }

    pub fn unsubscribe(&mut self, packet_id: u16, filters: Vec<String>) -> Result<(), Error> {
        self.put(&Packet::Unsubscribe(Unsubscribe {
            pkid: packet_id,
            filters,
            properties: None,
        }))
    }

    pub fn ping(&mut self) -> Result<(), Error> {
        self.put(&Packet::PingReq(PingReq))
    }

    /// Ends the connection; the broker keeps the session.
    pub fn disconnect(&mut self) -> Result<(), Error> {
        let reason = DisconnectReasonCode::NormalDisconnection;
        self.put(&Packet::Disconnect(Disconnect::new(reason)))
    }

    /// Ends the connection and the session.
    pub fn disconnect_and_end_session(&mut self) -> Result<(), Error> {
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

    fn put(&mut self, packet: &Packet) -> Result<(), Error> {
        let before = self.buffer.len();
        packet.write(&mut self.buffer, self.max_packet).map_err(|error| {
            self.buffer.truncate(before);
            match error {
                PacketError::OutgoingPacketTooLarge { max, .. } => Error::PacketTooLarge { max_bytes: max },
                error => error.into(),
            }
        })?;
        Ok(())
    }
}

impl PacketWriter {
    pub(crate) fn set_max_packet(&mut self, max_packet: Option<u32>) {
        self.max_packet = max_packet;
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether the buffer should be sent before more is added to it.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= WRITE_SIZE
    }

    /// Removes the first `count` bytes after they were sent.
    pub fn advance(&mut self, count: usize) {
        self.buffer.advance(count);
    }

    /// Removes all bytes after they were sent, and keeps the buffer's memory for the next packets.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_is_larger_than_the_broker_accepts_leaves_no_bytes() {
        let mut writer = PacketWriter::default();
        writer.set_max_packet(Some(100));
        let publish = |packet_id, bytes| OutboundPublish {
            packet_id,
            topic: Bytes::from_static(b"pos/s/a/commands"),
            payload: vec![b'x'; bytes].into(),
            retain: false,
        };
        writer.publish(publish(1, 10)).unwrap();
        let error = writer.publish(publish(2, 100)).unwrap_err();
        assert!(matches!(error, Error::PacketTooLarge { max_bytes: 100 }));
        writer.publish(publish(3, 20)).unwrap();
        let mut sent = BytesMut::from(writer.bytes());
        let mut ids = Vec::new();
        while let Ok(Packet::Publish(publish)) = Packet::read(&mut sent, None) {
            ids.push(publish.pkid);
        }
        assert_eq!(ids, [1, 3]);
        assert!(sent.is_empty());
    }

    /// Brokers hold the till's and the gateway's sessions from earlier versions, so the bytes that they see must not
    /// change.
    #[test]
    fn packets_have_the_same_bytes_as_ever() {
        type Put = fn(&mut PacketWriter) -> Result<(), Error>;
        let cases: [(Put, &[u8]); 6] = [
            (|writer| writer.puback(0x0102), &[0x40, 2, 1, 2]),
            (|writer| writer.ping(), &[0xC0, 0]),
            (|writer| writer.disconnect(), &[0xE0, 0]),
            (
                |writer| writer.disconnect_and_end_session(),
                &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0],
            ),
            (
                |writer| writer.subscribe(1, ["a/b"]),
                &[0x82, 9, 0, 1, 0, 0, 3, b'a', b'/', b'b', 1],
            ),
            (
                |writer| writer.unsubscribe(2, vec!["a/b".to_owned()]),
                &[0xA2, 8, 0, 2, 0, 0, 3, b'a', b'/', b'b'],
            ),
        ];
        for (put, bytes) in cases {
            let mut writer = PacketWriter::default();
            put(&mut writer).unwrap();
            assert_eq!(writer.bytes(), bytes);
        }
    }
}
