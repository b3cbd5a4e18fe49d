//! The JSON Schemas, made from the schemas of the OpenAPI document, from the bounds of the code, and from the messages that
//! only MQTT and Kafka have.

use comptoir_core::sale::{MAX_LINES, MAX_TEXT};
use comptoir_gateway::http::LOCATION_FIELDS;
use comptoir_gateway::http::api::openapi;
use comptoir_wire::{MAX_MESSAGE, MAX_PRICES, MAX_PRODUCT};
use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A store's or device's name.
pub const NAME: &str = "^[a-z0-9][a-z0-9-]{0,31}$";
/// A message authentication code.
pub const MAC: &str = "^v1\\.[A-Za-z0-9_-]{22}$";

/// Every schema with the name of its file.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("order", kafka("Order", "An order in Kafka")),
        ("payment", with_refunds(kafka("Payment", "A payment in Kafka"))),
        ("delivery", kafka("Delivery", "A delivery in Kafka")),
        ("mqtt-order", mqtt_order()),
        ("mqtt-payment", mqtt_payment()),
        (
            "mqtt-delivery",
            mqtt(
                "NewDelivery",
                "A delivery from a JSON device",
                &["delivery_id", "order_id", "address", "estimated_date"],
            ),
        ),
        ("ack", ack()),
        ("command", command()),
        ("watermark", watermark()),
        ("audit", audit()),
        ("closing", closing()),
        ("gateway-state", gateway_state()),
    ]
}

/// The schemas of the OpenAPI document by name.
pub fn components() -> Map<String, Value> {
    let document = serde_json::to_value(openapi::document()).unwrap();
    document["components"]["schemas"].as_object().unwrap().clone()
}

/// An item of the API without the location of its event: that is what the journal stores and Kafka receives.
fn kafka(name: &str, title: &str) -> Value {
    let components = components();
    let parts = components[name]["allOf"].as_array().unwrap();
    let own = parts
        .iter()
        .find(|part| part.get("properties").is_some())
        .unwrap();
    let mut schema = inlined(own, &components);
    for property in schema["properties"].as_object_mut().unwrap().values_mut() {
        *property = without_null(property);
        // In Kafka nobody's personal data is hidden.
        if property["description"]
            .as_str()
            .is_some_and(|text| text.contains("personal data"))
        {
            property.as_object_mut().unwrap().remove("description");
        }
    }
    close(&mut schema);
    headed(schema, title)
}

/// What a JSON device may send: the fields of a `POST`, with those that number an event, and without the rules that only a
/// client of the API must keep.
fn mqtt(name: &str, title: &str, required: &[&str]) -> Value {
    let components = components();
    let mut schema = inlined(&components[name], &components);
    let fields = schema.as_object_mut().unwrap();
    fields.remove("additionalProperties");
    fields.remove("description");
    let properties = fields["properties"].as_object_mut().unwrap();
    for field in LOCATION_FIELDS {
        properties.remove(field);
    }
    for (field, property) in properties.iter_mut() {
        *property = without_null(property);
        if !field.ends_with("_id") {
            relax(property);
        }
        if field == "amount" {
            // The API may take the sum of the lines instead.
            property["description"] =
                json!("An exact decimal number with at most as many decimals as the currency has.");
        }
    }
    let number = |minimum: u32| json!({"type": "integer", "minimum": minimum, "maximum": u32::MAX});
    for (field, property) in [
        ("store", json!({"type": "string", "pattern": NAME})),
        ("device", json!({"type": "string", "pattern": NAME})),
        ("epoch", number(1)),
        ("seq", number(1)),
        ("oldest", number(0)),
    ] {
        properties.insert(field.to_owned(), property);
    }
    fields.insert("required".to_owned(), json!(required));
    fields.insert("dependentRequired".to_owned(), json!({"seq": ["epoch"]}));
    headed(schema, title)
}

