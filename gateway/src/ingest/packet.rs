//! Decoding of the packets that the MQTT broker sends.
//!
//! Packets that carry a reason code are decoded here, with rumqttc's decoder for their properties. Its own decoder fails
//! on reason codes that it does not list, on a DISCONNECT without properties (which is how Mosquitto says that a session
//! was taken over), and on the two-byte CONNACK of a broker that knows only MQTT 3.1.1.

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::v5::mqttbytes::Error;
use rumqttc::v5::mqttbytes::v5::{
    ConnAckProperties, DisconnectProperties, Packet, PubAckProperties, Publish, SubAckProperties, check,
};

/// A packet from the MQTT broker.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck(PubAck),
    SubAck(SubAck),
    PingResp,
    UnsubAck,
    Disconnect(Disconnect),
    /// A packet that no MQTT broker may send to this gateway.
    Unexpected,
}

#[derive(Debug, Default, PartialEq)]
pub struct ConnAck {
    pub session_present: bool,
    /// The reason code of MQTT 5, also where the broker answered with a return code of MQTT 3.1.1.
    pub code: u8,
    pub properties: Option<ConnAckProperties>,
}

#[derive(Debug, PartialEq)]
pub struct PubAck {
    pub packet: u16,
    pub code: u8,
    pub reason: Option<String>,
}

#[derive(Debug, PartialEq)]
pub struct SubAck {
    /// One for each filter of the SUBSCRIBE, in its order.
    pub codes: Vec<u8>,
    pub reason: Option<String>,
}

#[derive(Debug, PartialEq)]
pub struct Disconnect {
    pub code: u8,
    pub reason: Option<String>,
    pub server: Option<String>,
}

/// Takes the next packet from the front of `buffer`.
///
/// # Errors
/// [`Error::InsufficientBytes`] with the number of bytes to wait for, while the packet is incomplete. Any other error is
/// final: the bytes are not MQTT 5, or the packet is larger than `max_size`.
pub fn read(buffer: &mut BytesMut, max_size: u32) -> Result<Incoming, Error> {
    let decode: fn(Bytes) -> Result<Incoming, Error> = match buffer.first().map(|byte| byte >> 4) {
        Some(2) => connack,
        Some(4) => puback,
        Some(9) => suback,
        Some(11) => |_| Ok(Incoming::UnsubAck),
        Some(14) => disconnect,
        _ => return other(buffer, max_size),
    };
    let length = check(buffer.iter(), Some(max_size))?.frame_length();
    let mut packet = buffer.split_to(length).freeze();
    packet.advance(1);
    while packet.try_get_u8().is_ok_and(|byte| byte & 0x80 != 0) {}
    decode(packet).map_err(complete)
}

fn other(buffer: &mut BytesMut, max_size: u32) -> Result<Incoming, Error> {
    let available = buffer.len();
    match Packet::read(buffer, Some(max_size)) {
        Ok(Packet::Publish(publish)) => Ok(Incoming::Publish(publish)),
        Ok(Packet::PingResp(_)) => Ok(Incoming::PingResp),
        Ok(_) => Ok(Incoming::Unexpected),
        Err(error) if buffer.len() < available => Err(complete(error)),
        Err(error) => Err(error),
    }
}

/// The error of a packet that is there as a whole: waiting for more bytes would be in vain.
fn complete(error: Error) -> Error {
    match error {
        Error::InsufficientBytes(_) => Error::MalformedPacket,
        error => error,
    }
}

fn u8(packet: &mut Bytes) -> Result<u8, Error> {
    packet.try_get_u8().map_err(|_| Error::MalformedPacket)
}

fn u16(packet: &mut Bytes) -> Result<u16, Error> {
    packet.try_get_u16().map_err(|_| Error::MalformedPacket)
}

fn connack(mut packet: Bytes) -> Result<Incoming, Error> {
    let session_present = u8(&mut packet)? & 1 == 1;
    let code = match u8(&mut packet)? {
        1 => 0x84,
        2 => 0x85,
        3 => 0x88,
        4 => 0x86,
        5 => 0x87,
        code => code,
    };
    let properties = match packet.is_empty() {
        true => None,
        false => ConnAckProperties::read(&mut packet)?,
    };
    Ok(Incoming::ConnAck(ConnAck {
        session_present,
        code,
        properties,
    }))
}

