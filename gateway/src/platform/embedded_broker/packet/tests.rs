use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn connect_body(level: u8, flags: u8, client_id: &str, rest: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if level == 5 { &[0] } else { &[] };
    let head = [&text("MQTT")[..], &[level, flags, 0, 30]].concat();
    [&head, properties, &text(client_id), rest].concat()
}

#[test]
fn a_connect_is_read_with_its_client_id_will_and_credentials() {
    for (level, version) in [(4, Version::V3), (5, Version::V5)] {
        let properties: &[u8] = if level == 5 { &[0] } else { &[] };
        let will = [
            properties,
            &text("pos/paris-1/till-1/status"),
            &text("offline"),
            &text("user"),
            &text("secret"),
        ]
        .concat();
        let parsed = connect(&mut connect_body(level, 0xC6, "till-1", &will)).unwrap();
        assert_eq!(
            parsed,
            Connect {
                version,
                keep_alive: 30,
                client_id: "till-1".to_owned(),
                credentials: Some(("user".to_owned(), b"secret".to_vec())),
                will_topic: Some("pos/paris-1/till-1/status".to_owned()),
            }
        );
    }
}

#[test]
fn odd_client_ids_are_refused_with_the_reason_of_each_version() {
    for id in ["é", "a/b", "a b", "+", "#", "$x", &"x".repeat(300)] {
        let (refusal, version) = connect(&mut connect_body(4, 2, id, &[])).unwrap_err();
        assert_eq!(refusal.connack(version), [0x20, 2, 0, 2], "{id}");
        let (refusal, version) = connect(&mut connect_body(5, 2, id, &[])).unwrap_err();
        assert_eq!(refusal.connack(version), [0x20, 3, 0, 0x85, 0], "{id}");
    }
    let (refusal, version) = connect(&mut connect_body(3, 2, "till", &[])).unwrap_err();
    assert_eq!(refusal.connack(version), [0x20, 2, 0, 1]);
}

#[test]
fn rumqttd_gets_the_longest_keep_alive() {
    for keep_alive in [0, 30] {
        let mut body = connect_body(4, 2, "till", &[]);
        body[9] = keep_alive;
        let parsed = connect(&mut body).unwrap();
        assert_eq!(parsed.keep_alive, u16::from(keep_alive));
        assert_eq!(body[8..10], [0xFF, 0xFF]);
    }
}

#[test]
fn the_server_keep_alive_becomes_a_property_of_the_connack() {
    let mut connack = bytes::BytesMut::from(&[0x20, 6, 0, 0, 3, 0x22, 0x0F, 0xFF, 0xD0, 0][..]);
    set_server_keep_alive(&mut connack, 1_200);
    let expected = [0x20, 9, 0, 0, 6, 0x13, 0x04, 0xB0, 0x22, 0x0F, 0xFF, 0xD0, 0];
    assert_eq!(connack[..], expected);
    let mut unknown = bytes::BytesMut::from(&[0x20, 2, 0, 0][..]);
    set_server_keep_alive(&mut unknown, 1_200);
    assert_eq!(unknown[..], [0x20, 2, 0, 0]);
}

#[test]
fn only_the_topics_of_tills_may_be_published() {
    for topic in [
        "pos/paris-1/till-1/orders",
        "pos/Paris_1/till é/payments",
        "pos/p/t/status",
    ] {
        assert!(is_till_topic(topic), "{topic}");
    }
    for topic in [
        "",
        "é",
        "é/x",
        "pos/p/t/ack",
        "pos/p/t/commands",
        "pos//t/orders",
        "pos/p/t/orders/",
        "pos/+/t/orders",
        "pos/p/\u{7}/orders",
        "$SYS/x",
    ] {
        assert!(!is_till_topic(topic), "{topic}");
    }
}

#[test]
fn a_subscription_of_qos_2_becomes_one_of_qos_1() {
    for (version, properties) in [(Version::V3, &[][..]), (Version::V5, &[0][..])] {
        let mut body = [
            &[0, 7],
            properties,
            &text("pos/p/t/ack"),
            &[2],
            &text("a/#"),
            &[1],
        ]
        .concat();
        let filters = control(0x82, &mut body, version).unwrap();
        assert_eq!(filters, ["pos/p/t/ack", "a/#"]);
        let expected = [
            &[0, 7],
            properties,
            &text("pos/p/t/ack"),
            &[1],
            &text("a/#"),
            &[1],
        ]
        .concat();
        assert_eq!(body, expected);
    }
}

#[test]
fn odd_filters_and_kinds_of_packets_are_refused() {
    let with = |filter: &str| {
        control(
            0x82,
            &mut [&[0, 7][..], &text(filter), &[1]].concat(),
            Version::V3,
        )
    };
    for filter in ["", "é", "a#", "#/a", "a+/b", "$SYS/#", "a\u{1}", &"x".repeat(300)] {
        assert_eq!(with(filter), Err(Refusal::FilterInvalid), "{filter}");
    }
    assert_eq!(with("$share/g/a"), Err(Refusal::SharedSubscriptions));
    let none = control(0x82, &mut [0, 7], Version::V3);
    assert_eq!(none, Err(Refusal::Protocol));
    // A second CONNECT, server packets, QoS 2, AUTH, and wrong flags.
    for first in [0x10, 0x20, 0x50, 0x60, 0x70, 0x90, 0xB0, 0xD0, 0xF0, 0x00] {
        assert_eq!(
            control(first, &mut [0, 1], Version::V5),
            Err(Refusal::Protocol),
            "{first:x}"
        );
    }
    assert_eq!(control(0x80, &mut [0, 1], Version::V3), Err(Refusal::Malformed));
    assert_eq!(
        publish_topic(0x34, &text("pos/p/t/orders"), Version::V3),
        Err(Refusal::QosNotSupported)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), first in any::<u8>()) {
        let _ = fixed_header(&bytes);
        for version in [Version::V3, Version::V5] {
            let _ = control(first, &mut bytes.clone(), version);
            let _ = publish_topic(first, &bytes, version);
        }
        for level in [4, 5] {
            let _ = connect(&mut [&text("MQTT")[..], &[level], &bytes].concat());
        }
    }
}
