//! What the harness promises of Kafka, and of its `read_committed` reader.

use std::time::{Duration, Instant};

use anyhow::Result;
use comptoir_harness::{Kafka, Reader, fresh_prefix};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const DEADLINE: Duration = Duration::from_secs(30);
/// For what must not come: enough for an answer from a busy machine.
const IN_VAIN: Duration = Duration::from_secs(5);

/// A producer with its transactions initialised.
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

fn send(producer: &BaseProducer, topic: &str, name: &str) -> Result<()> {
    let headers = OwnedHeaders::new().insert(Header {
        key: "ce_id",
        value: Some(name),
    });
    let record = BaseRecord::to(topic).key("o-1").payload(name).headers(headers);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(producer.flush(DEADLINE)?)
}

async fn names(brokers: &str, topic: &str) -> Result<Vec<String>> {
    let records = Reader::new(brokers).read(&[topic], DEADLINE).await?;
    Ok(records
        .iter()
        .filter_map(|record| record.ce_id().map(str::to_owned))
        .collect())
}

#[tokio::test]
async fn a_reader_sees_what_was_committed_and_not_what_was_aborted() -> Result<()> {
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
    assert_eq!(names(kafka.brokers(), &topic).await?, ["a", "c"]);
    let records = Reader::new(kafka.brokers()).read(&[&topic], DEADLINE).await?;
    assert_eq!(records[0].key_text(), Some("o-1"));
    assert_eq!(records[0].value, b"a");
    assert!(records[0].timestamp.is_some() && records[0].offset < records[1].offset);
    Ok(())
}

#[tokio::test]
async fn a_reader_waits_for_a_transaction_that_is_open() -> Result<()> {
    let kafka = Kafka::shared().await;
    let topic = fresh_prefix() + "orders";
    kafka.create_topics(&[(&topic, 1)]).await?;
    let producer = transactional(kafka.brokers(), &topic)?;
    producer.begin_transaction()?;
    send(&producer, &topic, "a")?;
    let reader = Reader::new(kafka.brokers());
    let error = reader.read(&[&topic], IN_VAIN).await.unwrap_err();
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
    let error = reader.read(&[fresh_prefix()], IN_VAIN).await.unwrap_err();
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
    assert_eq!(names(&brokers, "orders").await?, ["a"]);
    commit("b")?;
    kafka.kill();
    let began = Instant::now();
    kafka.start_again().await?;
    eprintln!("start after a kill: {:?}", began.elapsed());
    commit("c")?;
    assert_eq!(names(&brokers, "orders").await?, ["a", "b", "c"]);
    kafka.pause()?;
    let reader = Reader::new(&brokers);
    assert!(
        reader
            .read(&["orders"], Duration::from_millis(500))
            .await
            .is_err(),
        "it hangs"
    );
    kafka.resume()?;
    assert_eq!(names(&brokers, "orders").await?, ["a", "b", "c"]);
    Ok(())
}

#[tokio::test]
async fn a_cluster_goes_on_without_one_node_and_ends_one_by_one() -> Result<()> {
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
    assert_eq!(names(&brokers, "orders").await?, ["a", "b"]);
    let began = Instant::now();
    kafka.start_again().await?;
    eprintln!("start of the killed node: {:?}", began.elapsed());
    // The last one has no majority of controllers any more.
    let began = Instant::now();
    kafka.node(0).stop().await?;
    kafka.node(1).stop().await?;
    kafka.stop().await?;
    eprintln!("stop of three nodes, one by one: {:?}", began.elapsed());
    Ok(())
}