fn puback(mut packet: Bytes) -> Result<Incoming, Error> {
    let id = u16(&mut packet)?;
    let code = match packet.is_empty() {
        true => 0,
        false => u8(&mut packet)?,
    };
    let properties = match packet.is_empty() {
        true => None,
        false => PubAckProperties::read(&mut packet)?,
    };
    Ok(Incoming::PubAck(PubAck {
        packet: id,
        code,
        reason: properties.and_then(|properties| properties.reason_string),
    }))
}

fn suback(mut packet: Bytes) -> Result<Incoming, Error> {
    u16(&mut packet)?;
    let properties = SubAckProperties::read(&mut packet)?;
    Ok(Incoming::SubAck(SubAck {
        codes: packet.to_vec(),
        reason: properties.and_then(|properties| properties.reason_string),
    }))
}

fn disconnect(mut packet: Bytes) -> Result<Incoming, Error> {
    let code = match packet.is_empty() {
        true => 0,
        false => u8(&mut packet)?,
    };
    let properties = match packet.is_empty() {
        true => None,
        false => DisconnectProperties::extract(&mut packet)?,
    };
    let (reason, server) = properties
        .map(|properties| (properties.reason_string, properties.server_reference))
        .unwrap_or_default();
    Ok(Incoming::Disconnect(Disconnect { code, reason, server }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Incoming, Error> {
        read(&mut BytesMut::from(bytes), 1_000)
    }

    fn goodbye(code: u8) -> Incoming {
        Incoming::Disconnect(Disconnect {
            code,
            reason: None,
            server: None,
        })
    }

    #[test]
    fn short_packets_and_unknown_reason_codes_are_decoded() {
        assert_eq!(decode(&[0xE0, 0]).unwrap(), goodbye(0));
        assert_eq!(decode(&[0xE0, 1, 0x8E]).unwrap(), goodbye(0x8E));
        assert_eq!(decode(&[0xE0, 2, 0xC0, 0]).unwrap(), goodbye(0xC0));
        let old = ConnAck {
            code: 0x84,
            ..ConnAck::default()
        };
        assert_eq!(decode(&[0x20, 2, 0, 1]).unwrap(), Incoming::ConnAck(old));
        let acked = |code, reason: Option<&str>| {
            Incoming::PubAck(PubAck {
                packet: 7,
                code,
                reason: reason.map(str::to_owned),
            })
        };
        assert_eq!(decode(&[0x40, 2, 0, 7]).unwrap(), acked(0, None));
        assert_eq!(decode(&[0x40, 3, 0, 7, 0xC1]).unwrap(), acked(0xC1, None));
        let with_reason = [0x40, 8, 0, 7, 0x97, 4, 0x1F, 0, 1, b'x'];
        assert_eq!(decode(&with_reason).unwrap(), acked(0x97, Some("x")));
        let codes = vec![1, 0xC2];
        let expected = Incoming::SubAck(SubAck { codes, reason: None });
        assert_eq!(decode(&[0x90, 5, 0, 1, 0, 1, 0xC2]).unwrap(), expected);
        assert_eq!(decode(&[0xB0, 4, 0, 1, 0, 0xC3]).unwrap(), Incoming::UnsubAck);
        assert_eq!(decode(&[0xD0, 0]).unwrap(), Incoming::PingResp);
        assert_eq!(decode(&[0xC0, 0]).unwrap(), Incoming::Unexpected);
    }

    #[test]
    fn only_an_incomplete_packet_waits_for_more_bytes() {
        for packet in [&[0xE0, 3, 0x8E, 1][..], &[0x20], &[0x30, 9, 0, 1, b'a']] {
            let error = decode(packet).unwrap_err();
            assert!(
                matches!(error, Error::InsufficientBytes(_)),
                "{packet:?}: {error}"
            );
        }
        // Complete by its length, and cut off inside: by the property length, or before the reason code.
        for packet in [
            &[0xE0, 2, 0x8E, 0x80][..],
            &[0x20, 1, 0],
            &[0x40, 1, 0],
            &[0x20, 3, 0, 0, 0x80],
            &[0x30, 3, 0, 0, 0x80],
        ] {
            let error = decode(packet).unwrap_err();
            assert!(
                !matches!(error, Error::InsufficientBytes(_)),
                "{packet:?}: {error}"
            );
        }
    }
}
