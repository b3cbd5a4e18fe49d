//! The bare relay, a program that can be written in an afternoon. It acknowledges on receipt, so a crash loses the
//! messages that it holds, and it forwards messages unchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, anyhow};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;

use super::ResourceSample;
use super::count::Subscriber;

#[derive(Default)]
struct DeliveryCounter {
    events: AtomicU32,
    wanted: u32,
    failed: AtomicU32,
    all: Notify,
}

#[derive(Clone)]
struct Context(Arc<DeliveryCounter>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: Self::DeliveryOpaque) {
        if result.is_err() {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
        if self.0.events.fetch_add(1, Ordering::Relaxed) + 1 == self.0.wanted {
            self.0.all.notify_one();
        }
    }
}

pub async fn run(port: u16, brokers: &str, prefix: &str, events: u32) -> Result<()> {
    let delivered = Arc::new(DeliveryCounter {
        wanted: events,
        ..DeliveryCounter::default()
    });
    let producer: ThreadedProducer<Context> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // The gateway's settings.
        .set("compression.type", "lz4")
        .set("linger.ms", "1")
        .set("batch.size", "262144")
        .set("socket.nagle.disable", "true")
        .create_with_context(Context(delivered.clone()))
        .context("create a producer")?;
    let mut subscriber = Subscriber::open(port, "relay").await?;
    ResourceSample::print()?;
    for _ in 0..events {
        let publish = subscriber.next().await?;
        let leaf = std::str::from_utf8(&publish.topic)?
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let topic = format!("{prefix}{leaf}");
        let mut record = BaseRecord::to(&topic)
            .key(&publish.topic[..])
            .payload(&publish.payload[..]);
        while let Err((error, back)) = producer.send(record) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => record = back,
                error => return Err(anyhow!(error).context("send a record")),
            }
            tokio::task::yield_now().await;
        }
    }
    delivered.all.notified().await;
    let failed = delivered.failed.load(Ordering::Relaxed);
    anyhow::ensure!(failed == 0, "{failed} records were not delivered");
    ResourceSample::print()
}
