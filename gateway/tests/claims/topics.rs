//! Administrators create topics with other settings, change them, delete and recreate them, and grant or withdraw
//! permissions. The gateway corrects or reports what could lose or double events.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use comptoir_core::shop_secret::ShopSecret;
use comptoir_gateway::bridge::topic_watch::{TopicWatch, Verdict};
use comptoir_gateway::bridge::watermark::{self, Watermark};
use comptoir_gateway::platform::peer::{Peer, PeerState};
use comptoir_harness::{Kafka, Operation, fresh_prefix, within};
use comptoir_kafka::{
    ConnectionErrors, Deadline, Delivery, DeliveryReports, Error, InspectionMode, ReadFrom, Record, RecordAt,
    RecordSizeLimits, RepairOutcome, Settings, TopicInspector, TopicReport, Traffic, TransactionalProducer,
    Uplink, WATERMARKS, record_at,
};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::shop::{SOON, STORE};

const TIMESTAMPS: &str = "message.timestamp.type";
const LIMIT: &str = "max.message.bytes";
const POLICY: &str = "cleanup.policy";

fn settings(brokers: &str, prefix: &str) -> Settings {
    Settings {
        brokers: brokers.to_owned(),
        prefix: prefix.to_owned(),
        identity: STORE.to_owned(),
        replication_factor: None,
        partitions: None,
        uplink: Uplink::Normal,
        properties: BTreeMap::new(),
        connection_errors: ConnectionErrors::default(),
        traffic: Traffic::default(),
    }
}

async fn inspect(kafka: &Kafka, prefix: &str, mode: InspectionMode) -> Result<TopicReport> {
    let inspector = TopicInspector::new(settings(kafka.brokers(), prefix), mode);
    Ok(tokio::task::spawn_blocking(move || inspector.inspect(SOON)).await??)
}

