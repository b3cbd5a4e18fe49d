//! Tests of ingest with brokers that have limits.

use std::time::Duration;

use comptoir_mqtt::ReasonCode;
use tokio::time::Instant;

use super::rig::{Broker, EVENT, Gateway, Script, accepts, grants, journal, publish, text, until};
use crate::platform::peer::{PeerState, PeerStatus};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_limits_is_used_with_a_warning_for_each_limit_that_matters() {
    let (journal, _folder) = journal().await;
    let limited = [
        (accepts(&[0x25, 0]), "retained messages"),
        (accepts(&[0x11, 0, 0, 0, 0]), "Session Expiry Interval 0"),
        (accepts(&[0x11, 0, 0, 14, 16]), "for 3600 s only"),
        (accepts(&text(0x12, "x-9")), "\"comptoir-paris-1\" by \"x-9\""),
        (accepts(&[0x27, 0, 0, 4, 0]), "at most 1024 bytes"),
        (grants(&[1, 1, 1, 0x87]), "unknown which tills are online"),
    ];
    let cases = limited.into_iter().map(async |(script, words)| {
        let broker = Broker::start(script).await;
        let gateway = Gateway::start(&journal, broker.address);
        let warnings = gateway.up().await.warnings;
        assert!(
            warnings.len() == 1 && warnings[0].contains(words),
            "{words}: {warnings:?}"
        );
        gateway.stop().await;
    });
    futures::future::join_all(cases).await;
    // Irrelevant to the gateway: maximum QoS 1, no subscription identifiers, no shared subscriptions, no topic aliases,
    // a longer session, response information, and user properties.
    let harmless = [
        &[
            0x24, 1, 0x29, 0, 0x2A, 0, 0x22, 0, 0, 0x11, 0xFF, 0xFF, 0xFF, 0xFF, 0x21, 0, 1,
        ][..],
        &text(0x1A, "r/"),
        &[0x26, 0, 1, b'a', 0, 1, b'b'],
    ];
    let broker = Broker::start(accepts(&harmless.concat())).await;
    let gateway = Gateway::start(&journal, broker.address);
    let up = gateway.up().await;
    assert!(up.warnings.is_empty(), "{up:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_sent_at_half_the_server_keep_alive() {
    let (journal, _folder) = journal().await;
    let broker = Broker::start(accepts(&[0x13, 0, 1])).await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    let begun = Instant::now();
    until(|| broker.pings() >= 3).await;
    // Three pings take 1.5 s; the broker would wait 1.5 s for one.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(broker.connections(), 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_retained_messages_a_tills_ack_is_published_again_when_the_till_comes_online() {
    let (journal, _folder) = journal().await;
    let broker = Broker::start(accepts(&[0x25, 0])).await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    let ack = |till: &str| {
        (
            format!("pos/paris-1/{till}/ack"),
            false,
            r#"{"epoch":5,"seq":1}"#.to_owned(),
        )
    };
    broker.send(publish("pos/paris-1/till-1/payments", EVENT, 1));
    broker.wait_for_publishes(1).await;
    assert_eq!(broker.publishes(), [ack("till-1")]);
    // till-2 has sold nothing, so there is no ack to repeat.
    for (till, packet) in [("till-2", 2), ("till-1", 3)] {
        let online = publish(&format!("pos/paris-1/{till}/status"), "online", packet);
        broker.send(online);
    }
    broker.wait_for_publishes(2).await;
    assert_eq!(broker.publishes(), [ack("till-1"), ack("till-1")]);
    // A restarted gateway repeats the ack too.
    gateway.stop().await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    broker.send(publish("pos/paris-1/till-1/status", "online", 1));
    broker.wait_for_publishes(3).await;
    assert_eq!(broker.publishes()[2], ack("till-1"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_disconnect_because_of_the_retain_flag_the_gateway_publishes_without_it() {
    let (journal, _folder) = journal().await;
    let script = Script {
        refuses_retain: true,
        ..Script::default()
    };
    let broker = Broker::start(script).await;
    let gateway = Gateway::start(&journal, broker.address);
    gateway.up().await;
    broker.send(publish("pos/paris-1/till-1/payments", EVENT, 1));
    broker.wait_for_publishes(2).await;
    let retained: Vec<bool> = broker.publishes().iter().map(|&(_, retain, _)| retain).collect();
    assert_eq!(retained, [true, false]);
    let has_warning = |status: &PeerStatus| {
        status
            .warnings
            .iter()
            .any(|warning| warning.contains("retained messages"))
    };
    gateway.status(has_warning).await;
    assert_eq!(broker.connections(), 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_ack_is_reported_with_its_topic_and_the_connection_is_kept() {
    let (journal, _folder) = journal().await;
    let refusals = [0x87, 0x97, 0xC5].map(async |code| {
        let script = Script {
            puback: code,
            ..Script::default()
        };
        let broker = Broker::start(script).await;
        let gateway = Gateway::start(&journal, broker.address);
        gateway.up().await;
        let topic = format!("pos/paris-1/till-{code}/payments");
        broker.send(publish(&topic, EVENT, 1));
        let status = gateway.status(|status| !status.warnings.is_empty()).await;
        let words = format!(
            "refused what was published to pos/paris-1/till-{code}/ack: {}",
            ReasonCode(code)
        );
        assert!(status.warnings[0].contains(&words), "{status:?}");
        assert_eq!((status.state, broker.connections()), (PeerState::Up, 1));
        gateway.stop().await;
    });
    futures::future::join_all(refusals).await;
}
