//! Splits received bytes into packets.

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::Error as PacketError;

use crate::error::Error;
use crate::packet::{self, BrokerPacket};

/// Collects received bytes and splits them into packets.
pub struct PacketReader {
    buffer: BytesMut,
    /// Largest accepted packet, in bytes.
    max_packet: u32,
    /// Buffer space reserved for a read, in bytes.
    read_size: u32,
}

impl PacketReader {
    pub fn new(max_packet: u32, read_size: u32) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_packet,
            read_size,
        }
    }

    /// Removes the next packet from the buffer. `None` if it is incomplete; the buffer then has room for more bytes.
    ///
    /// # Errors
    /// The bytes are not MQTT 5, or the packet is larger than this client accepts.
    pub fn next_packet(&mut self) -> Result<Option<BrokerPacket>, Error> {
        match packet::decode(&mut self.buffer, self.max_packet) {
            Ok(packet) => Ok(Some(packet)),
            Err(PacketError::InsufficientBytes(missing)) => {
                self.buffer.reserve(missing.max(self.read_size as usize));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The buffer to append received bytes to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }
}
