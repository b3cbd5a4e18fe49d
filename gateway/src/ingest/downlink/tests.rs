//! Tests of acks and commands across lost and new connections.

use comptoir_core::event::GATEWAY_EPOCH;
use comptoir_journal::Encoding;
use comptoir_wire::Ack;

use super::queues::WINDOW;
use super::*;

fn ack(device: &str, seq: u32) -> DeviceAck {
    DeviceAck {
        device: DeviceId::new("s", device).unwrap(),
        encoding: Encoding::Json,
        epoch: 1,
        seq,
    }
}

#[test]
fn an_ack_has_the_version_that_its_till_writes() {
    for version in comptoir_wire::MIN..=comptoir_wire::CURRENT {
        let downlink = connected();
        let encoding = Encoding::Postcard { version };
        downlink.ack([DeviceAck {
            encoding,
            ..ack("a", 3)
        }]);
        assert_eq!(downlink.take().unwrap().payload[..], [version, 1, 3]);
    }
}

fn connected() -> Downlink {
    let downlink = Downlink::default();
    downlink.connected(u16::MAX, true);
    downlink
}

fn taken(downlink: &Downlink) -> Vec<(String, String)> {
    std::iter::from_fn(|| downlink.take())
        .map(|out| (utf_8(&out.topic), utf_8(&out.payload)))
        .collect()
}

fn utf_8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(seq: u32) -> String {
    format!(r#"{{"epoch":1,"seq":{seq}}}"#)
}

#[test]
fn only_the_newest_ack_of_a_device_is_published() {
    let downlink = connected();
    downlink.ack([ack("a", 1), ack("b", 1), ack("a", 2)]);
    let expected = [("pos/s/a/ack".into(), json(2)), ("pos/s/b/ack".into(), json(1))];
    assert_eq!(taken(&downlink), expected);
}

#[test]
fn each_epoch_of_a_device_has_its_ack() {
    let downlink = connected();
    let own = DeviceAck {
        epoch: GATEWAY_EPOCH,
        ..ack("a", 9)
    };
    downlink.ack([own, ack("a", 1), ack("a", 2)]);
    let own = r#"{"epoch":0,"seq":9}"#.to_owned();
    assert_eq!(
        taken(&downlink),
        [("pos/s/a/ack".into(), own), ("pos/s/a/ack".into(), json(2))]
    );
}

#[test]
fn a_postcard_ack_of_the_gateways_epoch_does_not_displace_the_tills_ack() {
    let downlink = connected();
    let postcard = |epoch, seq| DeviceAck {
        encoding: Encoding::Postcard { version: 1 },
        epoch,
        ..ack("a", seq)
    };
    downlink.ack([postcard(7, 3), postcard(GATEWAY_EPOCH, 1)]);
    let out = downlink.take().unwrap();
    assert_eq!(Ack::decode(&out.payload), Ok(Ack { epoch: 7, seq: 3 }));
    assert!(downlink.take().is_none());
}

#[test]
fn a_lost_connection_loses_neither_acks_nor_commands() {
    let downlink = connected();
    let device = DeviceId::new("s", "a").unwrap();
    downlink.ack([ack("a", 1)]);
    let mut done = downlink.command(device.clone(), b"one".to_vec());
    assert_eq!(taken(&downlink).len(), 2);
    downlink.command(device, b"two".to_vec());
    downlink.disconnected();
    assert!(downlink.take().is_none(), "there is no connection");
    downlink.connected(u16::MAX, true);
    let again: Vec<_> = std::iter::from_fn(|| downlink.take()).collect();
    let payloads: Vec<_> = again.iter().map(|out| utf_8(&out.payload)).collect();
    assert_eq!(payloads, [json(1), "one".to_owned(), "two".to_owned()]);
    assert!(done.try_recv().is_err());
    downlink.acknowledged(again[1].packet_id);
    assert!(done.try_recv().is_ok());
}

#[test]
fn an_older_ack_does_not_come_back_after_a_newer_one() {
    let downlink = connected();
    downlink.ack([ack("a", 1)]);
    taken(&downlink);
    downlink.ack([ack("a", 2)]);
    downlink.disconnected();
    downlink.connected(u16::MAX, true);
    assert_eq!(taken(&downlink), [("pos/s/a/ack".into(), json(2))]);
}

#[test]
fn a_refused_publish_is_not_repeated_and_does_not_count_as_delivered() {
    let downlink = connected();
    let device = DeviceId::new("s", "a").unwrap();
    let mut done = downlink.command(device, b"large".to_vec());
    let packet = downlink.take().unwrap().packet_id;
    assert_eq!(downlink.refused(packet).as_deref(), Some("pos/s/a/commands"));
    assert_eq!(done.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    downlink.disconnected();
    downlink.connected(u16::MAX, true);
    assert!(downlink.take().is_none());
    assert_eq!(downlink.refused(packet), None);
}

#[test]
fn acks_have_no_retain_flag_where_the_broker_retains_nothing() {
    for retain in [true, false] {
        let downlink = Downlink::default();
        downlink.connected(u16::MAX, retain);
        downlink.ack([ack("a", 1)]);
        assert_eq!(downlink.take().unwrap().retain, retain);
    }
}

#[test]
fn a_repeated_ack_never_replaces_a_newer_one() {
    let downlink = connected();
    downlink.ack([ack("a", 5)]);
    downlink.repeat([ack("a", 4), ack("b", 7)]);
    assert_eq!(taken(&downlink).len(), 2, "b's, and only the newer one of a");
    downlink.repeat([ack("a", 4)]);
    assert!(downlink.take().is_none(), "the newer one is in flight");
    downlink.disconnected();
    downlink.connected(u16::MAX, true);
    for packet in [
        downlink.take().unwrap().packet_id,
        downlink.take().unwrap().packet_id,
    ] {
        downlink.acknowledged(packet);
    }
    downlink.repeat([ack("a", 5)]);
    assert_eq!(taken(&downlink), [("pos/s/a/ack".into(), json(5))]);
}

#[test]
fn at_most_the_window_is_in_flight() {
    let downlink = connected();
    downlink.ack((0..200).map(|n| ack(&format!("t{n}"), 1)));
    let first = downlink.take().unwrap();
    assert_eq!(taken(&downlink).len(), usize::from(WINDOW) - 1);
    downlink.acknowledged(first.packet_id);
    assert_eq!(taken(&downlink).len(), 1);

    downlink.disconnected();
    downlink.connected(10, true);
    assert_eq!(taken(&downlink).len(), 10, "the broker allows fewer");
}
