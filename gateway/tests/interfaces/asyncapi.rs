//! The AsyncAPI document: the channels of MQTT and Kafka.

use std::fs;

use comptoir_core::event::Kind;
use comptoir_core::mac::MAC_HEADER;
use serde_json::{Value, json};

use super::{folder, schemas};

/// The version of the AsyncAPI specification.
const ASYNCAPI: &str = "3.0.0";

pub fn document() -> Value {
    let mut channels = json!({});
    let mut operations = json!({});
    let mut messages = json!({});
    for kind in Kind::ALL {
        let (plural, singular) = (kind.topic(), singular(kind));
        channels[format!("mqtt-{plural}")] = mqtt_channel(
            plural,
            &format!("The {plural} that tills publish, and their later states."),
            &[&format!("till-{singular}"), "frame"],
        );
        operations[format!("receive-{plural}")] = mqtt_operation("receive", plural, false);
        messages[format!("till-{singular}")] = message(
            &format!("{} of a JSON device", titled(singular)),
            "application/json",
            &format!("./schemas/mqtt-{singular}.json"),
        );
        channels[format!("kafka-{plural}")] = kafka_channel(
            plural,
            &format!(
                "The {plural} of all stores, each event exactly once for consumers with isolation.level=read_committed."
            ),
            &[singular],
            "delete",
        );
        operations[format!("send-{plural}")] = kafka_operation("send", plural);
        messages[singular] = cloud_event(
            message(
                &format!("{} in Kafka", titled(singular)),
                "application/json",
                &format!("./schemas/{singular}.json"),
            ),
            kind.event_type(),
            "The order_id.",
        );
    }
    for (leaf, action, retain, description, names) in [
        (
            "status",
            "receive",
            true,
            "Whether the till is online. Also the till's last will.",
            &["status"][..],
        ),
        (
            "ack",
            "send",
            true,
            "The number up to which the till's events are committed and fsynced: the till may delete them.",
            &["ack", "frame"],
        ),
        (
            "commands",
            "send",
            false,
            "Commands from head office, which the gateway forwards.",
            &["command", "frame"],
        ),
    ] {
        channels[format!("mqtt-{leaf}")] = mqtt_channel(leaf, description, names);
        operations[format!("{action}-{leaf}-mqtt")] = mqtt_operation(action, leaf, retain);
    }
    messages["status"] = json!({
        "title": "Status of a till",
        "contentType": "text/plain",
        "payload": {"type": "string", "enum": ["online", "offline"]},
    });
    messages["frame"] = json!({
        "title": "Binary frame",
        "summary": "A frame of the crate firmware/wire: event, ack or command. Its first byte is the format version.",
        "contentType": "application/octet-stream",
    });
    messages["ack"] = message("Ack to a JSON device", "application/json", "./schemas/ack.json");
    messages["command"] = message(
        "Command from head office",
        "application/json",
        "./schemas/command.json",
    );
    messages["command"]["bindings"] = kafka_key("{store}/{device}, or {store} for every till of the store.");
    messages["dead-letter"] = dead_letter();
    messages["audit"] = cloud_event(
        message("Audit entry", "application/json", "./schemas/audit.json"),
        "comptoir.audit",
        "The store.",
    );
    messages["closing"] = cloud_event(
        message("Closing of a day", "application/json", "./schemas/closing.json"),
        "comptoir.closing",
        "The store.",
    );
    messages["gateway-state"] = message(
        "State of a gateway",
        "application/json",
        "./schemas/gateway-state.json",
    );
    messages["gateway-state"]["bindings"] = kafka_key("The store.");
    messages["watermark"] = message("Watermark", "application/json", "./schemas/watermark.json");
    messages["watermark"]["bindings"] = kafka_key("{store}/{journal}");
    for (topic, description, name, policy, action) in [
        (
            "dead-letters",
            "Messages that could not be decoded.",
            "dead-letter",
            "delete",
            "send",
        ),
        (
            "audit",
            "The audit log of each gateway: who changed what, and failed sign-ins, each entry exactly once for consumers with \
             isolation.level=read_committed.",
            "audit",
            "delete",
            "send",
        ),
        (
            "closings",
            "The closings of the shops' days, each exactly once for consumers with isolation.level=read_committed.",
            "closing",
            "delete",
            "send",
        ),
        (
            "gateways",
            "The latest state of each gateway.",
            "gateway-state",
            "compact",
            "send",
        ),
        (
            "commands",
            "Commands to tills, written by head office.",
            "command",
            "delete",
            "receive",
        ),
        (
            "commands.{store}",
            "Commands to the tills of one store, written by head office.",
            "command",
            "delete",
            "receive",
        ),
        (
            "comptoir-watermarks.{store}",
            "The watermark of each journal of a store, written in the same transaction as the events.",
            "watermark",
            "compact",
            "send",
        ),
    ] {
        let id = topic.replace(".{store}", "-of-store");
        channels[format!("kafka-{id}")] = kafka_channel(topic, description, &[name], policy);
        operations[format!("{action}-{id}-kafka")] = kafka_operation(action, &id);
    }
    json!({
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Comptoir",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The MQTT and Kafka interfaces of a shop's gateway. Operations are from the gateway's point of view: \
                `receive` is what it reads. topics.md has the details. kafka.topic_prefix precedes the names of Kafka topics.",
        },
        "servers": {
            "mqtt": {"host": "localhost:1883", "protocol": "mqtt", "description": "The MQTT broker, mqtt.url. The gateway speaks MQTT 5."},
            "kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "The Kafka brokers, kafka.brokers."},
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "parameters": {
                "store": {"description": format!("A store, for example paris-1: {}", schemas::NAME)},
                "device": {"description": format!("A till, for example till-1: {}", schemas::NAME)},
            },
        },
    })
}