fn outcomes(report: &TopicReport, topic: &str) -> Vec<(&'static str, RepairOutcome)> {
    let of_topic = report
        .deviations
        .iter()
        .filter(|deviation| deviation.topic == topic);
    of_topic
        .map(|deviation| (deviation.property, deviation.outcome))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn harmful_topic_settings_are_corrected_and_other_settings_are_kept() -> Result<()> {
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let topic = |name: &str| format!("{prefix}{name}");
    let (payments, watermarks) = (topic("payments"), format!("{prefix}{WATERMARKS}.{STORE}"));
    let made = [
        (TIMESTAMPS, "CreateTime"),
        (LIMIT, "1000"),
        ("retention.ms", "123456789"),
        ("segment.bytes", "2097152"),
    ];
    kafka.create_topic(&payments, 2, &made).await?;
    let deleting = [(POLICY, "delete"), ("retention.ms", "1000")];
    kafka.create_topic(&watermarks, 3, &deleting).await?;
    let before = kafka.topic_settings(&payments).await?;
    let look = inspect(kafka, &prefix, InspectionMode::ReadOnly).await?;
    ensure!(look.absent.len() == 8 && kafka.topic_settings(&payments).await? == before);
    let expected = [
        (TIMESTAMPS, RepairOutcome::Repairable),
        (LIMIT, RepairOutcome::Repairable),
    ];
    ensure!(outcomes(&look, &payments) == expected, "{look:?}");

    let report = inspect(kafka, &prefix, InspectionMode::Repair).await?;
    ensure!(
        report.absent.len() == 8 && report.warnings().is_empty(),
        "{report:?}"
    );
    let expected = [
        (TIMESTAMPS, RepairOutcome::Repaired),
        (LIMIT, RepairOutcome::Repaired),
    ];
    ensure!(outcomes(&report, &payments) == expected, "{report:?}");
    let expected = [
        (TIMESTAMPS, RepairOutcome::Repaired),
        (POLICY, RepairOutcome::Repaired),
    ];
    ensure!(outcomes(&report, &watermarks) == expected, "{report:?}");
    let after = kafka.topic_settings(&payments).await?;
    let value = |name: &str| after.get(name).map(String::as_str);
    ensure!(value(TIMESTAMPS) == Some("LogAppendTime") && value(LIMIT) == Some("1048588"));
    ensure!(value("retention.ms") == Some("123456789") && value("segment.bytes") == Some("2097152"));
    let again = inspect(kafka, &prefix, InspectionMode::Repair).await?;
    ensure!(
        again.deviations.is_empty() && again.absent.is_empty(),
        "{again:?}"
    );
    ensure!(
        again.limits.of(&topic("dead-letters")) == Some(4_194_304),
        "{again:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permissions_on_topics_are_named_and_only_a_risk_of_duplicates_stops_the_bridge() -> Result<()>
{
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let payments = format!("{prefix}payments");
    kafka.create_topic(&payments, 1, &[]).await?;
    kafka.deny(&prefix, Operation::AlterConfigs)?;
    let report = inspect(kafka, &prefix, InspectionMode::Repair).await?;
    ensure!(
        report.blocking_deviation().is_none() && report.create_time == [payments.as_str()],
        "{report:?}"
    );
    let said = report.warnings().join("\n");
    for word in [
        &payments,
        "message.timestamp.type=LogAppendTime",
        "ALTER_CONFIGS",
        kafka.brokers(),
    ] {
        ensure!(said.contains(word), "{said}");
    }
    kafka.allow(&prefix)?;
    kafka.deny(&prefix, Operation::DescribeConfigs)?;
    let report = inspect(kafka, &prefix, InspectionMode::Repair).await?;
    let said = report.warnings().join("\n");
    ensure!(
        said.contains("DESCRIBE_CONFIGS") && said.contains(&payments),
        "{said}"
    );
    let absent = fresh_prefix();
    kafka.deny(&absent, Operation::Create)?;
    // A client without any permission on the cluster may not create topics either.
    kafka.deny(&absent, Operation::Describe)?;
    let Err(error) = inspect(kafka, &absent, InspectionMode::Repair).await else {
        bail!("topics that may neither be described nor created were inspected");
    };
    let said = format!("{error:#}");
    ensure!(said.contains("DESCRIBE") && said.contains(&absent), "{said}");
    // The bridge works without the topic of the gateways' states.
    let prefix = fresh_prefix();
    let gateways = format!("{prefix}gateways");
    kafka.deny(&gateways, Operation::Describe)?;
    let report = inspect(kafka, &prefix, InspectionMode::Repair).await?;
    let said = report.warnings().join("\n");
    ensure!(said.contains(&gateways) && said.contains("head office"), "{said}");
    ensure!(
        report.blocking_deviation().is_none() && report.absent.len() == 9,
        "{report:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_furthest_watermark_counts_in_any_partition() -> Result<()> {
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let topic = format!("{prefix}{WATERMARKS}.{STORE}");
    kafka.create_topics(&[(&topic, 3)]).await?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .create()?;
    let mac_key = ShopSecret::new([7; 32]).watermark_key();
    for (journal, partition, offset) in [("a", 0, 3), ("a", 2, 9), ("a", 1, 5), ("b", 1, 7), ("c", 0, 99)] {
        let key = watermark::key(STORE, journal);
        let watermark = Watermark {
            offset,
            event: "e".to_owned(),
            ..Watermark::default()
        };
        let payload = json!(watermark.signed(&key, &mac_key)).to_string();
        let record = BaseRecord::to(&topic)
            .partition(partition)
            .key(&key)
            .payload(&payload);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(SOON)?;
    let settings = settings(kafka.brokers(), &prefix);
    // An offset beyond the end comes from a topic that no longer exists.
    for from in [
        ReadFrom::Beginning,
        ReadFrom::Offset(1_000_000),
        ReadFrom::Last(100),
    ] {
        let (settings, stop) = (settings.clone(), CancellationToken::new());
        let (topic, mac_key) = (topic.clone(), mac_key.clone());
        let read = move || {
            let journals = ["a", "b", "d"];
            watermark::read(&settings, &topic, &mac_key, journals, from, SOON, &stop)
        };
        let found = tokio::task::spawn_blocking(read).await??;
        let offsets = found.map(|found| found.signed.map(|watermark| watermark.offset));
        ensure!(offsets == [Some(9), Some(7), None], "{from:?}: {offsets:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_timestamp_is_reported_and_log_append_time_accepts_any() -> Result<()> {
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let topic = format!("{prefix}payments");
    // The topic accepts only timestamps that equal the Kafka broker's clock to the millisecond.
    let strict = [
        ("message.timestamp.before.max.ms", "0"),
        ("message.timestamp.after.max.ms", "0"),
    ];
    kafka.create_topic(&topic, 1, &strict).await?;
    let settings = settings(kafka.brokers(), &prefix);
    let send = async |topic: String| {
        let settings = settings.clone();
        tokio::task::spawn_blocking(move || -> Result<(), Error> {
            let stop = CancellationToken::new();
            let deadline = Deadline::new(SOON, &stop);
            let producer = TransactionalProducer::connect(
                &settings,
                &RecordSizeLimits::default(),
                DeliveryReports::All,
                &deadline,
            )?;
            producer.begin()?;
            let record = Record {
                topic: &topic,
                partition: Some(0),
                key: b"o-1",
                payload: b"{}",
                headers: &[("ce_id", b"paris-1/till-1/1/1")],
                id: 7,
            };
            producer.send(&record, &deadline)?;
            producer.commit(&deadline).map(drop)
        })
        .await
    };
    let said = send(topic.clone()).await?.unwrap_err().to_string();
    for word in [
        "paris-1/till-1/1/1",
        &topic,
        "INVALID_TIMESTAMP",
        "message.timestamp.type=LogAppendTime",
    ] {
        ensure!(said.contains(word), "{said}");
    }
    let report = inspect(kafka, &prefix, InspectionMode::Repair).await?;
    ensure!(
        outcomes(&report, &topic) == [(TIMESTAMPS, RepairOutcome::Repaired)],
        "{report:?}"
    );
    send(topic).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkas_reply_says_where_a_record_is_and_only_there_it_is_read_back() -> Result<()> {
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let topic = format!("{prefix}payments");
    kafka.create_topic(&topic, 3, &[]).await?;
    let settings = settings(kafka.brokers(), &prefix);
    let work = tokio::task::spawn_blocking(move || -> Result<()> {
        let stop = CancellationToken::new();
        let deadline = Deadline::new(SOON, &stop);
        let limits = RecordSizeLimits::default();
        let producer = TransactionalProducer::connect(&settings, &limits, DeliveryReports::All, &deadline)?;
        producer.begin()?;
        let names: Vec<String> = (0..20).map(|seq| format!("paris-1/till-1/1/{seq}")).collect();
        for (id, name) in names.iter().enumerate() {
            let payload = format!("{{\"n\":{id}}}");
            let record = Record {
                topic: &topic,
                partition: None,
                key: name.as_bytes(),
                payload: payload.as_bytes(),
                headers: &[("ce_id", name.as_bytes())],
                id,
            };
            producer.send(&record, &deadline)?;
        }
        let deliveries = producer.commit(&deadline)?;
        ensure!(deliveries.len() == names.len(), "{deliveries:?}");
        let at = |partition, offset| record_at(&settings, &topic, partition, offset, SOON);
        for Delivery {
            id,
            partition,
            offset,
        } in &deliveries
        {
            let expected = RecordAt::Found {
                ce_id: Some(names[*id].clone()),
                payload: format!("{{\"n\":{id}}}").into_bytes(),
            };
            let found = at(*partition, *offset)?;
            ensure!(found == expected, "{found:?} instead of {expected:?}");
        }
        let last = deliveries
            .iter()
            .filter(|one| one.partition == deliveries[0].partition);
        let end = last.map(|one| one.offset).max().context("no record")? + 1;
        // The marker at the end of the transaction, and offsets beyond it.
        for offset in [end, end + 1, end + 1_000] {
            let found = at(deliveries[0].partition, offset)?;
            ensure!(found == RecordAt::Absent, "{offset}: {found:?}");
        }
        Ok(())
    });
    work.await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_deleted_or_changed_at_runtime_is_noticed_and_corrected() -> Result<()> {
    let kafka = Kafka::shared().await;
    let prefix = fresh_prefix();
    let marks = format!("{prefix}{WATERMARKS}.{STORE}");
    let link = Peer::new("bridge", PeerState::Down);
    let watch = TopicWatch::new(settings(kafka.brokers(), &prefix), link.clone(), SOON);
    let inspect = async || {
        let watch = watch.clone();
        tokio::task::spawn_blocking(move || watch.inspect()).await
    };
    let often = Duration::from_millis(100);
    inspect().await??;
    let first = inspect().await??;
    let mut watching = watch.watch_every(often, &Handle::current(), first);
    kafka.delete_topics(&[&marks]).await?;
    timeout(SOON, watching.ended()).await?;
    ensure!(
        matches!(watching.verdict(), Some(Verdict::Changed)),
        "{:?}",
        watching.verdict()
    );
    let is_compacted = async || {
        let found = kafka.topic_settings(&marks).await?;
        ensure!(
            found.get(POLICY).is_some_and(|policy| policy == "compact"),
            "{found:?}"
        );
        Ok(())
    };
    within("the topic to be recreated", SOON, is_compacted).await?;

    let watching = watch.watch_every(often, &Handle::current(), inspect().await??);
    kafka.alter_topic(&marks, &[(POLICY, "delete")]).await?;
    within("the policy to be corrected", SOON, is_compacted).await?;
    ensure!(watching.verdict().is_none() && link.status().warnings.is_empty());
    Ok(())
}
