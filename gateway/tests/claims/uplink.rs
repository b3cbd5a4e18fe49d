//! The traffic of a gateway's uplink to Kafka, counted by a proxy: without other shops, and beside busy ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::{Gateway, MeteredKafka, within};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord};
use serde_json::json;

use crate::shop::{SOON, Shop};

/// Number of windows. The busiest does not count, so that a single event, such as a broker's late answer to a request at
/// the start, does not distort the traffic of a day.
const WINDOWS: usize = 3;
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Bytes a day of operations that are rarer than the window: an inspection of the topics of 25 kB every quarter of an
/// hour.
const RARE: u64 = 96 * 25_000;
/// With a metered uplink: an inspection every two hours, a poll every two minutes, a description of the topics every five.
const RARE_METERED: u64 = 12 * 25_000 + 720 * 500 + 288 * 800;

/// Other shops that write into the same topics until they are dropped.
struct OtherShops {
    stop: Arc<AtomicBool>,
}

impl OtherShops {
    /// 1,000 events a second.
    fn open(brokers: &str, topic: &str) -> Result<Self> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("compression.type", "lz4")
            .create()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic) = (Arc::clone(&stop), topic.to_owned());
        std::thread::spawn(move || {
            let begun = Instant::now();
            let mut sent = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                while sent < begun.elapsed().as_millis() as u64 {
                    let order = order(sent);
                    // A full queue is tried again in the next round.
                    if producer
                        .send(BaseRecord::to(&topic).key(&order.0).payload(&order.1))
                        .is_err()
                    {
                        break;
                    }
                    sent += 1;
                }
                producer.poll(Duration::from_millis(10));
            }
        });
        Ok(Self { stop })
    }
}

impl Drop for OtherShops {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// An order of another shop: its key and its JSON.
fn order(number: u64) -> (String, String) {
    let id = format!("lyon-{number}");
    let json = json!({"order_id": id, "customer_name": "Camille", "product": "Pain", "amount": 2.5, "currency": "EUR",
        "status": "Pending", "timestamp": "2026-11-30T10:00:00Z", "store": "lyon-2", "device": "till-1"});
    (id, json.to_string())
}

async fn sell(gateway: &Gateway, number: usize) -> Result<()> {
    let sale = json!({"payment_id": format!("p-{number}"), "order_id": format!("o-{number}"), "amount": 12.5,
        "method": "Cash", "status": "SUCCESS"});
    let (status, _, answer) = gateway.post_json("/api/payments", &sale).await?;
    ensure!(status == 201, "{answer}");
    Ok(())
}

/// Waits until the traffic at the start of the connection is over.
async fn settled(kafka: &MeteredKafka) -> Result<()> {
    let mut before = kafka.traffic();
    within("the uplink to be quiet", SOON, async || {
        // The sleep is the length of the measurement.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = kafka.traffic();
        let bytes = now.since(std::mem::replace(&mut before, now)).total();
        ensure!(bytes < 2_000, "{bytes} bytes in 3 s");
        Ok(())
    })
    .await
}

/// The traffic of a window without sales: the mean of all windows but the busiest. An interval that is as long as a window
/// may end twice in one window and not at all in the next.
async fn idle(kafka: &MeteredKafka, window: Duration) -> u64 {
    let mut totals = [0; WINDOWS];
    for total in &mut totals {
        let before = kafka.traffic();
        // The sleep is the length of the measurement.
        tokio::time::sleep(window).await;
        *total = kafka.traffic().since(before).total();
    }
    eprintln!("{totals:?} bytes in {window:?} without sales");
    let busiest = totals.iter().max().copied().unwrap_or_default();
    (totals.iter().sum::<u64>() - busiest) / (WINDOWS as u64 - 1)
}

/// The traffic per sale in a window with one sale a second.
async fn selling(kafka: &MeteredKafka, shop: &Shop, sold: &mut usize, window: Duration) -> Result<f64> {
    let count = window.as_secs() as usize;
    let mut totals = [0; WINDOWS];
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for total in &mut totals {
        let before = kafka.traffic();
        for number in *sold..*sold + count {
            seconds.tick().await;
            sell(&shop.gateway, number).await?;
        }
        *sold += count;
        shop.drained(*sold as u64, SOON).await?;
        *total = kafka.traffic().since(before).total();
    }
    Ok(median(totals) as f64 / count as f64)
}

/// The bytes that have passed the proxy, and those that the gateway has counted itself.
#[derive(Clone, Copy)]
struct Counted {
    passed: u64,
    counted: u64,
}

impl Counted {
    async fn now(kafka: &MeteredKafka, gateway: &Gateway) -> Result<Self> {
        let (_, metrics) = gateway.get("/metrics").await?;
        let value = |name: &str| -> Result<u64> {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.context(name.to_owned())?.trim().parse()?)
        };
        Ok(Self {
            passed: kafka.traffic().total(),
            counted: value("comptoir_kafka_sent_bytes_total ")?
                + value("comptoir_kafka_received_bytes_total ")?,
        })
    }

