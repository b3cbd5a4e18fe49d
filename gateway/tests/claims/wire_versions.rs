//! Tills are updated at different times. Tills of version 1 are served as before, and a till with a newer version than
//! the gateway's does not disturb the others.
//!
//! The test publishes the golden bytes themselves, without today's encoder.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{MqttProbe, Reader};
use comptoir_wire::CURRENT;
use serde_json::{Value, json};

use crate::shop::{LATER, SOON, STORE, Shop};

/// A format version that no gateway knows.
const UNKNOWN: u8 = 9;

fn golden(name: &str) -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/wire/tests/golden/v1");
    let path = folder.join(name).with_extension("hex");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let digits: String = text
        .lines()
        .flat_map(|line| line.split('#').next())
        .flat_map(str::split_whitespace)
        .collect();
    let bytes = (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16));
    bytes
        .collect::<Result<_, _>>()
        .with_context(|| format!("read {}", path.display()))
}

/// Golden bytes have `seq` 300 and `oldest` 129. This gives them another `seq` between the two, as of an earlier sale of the
/// same till. Each number is a varint of two bytes, after the version and the epoch.
fn with_seq(golden: &[u8], seq: u16) -> Vec<u8> {
    let mut bytes = golden.to_vec();
    bytes[6] = seq.to_le_bytes()[0] | 0x80;
    bytes[7] = (seq >> 7).to_le_bytes()[0];
    bytes
}

fn event_topic(device: &str, name: &str) -> String {
    format!("pos/{STORE}/{device}/{name}")
}

/// Waits for the acks of the last event of each of the four tills, in version 1. An ack to till-9, or in another version, is
/// an error.
async fn wait_for_acks(listener: &mut MqttProbe) -> Result<()> {
    // The golden ack is the one for the golden order and payment.
    let (golden_ack, last) = (golden("ack")?, [0xff, 0xff, 0xff, 0xff, 0x0f]);
    let mut awaited = vec![
        ("till-1", golden_ack.clone()),
        ("till-2", golden_ack),
        ("till-3", vec![1, 1, 1]),
        ("till-4", [&[1][..], &last, &last].concat()),
    ];
    while !awaited.is_empty() {
        let message = listener
            .next(SOON)
            .await
            .with_context(|| format!("{awaited:?}"))?;
        let device = message.topic.split('/').nth(2).unwrap_or_default();
        ensure!(
            device != "till-9",
            "an event of an unknown version was acked: {message:?}"
        );
        ensure!(
            message.payload.first() == Some(&1),
            "an ack of another version: {message:?}"
        );
        awaited.retain(|(expected, bytes)| *expected != device || *bytes != message.payload);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_of_version_1_is_served_unchanged_beside_one_of_an_unknown_version() -> Result<()> {
    const { assert!(UNKNOWN > CURRENT) };
    let shop = Shop::open().await?;
    let url = shop.mosquitto.url();
    let (mut till, mut listener) = (MqttProbe::connect(&url).await?, MqttProbe::connect(&url).await?);
    let acks = format!("pos/{STORE}/+/ack");
    listener.subscribe(&acks).await?;
    let (order, payment) = (golden("order")?, golden("payment")?);
    let (bare, delivery) = (golden("order-bare")?, golden("delivery")?);
    ensure!(
        with_seq(&order, 300) == order && with_seq(&payment, 300) == payment,
        "the golden bytes no longer have seq 300"
    );

    let (mut sent, mut unknown) = (Vec::new(), Vec::new());
    for seq in 129..=300 {
        for (device, kind, golden) in [("till-1", "orders", &order), ("till-2", "payments", &payment)] {
            let known = with_seq(golden, seq);
            sent.push((event_topic(device, kind), known.clone().into(), false));
            if seq % 50 == 0 {
                // An unknown version from this till, as if it had been updated too early, and from another till.
                for device in [device, "till-9"] {
                    let mut bytes = known.clone();
                    bytes[0] = UNKNOWN;
                    sent.push((event_topic(device, kind), bytes.clone().into(), false));
                    unknown.push(bytes);
                }
            }
        }
    }
    sent.push((event_topic("till-3", "orders"), bare.into(), false));
    sent.push((event_topic("till-4", "deliveries"), delivery.into(), false));
    let (all, events) = (sent.len(), sent.len() - unknown.len());
    till.publish_all(sent).await?;
    wait_for_acks(&mut listener).await?;
    shop.drained(all as u64, SOON).await?;
    // The retained acks, for a till that was disconnected.
    let mut late = MqttProbe::connect(&url).await?;
    late.subscribe(&acks).await?;
    wait_for_acks(&mut late).await?;

    let records = shop.records().await?;
    ensure!(records.len() == events, "{} of {events}", records.len());
    let json = |ce_id: &str| -> Result<Value> {
        let mut found = records
            .iter()
            .filter(|record| record.ce_id() == Some(&format!("{STORE}/{ce_id}")));
        let record = found.next().with_context(|| format!("{ce_id} is not in Kafka"))?;
        ensure!(found.next().is_none(), "{ce_id} is in Kafka twice");
        record.json()
    };
    for seq in 129..=300 {
        let order = json(&format!("till-1/{}/{seq}", 0xdead_beef_u32))?;
        ensure!(order["order_id"] == "o-paris-1-till-1-1", "{order}");
        ensure!(
            order["customer_name"] == "Zoé Lefèvre" && order["amount"] == json!(4.49),
            "{order}"
        );
        ensure!(order["lines"][1]["product"] == "Crème fraîche 20 cl", "{order}");
        let payment = json(&format!("till-2/{}/{seq}", 0xdead_beef_u32))?;
        ensure!(
            payment["payment_id"] == "p-1" && payment["amount"] == json!(12.50),
            "{payment}"
        );
        ensure!(
            payment["method"] == "Cash" && payment["status"] == "FAILED",
            "{payment}"
        );
    }
    let bare = json("till-3/1/1")?;
    ensure!(bare["order_id"] == "1" && bare["currency"] == "JPY", "{bare}");
    let delivery = json(&format!("till-4/{0}/{0}", u32::MAX))?;
    ensure!(
        delivery["status"] == "In Transit" && delivery["estimated_date"] == "2028-02-29",
        "{delivery}"
    );

    let letters = Reader::new(&shop.brokers)
        .read(&[shop.topic("dead-letters")], LATER)
        .await?;
    let reason = format!("format version {UNKNOWN}");
    for letter in &letters {
        let said = letter.header("ce_reason").unwrap_or_default();
        ensure!(said.contains(&reason), "{said}");
    }
    let mut kept: Vec<_> = letters.into_iter().map(|letter| letter.value).collect();
    kept.sort();
    unknown.sort();
    let journal = &shop.gateway.get_json("/api/gateway").await?["journal"];
    ensure!(kept == unknown, "kept: {kept:?}, sent: {unknown:?}, {journal}");
    Ok(())
}
