//! Golden messages: what the code reads and writes matches the schemas.

use std::fs;

use comptoir_core::command::HandledCommands;
use comptoir_core::event::DeviceId;
use comptoir_core::sale::Currency;
use comptoir_core::shop_secret::ShopSecret;
use comptoir_gateway::audit::record;
use comptoir_gateway::bridge::watermark::{PaymentsWatermark, Watermark};
use comptoir_gateway::fleet::state::{Commands, DeviceState, GatewayState, JournalLevel, Trouble};
use comptoir_gateway::ingest::decode::Decoder;
use comptoir_gateway::ingest::downlink::Downlink;
use comptoir_gateway::platform::last_exit::LastExit;
use comptoir_identity::{ActorKind, AuditRow, ChainHash, ChainedRow};
use comptoir_journal::{DeviceAck, Encoding, EntryKind, Submission};
use jiff::Timestamp;
use jsonschema::Validator;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::schemas;

fn schema(name: &str) -> Validator {
    let schemas = schemas::all();
    let (_, schema) = schemas.iter().find(|(schema, _)| *schema == name).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
}

fn errors(schema: &Validator, message: &Value) -> Vec<String> {
    let errors = schema.iter_errors(message);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn decode(topic: &str, payload: &[u8]) -> Submission {
    let decoder = Decoder {
        store: "paris-1".to_owned(),
        currency: Currency::EUR,
    };
    let topic = format!("pos/paris-1/till-9/{topic}");
    decoder.decode(topic.as_bytes(), payload, "2026-11-22T10:00:00Z".parse().unwrap())
}

/// The JSON that goes into the journal and to Kafka.
fn event(topic: &str, payload: &[u8]) -> Value {
    let submission = decode(topic, payload);
    assert!(
        matches!(submission.kind, EntryKind::Event(_)),
        "{:?}",
        submission.reason
    );
    serde_json::from_slice(&submission.payload).unwrap()
}

/// The bytes of a golden file of `firmware/wire`: hexadecimal, with comments.
fn golden_frame(name: &str) -> Vec<u8> {
    let file = format!(
        "{}/../firmware/wire/tests/golden/v1/{name}.hex",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let bytes = lines.flat_map(str::split_ascii_whitespace);
    bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Messages of JSON devices: the topic, the schema, and the message.
fn samples() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "orders",
            "order",
            json!({"order_id": "o-1", "product": "Pain", "amount": 1.20}),
        ),
        (
            "orders",
            "order",
            json!({
                "epoch": 7, "seq": 3, "oldest": 2, "store": "paris-1", "device": "till-9",
                "order_id": "o-1", "customer_name": "", "customer_email": "zoe@example.com", "amount": 9.00, "currency": "CHF",
                "lines": [{"product": "Tarte", "quantity": 2, "unit_price": 4.5}, {"product": "Cerises", "quantity": 0, "unit_price": 0}],
                "status": "Completed", "address": "1 rue du Four", "timestamp": "2026-11-22T12:00:00.5+02:00",
            }),
        ),
        (
            "orders",
            "order",
            json!({"order_id": "o-1", "amount": 3, "lines": [{"product": "Lait", "unit_price": 3}]}),
        ),
        (
            "payments",
            "payment",
            json!({"payment_id": "p-1", "order_id": "o-1", "amount": 12.50, "method": "Cash", "status": "SUCCESS"}),
        ),
        (
            "deliveries",
            "delivery",
            json!({"delivery_id": "d-1", "order_id": "o-1", "address": "1 rue du Four", "estimated_date": "2026-11-24"}),
        ),
        (
            "deliveries",
            "delivery",
            json!({
                "delivery_id": "d-1", "order_id": "o-1", "address": "1 rue du Four", "estimated_date": "2026-11-24",
                "status": "In Transit",
            }),
        ),
    ]
}

#[test]
fn every_event_of_the_gateway_matches_the_schema_of_kafka() {
    let from_json = samples()
        .into_iter()
        .map(|(topic, name, message)| (name, event(topic, message.to_string().as_bytes())));
    let from_frames = [
        ("orders", "order", "order"),
        ("orders", "order", "order-bare"),
        ("payments", "payment", "payment"),
        ("deliveries", "delivery", "delivery"),
    ]
    .map(|(topic, name, golden)| (name, event(topic, &golden_frame(golden))));
    for (name, event) in from_json.chain(from_frames) {
        let errors = errors(&schema(name), &event);
        assert!(errors.is_empty(), "{name} {event}: {errors:?}");
    }
}