    /// Waits until the gateway has counted what has passed since `self`. It counts every few seconds, and leaves out the
    /// clients that live for one request only.
    async fn agrees_with_proxy(self, kafka: &MeteredKafka, gateway: &Gateway) -> Result<()> {
        within("the gateway's own count of its traffic", SOON, async || {
            let now = Self::now(kafka, gateway).await?;
            let (passed, counted) = (now.passed - self.passed, now.counted - self.counted);
            ensure!(
                (counted as f64 / passed as f64 - 1.0).abs() < 0.1,
                "{counted} of {passed} bytes are counted"
            );
            let page = gateway.get_json("/api/gateway").await?;
            let today = &page["uplink"];
            ensure!(
                today["sent_bytes"].as_u64() > Some(0) && today["events"].as_u64() > Some(0),
                "{page}"
            );
            Ok(())
        })
        .await
    }
}

fn median(mut totals: [u64; WINDOWS]) -> u64 {
    totals.sort_unstable();
    totals[WINDOWS / 2]
}

/// Measures the traffic in bytes: of a day without sales, including `rare`; of an event without other shops; and of an
/// event beside other shops. Each `window` is a multiple of the polling interval, or of the delay of a metered uplink.
async fn measured(uplink: &str, rare: u64, window: Duration) -> Result<(u64, f64, f64)> {
    let kafka = MeteredKafka::start().await?;
    let shop = Shop::open_with(kafka.brokers(), |mut config| {
        config.extra = format!("kafka.uplink = \"{uplink}\"");
        config
    })
    .await?;
    let mut sold = 1;
    sell(&shop.gateway, 0).await?;
    shop.drained(1, SOON).await?;
    settled(&kafka).await?;
    let counted = Counted::now(&kafka, &shop.gateway).await?;
    let idle = idle(&kafka, window).await * DAY.as_secs() / window.as_secs() + rare;
    let alone = selling(&kafka, &shop, &mut sold, window).await?;
    counted.agrees_with_proxy(&kafka, &shop.gateway).await?;
    let _others = OtherShops::open(kafka.uncounted().brokers(), &shop.topic("payments"))?;
    let beside = selling(&kafka, &shop, &mut sold, window).await?;
    eprintln!("{uplink}: idle {idle} bytes a day, {alone:.0} and {beside:.0} bytes an event");
    Ok((idle, alone, beside))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_pays_for_its_own_events_and_not_for_those_of_others() -> Result<()> {
    let (idle, alone, beside) = measured("normal", RARE, Duration::from_secs(15)).await?;
    ensure!(idle <= 10_000_000, "{idle} bytes a day without a sale");
    ensure!(
        alone <= 2_000.0 && beside <= 2_000.0,
        "{alone} {beside} bytes an event"
    );
    ensure!(
        (beside / alone - 1.0).abs() <= 0.05,
        "{alone} {beside} bytes an event"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metered_shop_sends_its_events_together() -> Result<()> {
    let (idle, alone, beside) = measured("metered", RARE_METERED, Duration::from_secs(20)).await?;
    ensure!(idle <= 2_000_000, "{idle} bytes a day without a sale");
    ensure!(
        alone <= 500.0 && beside <= 500.0,
        "{alone} {beside} bytes an event"
    );
    Ok(())
}
