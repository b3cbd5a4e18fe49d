//! Tests the whole of ingest against every kind of unusable broker.

use std::time::Duration;

use comptoir_mqtt::ReasonCode;

use super::rig::{
    Broker, Gateway, Script, accepts, answers, connack, grants, journal, sends_after_suback, text,
};
use crate::platform::peer::PeerState;

/// The time in which connections are counted, and how many fit into it with pauses of 0.1, 0.2, 0.4 and 0.8 s.
const WINDOW: Duration = Duration::from_secs(2);
const MAX_CONNECTIONS: usize = 5;

/// Brokers that are unusable or that end each connection, each with words from the reason that the gateway reports.
fn unusable() -> Vec<(Script, Vec<String>)> {
    let mut cases = Vec::new();
    let mut case = |script: Script, words: &[&str]| {
        cases.push((script, words.iter().map(|&word| word.to_owned()).collect()));
    };
    // No answer, or not MQTT.
    case(
        answers(&[]),
        &["closed the connection instead of answering", "MQTT 5"],
    );
    case(answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), &["HTTP"]);
    case(answers(&[0x15, 3, 3, 0, 2, 2, 70]), &["speaks TLS", "mqtts://"]);
    case(answers(&[0xFF; 8]), &["not MQTT 5"]);
    case(answers(&[0xD0, 0]), &["must not send"]);
    // MQTT 3.1.1.
    case(
        answers(&[0x20, 2, 0, 1]),
        &[
            "unsupported protocol version",
            "needs a broker that speaks MQTT 5",
        ],
    );
    case(
        answers(&[0x20, 2, 0, 2]),
        &["client identifier not valid", "mqtt.client_id"],
    );
    case(answers(&[0x20, 2, 0, 5]), &["wants a user name and a password"]);
    // Reason codes in the CONNACK.
    let about_credentials = [0x86, 0x87];
    for code in (0x80..=0x9F).filter(|code| !about_credentials.contains(code)) {
        let shown = ReasonCode(code).to_string();
        case(answers(&connack(code, &[])), &["refuses the connection", &shown]);
    }
    for code in about_credentials {
        case(
            answers(&connack(code, &[])),
            &["wants a user name and a password"],
        );
    }
    let reason = text(0x1F, "full\u{1b}[2J\nof \u{202E}sheep");
    case(
        answers(&connack(0x97, &reason)),
        &["quota exceeded (0x97)", "it says \"full [2J of  sheep\""],
    );
    let server = text(0x1C, "mqtt-2.example:1883");
    case(
        answers(&connack(0x9D, &server)),
        &["server moved", "mqtt.url", "mqtt-2.example:1883"],
    );
    // Limits in the CONNACK.
    case(accepts(&[0x24, 0]), &["QoS 0 only", "lost"]);
    case(accepts(&[0x28, 0]), &["wildcard subscriptions"]);
    case(accepts(&[0x21, 0, 0]), &["Receive Maximum 0"]);
    case(accepts(&[0x27, 0, 0, 0, 0]), &["Maximum Packet Size 0"]);
    case(
        accepts(&[0x27, 0, 0, 0, 20]),
        &["at most 20 bytes", "max_packet_size"],
    );
    case(accepts(&[0x25, 2]), &["MQTT 5 forbids", "Retain Available"]);
    // SUBACK.
    case(
        grants(&[1, 0x87, 1, 1]),
        &["subscribe to pos/+/+/payments", "not authorized (0x87)"],
    );
    case(
        grants(&[0x97, 0x97, 0x97, 0x97]),
        &["pos/+/+/orders, pos/+/+/payments, pos/+/+/deliveries", "quota"],
    );
    case(
        grants(&[1, 1, 0x8F, 1]),
        &["pos/+/+/deliveries", "topic filter invalid"],
    );
    case(grants(&[0xA2; 4]), &["wildcard subscriptions not supported"]);
    case(
        grants(&[0xC7; 4]),
        &["a reason code that MQTT 5 does not define (0xC7)"],
    );
    case(grants(&[1, 0, 1, 1]), &["pos/+/+/payments with QoS 0"]);
    case(grants(&[1]), &["answered 4 subscriptions with 1"]);
    let unanswered = Script {
        suback: Vec::new(),
        ..accepts(&[0x13, 0, 1])
    };
    case(unanswered, &["does not answer the subscription"]);
    // DISCONNECT, short and with properties.
    case(
        sends_after_suback(&[0xE0, 0]),
        &["ended the connection", "normal disconnection (0x00)"],
    );
    for code in [
        0x80, 0x81, 0x82, 0x87, 0x89, 0x8B, 0x8D, 0x8F, 0x90, 0x93, 0x95, 0x96, 0x97, 0x98, 0x9B, 0x9D, 0xA0,
        0xC0,
    ] {
        let shown = ReasonCode(code).to_string();
        case(
            sends_after_suback(&[0xE0, 1, code]),
            &["ended the connection", &shown],
        );
    }
    let twin = [
        "another client",
        "comptoir-paris-1",
        "two gateways",
        "mqtt.client_id",
    ];
    case(sends_after_suback(&[0xE0, 1, 0x8E]), &twin);
    case(sends_after_suback(&[0xE0, 2, 0x8E, 0]), &twin);
    let length = u8::try_from(server.len()).unwrap();
    let elsewhere = [&[0xE0, 2 + length, 0x9C, length], &server[..]].concat();
    case(
        sends_after_suback(&elsewhere),
        &["use another server (0x9C)", "mqtt-2.example:1883"],
    );
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_broker_is_explained_in_one_sentence_and_dialled_less_and_less_often() {
    let (journal, _folder) = journal().await;
    let cases = unusable().into_iter().map(async |(script, words)| {
        let broker = Broker::start(script).await;
        let gateway = Gateway::start(&journal, broker.address);
        tokio::time::sleep(WINDOW).await;
        let connections = broker.connections();
        assert!(
            (1..=MAX_CONNECTIONS).contains(&connections),
            "{words:?}: {connections} connections"
        );
        gateway
            .status(|status| {
                let problem = status.problem.as_deref().unwrap_or_default();
                status.state == PeerState::Down && words.iter().all(|word| problem.contains(word))
            })
            .await;
        gateway.stop().await;
    });
    futures::future::join_all(cases).await;
}