/// A positive control of the test above.
#[test]
fn an_event_with_a_missing_unknown_or_wrong_field_does_not_match() {
    let (topic, name, message) = samples().swap_remove(3);
    let event = event(topic, message.to_string().as_bytes());
    let fields = event.as_object().unwrap();
    for field in fields.keys() {
        let mut without = fields.clone();
        without.remove(field);
        assert!(
            !schema(name).is_valid(&without.into()),
            "{field} is required in Kafka"
        );
    }
    for (field, value) in [
        ("status", json!("Paid")),
        ("amount", json!("12.50")),
        ("discount", json!(1)),
        ("timestamp", json!("yesterday")),
    ] {
        let mut changed = event.clone();
        changed[field] = value;
        assert!(!schema(name).is_valid(&changed), "{changed}");
    }
}

#[test]
fn a_json_message_matches_its_schema_exactly_if_it_has_every_field_that_the_decoder_needs() {
    for (topic, name, message) in samples() {
        let schema = schema(&format!("mqtt-{name}"));
        let mismatches = errors(&schema, &message);
        assert!(mismatches.is_empty(), "{message}: {mismatches:?}");
        let fields = message.as_object().unwrap();
        for field in fields.keys() {
            let mut without = fields.clone();
            without.remove(field);
            let without = Value::Object(without);
            let decoded = decode(topic, without.to_string().as_bytes());
            assert_eq!(
                schema.is_valid(&without),
                matches!(decoded.kind, EntryKind::Event(_)),
                "{without}: {:?}",
                decoded.reason
            );
        }
    }
}

#[test]
fn a_json_message_with_an_invalid_value_is_a_dead_letter_and_does_not_match() {
    for (sample, field, value) in [
        (0, "amount", json!(-1)),
        (0, "amount", json!("1.20")),
        (0, "order_id", json!("")),
        (0, "order_id", json!("x".repeat(129))),
        (0, "status", json!("Paid")),
        (0, "currency", json!("EURO")),
        (1, "epoch", json!(0)),
        (1, "seq", json!(0)),
        (1, "device", json!("Till 9")),
        (2, "lines", json!([])),
        (2, "lines", json!([{"product": "Lait"}])),
        (
            2,
            "lines",
            json!([{"product": "Lait", "unit_price": 3, "quantity": -1}]),
        ),
        (3, "method", json!("Cheque")),
        (4, "estimated_date", json!("2026-13-01")),
    ] {
        let (topic, name, mut message) = samples().swap_remove(sample);
        message[field] = value;
        assert!(
            !schema(&format!("mqtt-{name}")).is_valid(&message),
            "{message} matches"
        );
        let decoded = decode(topic, message.to_string().as_bytes());
        assert_eq!(decoded.kind, EntryKind::DeadLetter, "{message}");
    }
}

#[test]
fn an_ack_to_a_json_device_matches_its_schema() {
    let downlink = Downlink::default();
    downlink.connected(u16::MAX, true);
    for (epoch, seq) in [(0, 1), (7, 42), (u32::MAX, u32::MAX)] {
        downlink.ack([DeviceAck {
            device: DeviceId::new("paris-1", "till-9").unwrap(),
            encoding: Encoding::Json,
            epoch,
            seq,
        }]);
        let publish = downlink.take().unwrap();
        let ack: Value = serde_json::from_slice(&publish.payload).unwrap();
        assert_eq!(ack, json!({"epoch": epoch, "seq": seq}));
        assert!(schema("ack").is_valid(&ack), "{ack}");
        assert!(publish.retain, "as topics.md says");
    }
}

