//! Decodes the packets of an MQTT broker.
//!
//! Packets with a reason code are decoded here; only their properties are decoded by rumqttc. Its own decoder fails on
//! reason codes that it does not list, on a DISCONNECT without properties (which Mosquitto sends when a session is
//! taken over), and on the two-byte CONNACK of a broker that knows only MQTT 3.1.1.

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    ConnAckProperties, DisconnectProperties, Packet, PubAckProperties, SubAckProperties, check,
};
use rumqttc::v5::mqttbytes::{Error, QoS};

use crate::reason::{Reason, ReasonCode};

/// A packet from the MQTT broker.
#[derive(Debug, PartialEq)]
pub enum BrokerPacket {
    ConnAck(ConnAck),
    Publish(InboundPublish),
    PubAck(PubAck),
    SubAck(SubAck),
    PingResp,
    UnsubAck,
    Disconnect(Disconnect),
    /// A packet that no MQTT broker may send to a client at QoS 1.
    Unexpected,
}

#[derive(Debug, Default, PartialEq)]
pub struct ConnAck {
    pub session_present: bool,
    /// The MQTT 5 reason code, even if the broker answered with a return code of MQTT 3.1.1.
    pub code: ReasonCode,
    pub(crate) properties: Option<ConnAckProperties>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InboundPublish {
    pub topic: Bytes,
    pub payload: Bytes,
    /// Identifies the publish in its PUBACK. `None` at QoS 0, which has no PUBACK.
    pub packet_id: Option<u16>,
    /// Whether the broker had retained the message, so that it is not new.
    pub is_retained: bool,
}

#[derive(Debug, PartialEq)]
pub struct PubAck {
    pub packet_id: u16,
    pub code: ReasonCode,
    pub reason_text: Option<String>,
}

#[derive(Debug, PartialEq)]
pub struct SubAck {
    /// One per filter of the SUBSCRIBE, in the same order.
    pub codes: Vec<ReasonCode>,
    pub reason_text: Option<String>,
}

#[derive(Debug, PartialEq)]
pub struct Disconnect {
    pub reason: Reason,
}

/// Removes the next packet from the front of `buffer`.
///
/// # Errors
/// [`Error::InsufficientBytes`] with the number of bytes to wait for, while the packet is incomplete. Any other error
/// is final: the bytes are not MQTT 5, or the packet is larger than `max_size`.
pub fn decode(buffer: &mut BytesMut, max_size: u32) -> Result<BrokerPacket, Error> {
    let body: fn(Bytes) -> Result<BrokerPacket, Error> = match buffer.first().map(|byte| byte >> 4) {
        Some(2) => connack,
        Some(4) => puback,
        Some(9) => suback,
        Some(11) => |_| Ok(BrokerPacket::UnsubAck),
        Some(14) => disconnect,
        _ => return other(buffer, max_size),
    };
    let length = check(buffer.iter(), Some(max_size))?.frame_length();
    let mut packet = buffer.split_to(length).freeze();
    packet.advance(1);
    while packet.try_get_u8().is_ok_and(|byte| byte & 0x80 != 0) {}
    body(packet).map_err(of_complete_packet)
}

fn other(buffer: &mut BytesMut, max_size: u32) -> Result<BrokerPacket, Error> {
    let available = buffer.len();
    match Packet::read(buffer, Some(max_size)) {
        Ok(Packet::Publish(publish)) => Ok(BrokerPacket::Publish(InboundPublish {
            topic: publish.topic,
            payload: publish.payload,
            packet_id: (publish.qos != QoS::AtMostOnce).then_some(publish.pkid),
            is_retained: publish.retain,
        })),
        Ok(Packet::PingResp(_)) => Ok(BrokerPacket::PingResp),
        Ok(_) => Ok(BrokerPacket::Unexpected),
        Err(error) if buffer.len() < available => Err(of_complete_packet(error)),
        Err(error) => Err(error),
    }
}

/// Converts an error in a packet that has arrived completely: no further bytes can complete it.
fn of_complete_packet(error: Error) -> Error {
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

fn connack(mut packet: Bytes) -> Result<BrokerPacket, Error> {
    let session_present = u8(&mut packet)? & 1 == 1;
    // The lowest codes are MQTT 3.1.1 return codes, which MQTT 5 does not use.
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
    Ok(BrokerPacket::ConnAck(ConnAck {
        session_present,
        code: ReasonCode(code),
        properties,
    }))
}

fn puback(mut packet: Bytes) -> Result<BrokerPacket, Error> {
    let packet_id = u16(&mut packet)?;
    let code = match packet.is_empty() {
        true => 0,
        false => u8(&mut packet)?,
    };
    let properties = match packet.is_empty() {
        true => None,
        false => PubAckProperties::read(&mut packet)?,
    };
    Ok(BrokerPacket::PubAck(PubAck {
        packet_id,
        code: ReasonCode(code),
        reason_text: properties.and_then(|properties| properties.reason_string),
    }))
}

fn suback(mut packet: Bytes) -> Result<BrokerPacket, Error> {
    // Skips the packet id, because no client here distinguishes its SUBSCRIBEs.
    u16(&mut packet)?;
    let properties = SubAckProperties::read(&mut packet)?;
    Ok(BrokerPacket::SubAck(SubAck {
        codes: packet.iter().copied().map(ReasonCode).collect(),
        reason_text: properties.and_then(|properties| properties.reason_string),
    }))
}

fn disconnect(mut packet: Bytes) -> Result<BrokerPacket, Error> {
    let code = match packet.is_empty() {
        true => 0,
        false => u8(&mut packet)?,
    };
    let properties = match packet.is_empty() {
        true => None,
        false => DisconnectProperties::extract(&mut packet)?,
    };
    let (text, server) = properties
        .map(|properties| (properties.reason_string, properties.server_reference))
        .unwrap_or_default();
    let code = ReasonCode(code);
    Ok(BrokerPacket::Disconnect(Disconnect {
        reason: Reason { code, text, server },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<BrokerPacket, Error> {
        decode(&mut BytesMut::from(bytes), 1_000)
    }

    fn disconnect(code: u8) -> BrokerPacket {
        BrokerPacket::Disconnect(Disconnect {
            reason: ReasonCode(code).into(),
        })
    }

    #[test]
    fn short_packets_and_unknown_reason_codes_are_decoded() {
        assert_eq!(decoded(&[0xE0, 0]).unwrap(), disconnect(0));
        assert_eq!(decoded(&[0xE0, 1, 0x8E]).unwrap(), disconnect(0x8E));
        assert_eq!(decoded(&[0xE0, 2, 0xC0, 0]).unwrap(), disconnect(0xC0));
        let mqtt_3 = ConnAck {
            code: ReasonCode(0x84),
            ..ConnAck::default()
        };
        assert_eq!(decoded(&[0x20, 2, 0, 1]).unwrap(), BrokerPacket::ConnAck(mqtt_3));
        let puback = |code, reason: Option<&str>| {
            BrokerPacket::PubAck(PubAck {
                packet_id: 7,
                code: ReasonCode(code),
                reason_text: reason.map(str::to_owned),
            })
        };
        assert_eq!(decoded(&[0x40, 2, 0, 7]).unwrap(), puback(0, None));
        assert_eq!(decoded(&[0x40, 3, 0, 7, 0xC1]).unwrap(), puback(0xC1, None));
        let with_reason = [0x40, 8, 0, 7, 0x97, 4, 0x1F, 0, 1, b'x'];
        assert_eq!(decoded(&with_reason).unwrap(), puback(0x97, Some("x")));
        let codes = vec![ReasonCode(1), ReasonCode(0xC2)];
        let expected = BrokerPacket::SubAck(SubAck {
            codes,
            reason_text: None,
        });
        assert_eq!(decoded(&[0x90, 5, 0, 1, 0, 1, 0xC2]).unwrap(), expected);
        assert_eq!(
            decoded(&[0xB0, 4, 0, 1, 0, 0xC3]).unwrap(),
            BrokerPacket::UnsubAck
        );
        assert_eq!(decoded(&[0xD0, 0]).unwrap(), BrokerPacket::PingResp);
        assert_eq!(decoded(&[0xC0, 0]).unwrap(), BrokerPacket::Unexpected);
    }

    #[test]
    fn only_an_incomplete_packet_waits_for_more_bytes() {
        for packet in [&[0xE0, 3, 0x8E, 1][..], &[0x20], &[0x30, 9, 0, 1, b'a']] {
            let error = decoded(packet).unwrap_err();
            assert!(
                matches!(error, Error::InsufficientBytes(_)),
                "{packet:?}: {error}"
            );
        }
        // All announced bytes are there, but the property length exceeds them, or a field is missing.
        for packet in [
            &[0xE0, 2, 0x8E, 0x80][..],
            &[0x20, 1, 0],
            &[0x40, 1, 0],
            &[0x20, 3, 0, 0, 0x80],
            &[0x30, 3, 0, 0, 0x80],
        ] {
            let error = decoded(packet).unwrap_err();
            assert!(
                !matches!(error, Error::InsufficientBytes(_)),
                "{packet:?}: {error}"
            );
        }
    }

    #[test]
    fn a_publish_has_a_packet_id_only_above_qos_0() {
        let publish = |bytes: &[u8]| match decoded(bytes).unwrap() {
            BrokerPacket::Publish(publish) => publish,
            packet => panic!("{packet:?}"),
        };
        let qos_0 = publish(&[0x30, 5, 0, 1, b'a', 0, b'x']);
        assert_eq!((qos_0.packet_id, qos_0.is_retained), (None, false));
        let qos_1 = publish(&[0x33, 7, 0, 1, b'a', 1, 2, 0, b'x']);
        assert_eq!((qos_1.packet_id, qos_1.is_retained), (Some(0x0102), true));
        assert_eq!((&qos_1.topic[..], &qos_1.payload[..]), (&b"a"[..], &b"x"[..]));
    }
}