fn mqtt_order() -> Value {
    let mut schema = mqtt("NewOrder", "An order from a JSON device", &["order_id", "amount"]);
    schema["anyOf"] = json!([
        {"required": ["product"]},
        {"required": ["lines"], "properties": {"lines": {"minItems": 1}}},
    ]);
    let lines = &mut schema["properties"]["lines"];
    assert_eq!(
        lines["maxItems"], MAX_LINES,
        "the OpenAPI document and the decoder agree"
    );
    let line = lines["items"].as_object_mut().unwrap();
    line.remove("additionalProperties");
    line.remove("description");
    for property in line["properties"].as_object_mut().unwrap().values_mut() {
        *property = without_null(property);
        relax(property);
    }
    // Goods that are sold by weight have lines without a quantity.
    line["properties"]["quantity"]["minimum"] = json!(0);
    schema
}

fn mqtt_payment() -> Value {
    let required = ["payment_id", "order_id", "amount", "method", "status"];
    let mut schema = mqtt("NewPayment", "A payment from a JSON device", &required);
    let components = components();
    let amount = schema["properties"]["amount"].as_object_mut().unwrap();
    amount["minimum"] = components["NewRefund"]["properties"]["amount"]["minimum"].clone();
    schema["properties"]["refund_of"] = components["NewRefund"]["properties"]["refund_of"].clone();
    with_refunds(schema)
}

/// The amount of a refund is negative, and no other one.
fn with_refunds(mut schema: Value) -> Value {
    schema["if"] = json!({"required": ["refund_of"]});
    schema["then"] = json!({"properties": {"amount": {"exclusiveMaximum": 0}}});
    schema["else"] = json!({"properties": {"amount": {"minimum": 0}}});
    schema
}

/// A till's text may be empty, and control characters in it are replaced.
fn relax(property: &mut Value) {
    if property["maxLength"] == MAX_TEXT {
        let text = property.as_object_mut().unwrap();
        text.remove("minLength");
        text.remove("pattern");
    }
}

fn ack() -> Value {
    let number = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    headed(
        json!({
            "type": "object",
            "description": "The gateway has committed and fsynced every event of the epoch up to and including seq.",
            "properties": {"epoch": number, "seq": number},
            "required": ["epoch", "seq"],
        }),
        "An ack to a JSON device",
    )
}

fn command() -> Value {
    let text = |bytes: usize| json!({"type": "string", "maxLength": bytes});
    let components = components();
    let status = inlined(&components["OrderStatus"], &components);
    let price = json!({
        "type": "object",
        "properties": {
            "product": text(MAX_PRODUCT),
            "unit_price": {"type": "number", "minimum": 0},
        },
        "required": ["product", "unit_price"],
    });
    headed(
        json!({
            "description": "Lengths are in bytes of UTF-8. Devices that send JSON also receive any other JSON, unchanged.",
            "oneOf": [
                variant("message", "A text for the till's screen.", &json!({"text": text(MAX_MESSAGE)})),
                variant("price_list", "New prices. Products that are not named keep theirs.", &json!({
                    "currency": {"type": "string", "description": "ISO 4217.", "pattern": "^[A-Z]{3}$"},
                    "prices": {"type": "array", "maxItems": MAX_PRICES, "items": price},
                })),
                variant("order_status", "The new status of an order.", &json!({
                    "order_id": {"type": "string", "minLength": 1, "maxLength": comptoir_wire::MAX_ID},
                    "status": status,
                })),
            ],
        }),
        "A command from head office",
    )
}

fn variant(name: &str, description: &str, properties: &Value) -> Value {
    let mut properties = properties.as_object().unwrap().clone();
    let required: Vec<String> = ["type".to_owned()]
        .into_iter()
        .chain(properties.keys().cloned())
        .collect();
    properties.insert("type".to_owned(), json!({"const": name}));
    json!({"type": "object", "description": description, "properties": properties, "required": required})
}