#[test]
fn the_commands_of_the_documentation_match_their_schema() {
    let page = fs::read_to_string(super::folder().join("topics.md")).unwrap();
    let commands = page.lines().filter(|line| line.starts_with(r#"{"type":"#));
    let commands: Vec<Value> = commands.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(commands.len(), 3);
    for command in commands {
        let errors = errors(&schema("command"), &command);
        assert!(errors.is_empty(), "{command}: {errors:?}");
    }
    for wrong in [
        json!({"type": "message"}),
        json!({"type": "reboot"}),
        json!({"type": "order_status", "order_id": "o-1", "status": "Paid"}),
    ] {
        assert!(!schema("command").is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn a_watermark_matches_its_schema() {
    for run in [None, Some("a".to_owned())] {
        let mark = Watermark {
            offset: 1_042,
            event: "paris-1/till-1/7/42".to_owned(),
            run: run.clone(),
            payments: run.map(|run| PaymentsWatermark {
                offset: 1_050,
                event: "paris-1/till-2/7/3".to_owned(),
                run: Some(run),
                mac: None,
            }),
            mac: None,
        };
        let key = ShopSecret::new([7; 32]).watermark_key();
        // Those of earlier versions are not signed.
        for mark in [mark.clone(), mark.signed("paris-1/journal", &key)] {
            assert!(schema("watermark").is_valid(&json!(mark)), "{mark:?}");
        }
    }
    assert!(!schema("watermark").is_valid(&json!({"event": "paris-1/till-1/7/42"})));
}

#[test]
fn the_state_of_a_gateway_matches_its_schema() {
    let time = "2026-11-30T18:02:11.25Z".parse().unwrap();
    let device = |stored, online| DeviceState {
        device: "till-1".to_owned(),
        online,
        received: 10,
        stored,
        in_kafka: stored.map(|stored| stored - 1),
        missing: 10 - stored.unwrap_or(10),
    };
    let mut state = GatewayState {
        time,
        version: "1.0.0",
        started: time,
        last_exit: LastExit::Power,
        problems: Vec::new(),
        journal: JournalLevel {
            bytes: 1,
            max_bytes: 2,
            pending: 0,
            oldest_pending: None,
        },
        disk_free: None,
        dead_letters: 0,
        closing_key: None,
        commands: Commands(None),
        devices: vec![device(None, None)],
        more_devices: 0,
        every: 300,
    };
    let is_valid = |state: &GatewayState| {
        let value: Value = serde_json::from_str(&state.json()).unwrap();
        let errors = errors(&schema("gateway-state"), &value);
        assert!(errors.is_empty(), "{value}: {errors:?}");
    };
    is_valid(&state);
    state.problems = vec![
        Trouble::MqttDown,
        Trouble::BridgeDown,
        Trouble::CommandsDown,
        Trouble::Warnings,
        Trouble::JournalRefusing,
        Trouble::EventsLost,
        Trouble::DevicesRefused,
        Trouble::ClockUnsynchronised,
        Trouble::ArchiveFailing,
    ];
    state.journal.pending = 1;
    state.journal.oldest_pending = Some(time);
    state.disk_free = Some(3);
    state.dead_letters = 4;
    state.devices = vec![device(Some(7), Some(true))];
    state.more_devices = 5;
    state.commands = Commands(Some(HandledCommands {
        epoch: 7,
        first: 2,
        last: 9,
    }));
    state.every = 1_800;
    is_valid(&state);
    assert!(!schema("gateway-state").is_valid(&json!({"version": "1.0.0"})));
}

#[test]
fn a_time_of_a_till_is_written_as_rfc_3339_in_utc() {
    let (topic, _, message) = samples().swap_remove(1);
    let event = event(topic, message.to_string().as_bytes());
    let time: Timestamp = event["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(event["timestamp"], "2026-11-22T10:00:00.5Z");
    assert_eq!(time.to_string(), "2026-11-22T10:00:00.5Z");
}

/// Entries of the audit log: the first of a chain, one with every field, and one with as few as there can be.
fn audit_rows() -> [AuditRow; 3] {
    let row = |id, actor_kind, action: &str| AuditRow {
        id,
        at: "2026-11-30T10:00:00.120Z".parse().unwrap(),
        actor: String::new(),
        actor_kind,
        address: None,
        action: action.to_owned(),
        subject: None,
        before: None,
        after: None,
    };
    [
        AuditRow {
            after: Some(json!({"entries": 0, "sha256": "0".repeat(64)}).to_string()),
            ..row(1, ActorKind::System, "chain-started")
        },
        AuditRow {
            actor: "Zoé \"la caisse\"".to_owned(),
            address: Some("2001:db8::7".to_owned()),
            subject: Some("p-1".to_owned()),
            before: Some(r#"{"status":"FAILED"}"#.to_owned()),
            // The order and the decimals are part of the hash.
            after: Some(r#"{"status":"SUCCESS","amount":12.50}"#.to_owned()),
            ..row(2, ActorKind::Person, "payment-posted")
        },
        row(3, ActorKind::Anonymous, "sign-in-failed"),
    ]
}

/// The fields of a record, as `topics.md` tells a reader to take them.
fn row_of_record(record: &str) -> AuditRow {
    let raw: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(record).unwrap();
    let value: Value = serde_json::from_str(record).unwrap();
    let text = |field: &str| value[field].as_str().map(str::to_owned);
    AuditRow {
        id: value["id"].as_u64().unwrap(),
        at: text("time").unwrap().parse().unwrap(),
        actor: text("actor").unwrap(),
        actor_kind: ActorKind::from_name(&text("actor_kind").unwrap()).unwrap(),
        address: text("address"),
        action: text("action").unwrap(),
        subject: text("subject"),
        before: raw.get("before").map(|raw| raw.get().to_owned()),
        after: raw.get("after").map(|raw| raw.get().to_owned()),
    }
}

#[test]
fn every_audit_entry_matches_its_schema_and_a_reader_can_compute_its_hash() {
    let schema = schema("audit");
    let mut previous = ChainHash::default();
    for row in audit_rows() {
        let hash = row.hash_after(previous);
        let entry = ChainedRow { row, previous, hash };
        let record = record::json("paris-1", &entry);
        let value: Value = serde_json::from_str(&record).unwrap();
        let errors = errors(&schema, &value);
        assert!(errors.is_empty(), "{record}: {errors:?}");
        assert_eq!(row_of_record(&record), entry.row);
        assert_eq!(
            value["hash"],
            row_of_record(&record).hash_after(previous).to_string()
        );
        previous = hash;
    }
}
