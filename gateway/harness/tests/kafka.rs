//! Tests of the harness's Kafka and of its `read_committed` reader.

use std::time::{Duration, Instant};

use anyhow::Result;
use comptoir_harness::{Kafka, Reader, fresh_prefix};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const DEADLINE: Duration = Duration::from_secs(30);
/// How long to wait for something that must not happen: long enough for a response from a busy machine.
const NEGATIVE_DEADLINE: Duration = Duration::from_secs(5);

/// A producer that is ready for transactions.
fn transactional(brokers: &str, id: &str) -> Result<BaseProducer> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", id)
        .set("linger.ms", "0")
        .set("reconnect.backoff.max.ms", "100")
        .create()?;
    producer.init_transactions(DEADLINE)?;
    Ok(producer)
}

fn send(producer: &BaseProducer, topic: &str, ce_id: &str) -> Result<()> {
    let headers = OwnedHeaders::new().insert(Header {
        key: "ce_id",
        value: Some(ce_id),
    });
    let record = BaseRecord::to(topic).key("o-1").payload(ce_id).headers(headers);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(producer.flush(DEADLINE)?)
}

/// The `ce_id` of every committed record.
async fn ce_ids(brokers: &str, topic: &str) -> Result<Vec<String>> {
    let records = Reader::new(brokers).read(&[topic], DEADLINE).await?;
    Ok(records
        .iter()
        .filter_map(|record| record.ce_id().map(str::to_owned))
        .collect())
}

#[tokio::test]
async fn a_reader_sees_committed_records_and_no_aborted_ones() -> Result<()> {
    let kafka = Kafka::shared().await;
    let topic = fresh_prefix() + "orders";
    kafka.create_topics(&[(&topic, 3)]).await?;
    let producer = transactional(kafka.brokers(), &topic)?;
    for (name, commit) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        producer.begin_transaction()?;
        send(&producer, &topic, name)?;
        if commit {
            producer.commit_transaction(DEADLINE)?;
        } else {
            producer.abort_transaction(DEADLINE)?;
        }
    }
    assert_eq!(ce_ids(kafka.brokers(), &topic).await?, ["a", "c"]);
    let records = Reader::new(kafka.brokers()).read(&[&topic], DEADLINE).await?;
    assert_eq!(records[0].key_text(), Some("o-1"));
    assert_eq!(records[0].value, b"a");
    assert!(records[0].timestamp.is_some() && records[0].offset < records[1].offset);
    Ok(())
}

#[tokio::test]
async fn a_reader_waits_for_an_open_transaction() -> Result<()> {
    let kafka = Kafka::shared().await;
    let topic = fresh_prefix() + "orders";
    kafka.create_topics(&[(&topic, 1)]).await?;
    let producer = transactional(kafka.brokers(), &topic)?;
    producer.begin_transaction()?;
    send(&producer, &topic, "a")?;
    let reader = Reader::new(kafka.brokers());
    let error = reader.read(&[&topic], NEGATIVE_DEADLINE).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("a transaction is open at 0"),
        "{error:#}"
    );
    let read = tokio::spawn({
        let topic = topic.clone();
        async move { reader.read(&[&topic], DEADLINE).await }
    });
    producer.commit_transaction(DEADLINE)?;
    assert_eq!(read.await??.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_tail_sees_records_as_they_are_committed() -> Result<()> {
    let kafka = Kafka::shared().await;
    let topic = fresh_prefix() + "orders";
    kafka.create_topics(&[(&topic, 3)]).await?;
    let mut tail = Reader::new(kafka.brokers()).tail(&[&topic], DEADLINE).await?;
    let producer = transactional(kafka.brokers(), &topic)?;
    producer.begin_transaction()?;
    send(&producer, &topic, "a")?;
    assert!(tail.next(Duration::from_millis(300)).await.is_err());
    producer.commit_transaction(DEADLINE)?;
    let records = tail
        .until("one record", DEADLINE, |records| !records.is_empty())
        .await?;
    assert_eq!(records[0].ce_id(), Some("a"));
    Ok(())
}

#[tokio::test]
async fn an_absent_topic_is_an_error() {
    let kafka = Kafka::shared().await;
    let reader = Reader::new(kafka.brokers());
    let error = reader
        .read(&[fresh_prefix()], NEGATIVE_DEADLINE)
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("no such topic"), "{error:#}");
}

#[tokio::test]
async fn data_and_address_survive_a_stop_a_kill_and_a_pause() -> Result<()> {
    let began = Instant::now();
    let mut kafka = Kafka::start().await?;
    eprintln!("start: {:?}", began.elapsed());
    let brokers = kafka.brokers().to_owned();
    kafka.create_topics(&[("orders", 1)]).await?;
    let commit = |name: &'static str| -> Result<()> {
        let producer = transactional(&brokers, "one")?;
        producer.begin_transaction()?;
        send(&producer, "orders", name)?;
        Ok(producer.commit_transaction(DEADLINE)?)
    };
    commit("a")?;
    let began = Instant::now();
    kafka.stop().await?;
    eprintln!("stop: {:?}", began.elapsed());
    let began = Instant::now();
    kafka.start_again().await?;
    eprintln!("start after a stop: {:?}", began.elapsed());
    assert_eq!(ce_ids(&brokers, "orders").await?, ["a"]);
    commit("b")?;
    kafka.kill();
    let began = Instant::now();
    kafka.start_again().await?;
    eprintln!("start after a kill: {:?}", began.elapsed());
    commit("c")?;
    assert_eq!(ce_ids(&brokers, "orders").await?, ["a", "b", "c"]);
    kafka.pause()?;
    let reader = Reader::new(&brokers);
    assert!(
        reader
            .read(&["orders"], Duration::from_millis(500))
            .await
            .is_err(),
        "a paused Kafka responded"
    );
    kafka.resume()?;
    assert_eq!(ce_ids(&brokers, "orders").await?, ["a", "b", "c"]);
    Ok(())
}

#[tokio::test]
async fn a_cluster_works_without_one_node_and_stops_node_by_node() -> Result<()> {
    let began = Instant::now();
    let mut kafka = Kafka::start_cluster(3).await?;
    eprintln!("start of three nodes: {:?}", began.elapsed());
    let brokers = kafka.brokers().to_owned();
    kafka.create_topics(&[("orders", 3)]).await?;
    let producer = transactional(&brokers, "one")?;
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        if index == 1 {
            kafka.node(0).kill();
        }
        producer.begin_transaction()?;
        send(&producer, "orders", name)?;
        producer.commit_transaction(DEADLINE)?;
    }
    assert_eq!(ce_ids(&brokers, "orders").await?, ["a", "b"]);
    let began = Instant::now();
    kafka.start_again().await?;
    eprintln!("start of the killed node: {:?}", began.elapsed());
    // The last node has lost the majority of controllers.
    let began = Instant::now();
    kafka.node(0).stop().await?;
    kafka.node(1).stop().await?;
    kafka.stop().await?;
    eprintln!("stop of three nodes, one by one: {:?}", began.elapsed());
    Ok(())
}