fn singular(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "order",
        Kind::Payment => "payment",
        Kind::Delivery => "delivery",
    }
}

fn titled(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

fn messages_of(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| {
            let target = json!({"$ref": format!("#/components/messages/{name}")});
            ((*name).to_owned(), target)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn mqtt_channel(leaf: &str, description: &str, names: &[&str]) -> Value {
    json!({
        "address": format!("pos/{{store}}/{{device}}/{leaf}"),
        "description": description,
        "servers": [{"$ref": "#/servers/mqtt"}],
        "parameters": {
            "store": {"$ref": "#/components/parameters/store"},
            "device": {"$ref": "#/components/parameters/device"},
        },
        "messages": messages_of(names),
    })
}

fn mqtt_operation(action: &str, leaf: &str, retain: bool) -> Value {
    json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/mqtt-{leaf}")},
        "bindings": {"mqtt": {"qos": 1, "retain": retain, "bindingVersion": "0.2.0"}},
    })
}

fn kafka_channel(topic: &str, description: &str, names: &[&str], policy: &str) -> Value {
    let mut channel = json!({
        "address": topic,
        "description": description,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": messages_of(names),
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": [policy]}, "bindingVersion": "0.5.0"}},
    });
    if topic.contains("{store}") {
        channel["parameters"] = json!({"store": {"$ref": "#/components/parameters/store"}});
    }
    channel
}

fn kafka_operation(action: &str, id: &str) -> Value {
    json!({"action": action, "channel": {"$ref": format!("#/channels/kafka-{id}")}})
}

fn message(title: &str, content_type: &str, schema: &str) -> Value {
    json!({"title": title, "contentType": content_type, "payload": {"$ref": schema}})
}

fn kafka_key(description: &str) -> Value {
    json!({"kafka": {"key": {"type": "string", "description": description}, "bindingVersion": "0.5.0"}})
}

/// CloudEvents 1.0, Kafka protocol binding, binary content mode.
fn cloud_event(mut message: Value, event_type: &str, key: &str) -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    message["headers"] = json!({
        "type": "object",
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": text("The name of the event, {store}/{device}/{epoch}/{seq}, for example paris-1/till-1/2718281828/42."),
            "ce_source": text("/comptoir/{store}, the store of the gateway."),
            "ce_type": {"const": event_type},
            "ce_time": {"type": "string", "format": "date-time"},
            "content-type": {"const": message["contentType"]},
            "ce_journal": text("The id of the gateway's journal."),
            "ce_journaloffset": text("The position in that journal, for example 1742."),
            MAC_HEADER: {
                "type": "string",
                "pattern": schemas::MAC,
                "description": "HMAC-SHA-256 of ce_id, ce_type, key and value with the shop key, truncated to 16 bytes, in base64url. \
                    topics.md describes the message. Records of earlier versions have none.",
            },
        },
        "required": [
            "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "ce_journal", "ce_journaloffset",
        ],
    });
    message["bindings"] = kafka_key(key);
    message
}

fn dead_letter() -> Value {
    let letter = json!({
        "title": "Dead letter",
        "summary": "The payload as the till sent it.",
        "contentType": "application/octet-stream",
    });
    let mut letter = cloud_event(letter, "comptoir.dead-letter", "The MQTT topic.");
    let headers = &mut letter["headers"]["properties"];
    headers["ce_mqtttopic"] = json!({"type": "string", "description": "The MQTT topic."});
    headers["ce_reason"] =
        json!({"type": "string", "description": "Why the payload could not be decoded, for people."});
    headers["ce_cutfrom"] = json!({
        "type": "string",
        "description": "The full length in bytes of a payload that Kafka refused as too large. The value then contains only its beginning.",
    });
    letter
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_asyncapi_document_has_a_target() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference}"),
            None => assert!(fs::exists(folder().join(reference)).unwrap(), "{reference}"),
        }
    }
}

/// The `ce_type` and the leaves of the topics come from the code; the settings of the Kafka topics are compared by
/// `tests/claims/topics.rs` on a real Kafka.
#[test]
fn every_leaf_of_the_mqtt_topics_has_a_channel() {
    use comptoir_wire::topic::Leaf;
    let document = document();
    for leaf in ["orders", "payments", "deliveries", "ack", "status", "commands"] {
        assert!(Leaf::parse(leaf).is_some());
        let channel = &document["channels"][format!("mqtt-{leaf}")];
        assert_eq!(channel["address"], format!("pos/{{store}}/{{device}}/{leaf}"));
    }
}
