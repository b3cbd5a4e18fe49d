//! A transactional producer alone. It sends the same records as the gateway, including the headers.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use comptoir_gateway::bridge::MAX_BYTES;
use comptoir_journal::EntryKind;
use jiff::Timestamp;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::ResourceSample;
use crate::sales::{Pool, STORE};

const TIMEOUT: Duration = Duration::from_secs(30);

pub fn run(brokers: &str, prefix: &str, events: u32, transaction: u32) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", format!("{prefix}bench"))
        .set("compression.type", "lz4")
        .set("linger.ms", "1")
        .set("batch.size", "262144")
        .set("queue.buffering.max.kbytes", "16384")
        .set("partitioner", "murmur2_random")
        .set("socket.nagle.disable", "true")
        .set("delivery.report.only.error", "true")
        .create()
        .context("create a transactional producer")?;
    producer.init_transactions(TIMEOUT)?;
    let pool = Pool::new()?;
    ResourceSample::print()?;
    let mut at = 0;
    while at < events {
        producer.begin_transaction()?;
        let (begin, mut bytes) = (at, 0);
        while at < events && at - begin < transaction.max(1) && bytes < MAX_BYTES {
            bytes += send(&producer, &pool, prefix, at)?;
            at += 1;
        }
        // librdkafka's commit polls its queue every 100 ms. Without this wait each transaction would take that long.
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_micros(250));
        }
        producer.commit_transaction(TIMEOUT)?;
    }
    ResourceSample::print()
}

fn send(producer: &BaseProducer, pool: &Pool, prefix: &str, at: u32) -> Result<usize> {
    let (event, seq) = pool.event(at);
    let EntryKind::Event(kind) = event.kind else {
        bail!("the pool contains a dead letter");
    };
    let topic = format!("{prefix}{}", kind.topic());
    let id = format!("{}/{}/{seq}", event.device, pool.epoch());
    let source = format!("/comptoir/{STORE}");
    let time = Timestamp::from_millisecond(event.time)?.to_string();
    let offset = (u64::from(at) + 1).to_string();
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", &source),
        ("ce_type", kind.event_type()),
        ("ce_time", &time),
        ("content-type", "application/json"),
        ("ce_journal", "00000000-0000-4000-8000-000000000000"),
        ("ce_journaloffset", &offset),
    ];
    let headers = headers.into_iter().fold(
        OwnedHeaders::new_with_capacity(headers.len()),
        |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        },
    );
    let mut record = BaseRecord::to(&topic)
        .key(event.key.as_bytes())
        .payload(&event.payload[..])
        .timestamp(event.time)
        .headers(headers);
    while let Err((error, back)) = producer.send(record) {
        match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => record = back,
            error => return Err(error).context("send a record"),
        }
        // `poll` with a timeout spins during the last millisecond.
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(event.payload.len() + event.key.len())
}