fn watermark() -> Value {
    headed(
        json!({
            "type": "object",
            "properties": {
                "offset": {"type": "integer", "minimum": 0, "description": "All entries of the journal up to this offset are in Kafka."},
                "event": {"type": "string", "description": "The ce_id of the entry at that offset."},
                "run": {
                    "type": ["string", "null"],
                    "description": "The run of the journal in which that entry was stored. It distinguishes a journal from a copy that has diverged.",
                },
                "payments": {
                    "type": "object",
                    "description": "All payments up to this entry, which is beyond the first one, are in Kafka, too. Absent if no payment has overtaken another entry.",
                    "properties": {
                        "offset": {"type": "integer", "minimum": 0, "description": "The offset of the entry in the journal."},
                        "event": {"type": "string", "description": "The ce_id of the entry."},
                        "run": {"type": ["string", "null"], "description": "The run of the journal in which the entry was stored."},
                        "mac": {
                            "type": "string",
                            "pattern": MAC,
                            "description": "The message authentication code of the record's key, its offset and these fields.",
                        },
                    },
                    "required": ["offset", "event", "run"],
                },
                "mac": {
                    "type": "string",
                    "pattern": MAC,
                    "description": "The message authentication code of the record's key, offset, event and run. Only a gateway with the shop's secret can verify it.",
                },
            },
            "required": ["offset", "event"],
        }),
        "A watermark in Kafka",
    )
}

fn gateway_state() -> Value {
    let time =
        |description: &str| json!({"type": "string", "format": "date-time", "description": description});
    let number = |description: &str| json!({"type": "integer", "minimum": 0, "description": description});
    headed(
        json!({
            "type": "object",
            "properties": {
                "time": time("When the gateway looked at itself, by its own clock."),
                "version": {"type": "string", "description": "The version of Comptoir."},
                "started": time("When this run of the gateway began."),
                "last_exit": {
                    "enum": ["unknown", "stopped", "crashed", "power"],
                    "description": "How the previous run ended: it was stopped, the program crashed, or the power was cut or the system restarted without stopping the gateway.",
                },
                "problems": {
                    "type": "array",
                    "items": {"enum": [
                        "mqtt-down", "bridge-down", "commands-down", "warnings", "journal-refusing", "events-lost",
                        "devices-refused", "clock-unsynchronised", "payments-only", "archive-failing",
                    ]},
                    "description": "Absent if there are none. Later versions may add others.",
                },
                "journal": {
                    "type": "object",
                    "properties": {
                        "bytes": number("Bytes in use."),
                        "max_bytes": number("The limit of `bytes`."),
                        "pending": number("Events that are not in Kafka yet. Absent means 0."),
                        "oldest_pending": time("The time of the oldest pending event."),
                    },
                    "required": ["bytes", "max_bytes"],
                },
                "disk_free": number("Free bytes of the journal's file system. Absent if unknown."),
                "dead_letters": number("Dead letters in the journal. Absent means 0."),
                "closing_key": {
                    "type": "string",
                    "description": "The public key (Ed25519) that signs the closings, in hexadecimal. Absent without the shop's secret.",
                },
                "commands": {
                    "type": "object",
                    "properties": {
                        "epoch": number("The epoch of the numbers in the commands' header `ce_comptoircommand`."),
                        "first": number("The lowest number. Absent means 1."),
                        "last": number("The highest number."),
                    },
                    "description": "The numbered commands that were handed to the MQTT broker: all from `first` to `last`. Empty before the first one. Gateways of earlier versions have no such field.",
                },
                "devices": {
                    "type": "array",
                    "maxItems": 50,
                    "items": {
                        "type": "object",
                        "properties": {
                            "device": {"type": "string", "description": "The device's name, preceded by STORE/ if its store is not the gateway's."},
                            "online": {"type": "boolean", "description": "What the till last published to its `status` topic. Absent if unknown."},
                            "received": number("The highest numbers that arrived, summed over the epochs."),
                            "stored": number("Events that the journal has taken in. Absent means `received`."),
                            "in_kafka": number("Events that are in Kafka. Absent means as many as are stored."),
                            "missing": number("Numbers whose events never arrived. Absent means 0."),
                        },
                        "required": ["device", "received"],
                    },
                    "description": "The devices; those with missing numbers first.",
                },
                "more_devices": number("Number of devices that are not listed. Absent means 0."),
                "every": number("The longest time until the next state, in seconds. Absent means 300."),
            },
            "required": ["time", "version", "started", "last_exit", "journal", "devices"],
        }),
        "The state of a gateway in Kafka",
    )
}

/// An entry of the API, as the journal stores it.
fn audit() -> Value {
    let components = components();
    let mut schema = inlined(&components["AuditEntry"], &components);
    let properties = schema["properties"].as_object_mut().unwrap();
    for property in properties.values_mut() {
        *property = without_null(property);
    }
    for field in ["before", "after"] {
        properties[field] = json!({"type": "object", "description": "The changed fields and their values. Its exact text is part of the hash."});
    }
    let hash = |description: &str| json!({"type": "string", "pattern": "^[0-9a-f]{64}$", "description": description});
    for (field, property) in [
        (
            "id",
            json!({"type": "integer", "minimum": 1, "description": "The entry's number in the gateway's accounts file: 1, 2, 3 …"}),
        ),
        ("store", json!({"type": "string", "pattern": NAME})),
        (
            "previous",
            hash("The hash of the previous entry; zeros in the first entry."),
        ),
        (
            "hash",
            hash("SHA-256 of this entry and the hash of the previous one. topics.md has the details."),
        ),
    ] {
        properties.insert(field.to_owned(), property);
    }
    schema["required"] = json!([
        "id",
        "time",
        "store",
        "actor",
        "actor_kind",
        "action",
        "previous",
        "hash"
    ]);
    schema["additionalProperties"] = json!(false);
    headed(schema, "An audit entry in Kafka")
}

fn closing() -> Value {
    let components = components();
    let mut schema = inlined(&components["ClosingRecord"], &components);
    let mut required = vec![json!("store"), json!("figures"), json!("hash")];
    required.extend(schema["required"].as_array().unwrap().iter().cloned());
    schema["required"] = required.into();
    let properties = schema["properties"].as_object_mut().unwrap();
    properties.insert("store".to_owned(), json!({"type": "string", "pattern": NAME}));
    properties.insert("figures".to_owned(), inlined(&components["ShopDay"], &components));
    properties["figures"]["properties"]
        .as_object_mut()
        .unwrap()
        .remove("closing");
    let hash = json!({"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the record without this field. topics.md has the details."});
    properties.insert("hash".to_owned(), hash);
    headed(schema, "A closing in Kafka")
}

fn headed(schema: Value, title: &str) -> Value {
    let mut schema = schema;
    schema["$schema"] = json!(DIALECT);
    schema["title"] = json!(title);
    schema
}

/// Forbids unknown fields, in nested objects too.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The schema with every reference replaced by the schema that it names, so that it needs no other file.
fn inlined(schema: &Value, components: &Map<String, Value>) -> Value {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                let name = name.trim_start_matches("#/components/schemas/");
                let mut target = inlined(&components[name], components);
                if let Some(description) = fields.get("description") {
                    target["description"] = description.clone();
                }
                return target;
            }
            let fields = fields.iter();
            fields
                .map(|(name, value)| (name.clone(), inlined(value, components)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().map(|item| inlined(item, components)).collect(),
        other => other.clone(),
    }
}

/// The schema of an optional field without null: to leave a field out is the documented way.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
        let other: Vec<_> = alternatives.iter().filter(|one| one["type"] != "null").collect();
        if let [other] = other[..] {
            return other.clone();
        }
    }
    if let Some(types) = schema.get("type").and_then(Value::as_array) {
        let other: Vec<_> = types.iter().filter(|one| *one != "null").cloned().collect();
        schema["type"] = match &other[..] {
            [one] => one.clone(),
            _ => other.into(),
        };
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| !value.is_null());
    }
    schema
}
