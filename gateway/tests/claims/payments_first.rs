//! Payments are sent before other events, when the day's bytes are nearly used up or as the owner wishes; and still each
//! event is in Kafka exactly once.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::{Kafka, Scratch, within};
use comptoir_kafka::WATERMARKS;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::shop::{LATER, SOON, Shop, tills};

const BUDGET: u64 = 10_000_000;

/// A shop whose gateway has a daily budget of bytes.
struct BudgetShop {
    shop: Shop,
    sold: usize,
}

impl BudgetShop {
    /// Opens the shop when the day's bytes are nearly used up.
    async fn open() -> Result<Self> {
        Self::open_with_used(BUDGET / 10 * 9).await
    }

    /// Opens the shop when this many of the day's bytes are used up.
    async fn open_with_used(used: u64) -> Result<Self> {
        let mut shop = Shop::open().await?;
        ensure!(shop.gateway.terminate().await?.success());
        // A zone in which it is about noon, because the budget is new at midnight.
        let now = Timestamp::now();
        let east = 12 - now.to_zoned(TimeZone::UTC).hour();
        // POSIX counts to the west.
        let zone = format!("SHOP{:+}", -east);
        let day = json!({
            "date": now.to_zoned(TimeZone::fixed(jiff::tz::offset(east))).date(), "since": now, "sent": used, "received": 0, "events": 1,
        });
        let file = shop.gateway.journal_path().with_file_name("journal-uplink.json");
        fs::write(file, day.to_string())?;
        shop.gateway.config().env.push(("TZ".to_owned(), zone));
        let mut shop = Self { shop, sold: 0 };
        shop.start(BUDGET).await?;
        Ok(shop)
    }

    async fn start(&mut self, budget: u64) -> Result<()> {
        let gateway = &mut self.shop.gateway;
        gateway.config().extra = format!("kafka.uplink_budget = {budget}");
        gateway.start_again()?;
        gateway.wait_ready().await
    }

    /// Restarts the gateway with ten times the budget.
    async fn grant_more(&mut self) -> Result<()> {
        self.shop.gateway.kill9()?;
        self.start(10 * BUDGET).await
    }

    /// Stores an order and its payment.
    async fn sell(&mut self) -> Result<()> {
        let order = json!({"order_id": format!("o-{}", self.sold + 1), "customer_name": "Ada", "product": "Bread",
            "amount": 3.5, "status": "Pending"});
        self.post("/api/orders", &order).await?;
        self.pay().await
    }

    /// Stores a payment.
    async fn pay(&mut self) -> Result<()> {
        self.sold += 1;
        let number = self.sold;
        let payment = json!({"payment_id": format!("p-{number}"), "order_id": format!("o-{number}"), "amount": 3.5,
            "method": "Cash", "status": "SUCCESS"});
        self.post("/api/payments", &payment).await
    }

    async fn post(&self, path: &str, sale: &Value) -> Result<()> {
        let (status, _, answer) = self.shop.gateway.post_json(path, sale).await?;
        ensure!(status == 201, "{answer}");
        Ok(())
    }

    /// The names of the events of a topic, each once.
    async fn names(&self, topic: &str) -> Result<BTreeSet<String>> {
        let records = self.shop.records().await?;
        let of_topic = records
            .iter()
            .filter(|record| record.topic == self.shop.topic(topic));
        let mut names = BTreeSet::new();
        for record in of_topic {
            let name = record.headers.get("ce_id").context("a record without ce_id")?;
            let name = String::from_utf8(name.clone())?;
            ensure!(names.insert(name.clone()), "{name} is in Kafka twice");
        }
        Ok(names)
    }

    /// Waits until Kafka has this many payments, and checks how many orders it has.
    async fn expect(&self, payments: usize, orders: usize) -> Result<()> {
        within(&format!("{payments} payments in Kafka"), SOON, async || {
            let found = self.names("payments").await?.len();
            ensure!(found == payments, "{found}");
            Ok(())
        })
        .await?;
        let found = self.names("orders").await?.len();
        ensure!(found == orders, "{found} orders instead of {orders}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn near_the_daily_budget_only_payments_are_sent_and_the_rest_follows() -> Result<()> {
    let mut shop = BudgetShop::open().await?;
    for _ in 0..10 {
        shop.sell().await?;
    }
    shop.expect(10, 0).await?;
    let status = shop.shop.gateway.get_json("/api/gateway").await?;
    let uplink = &status["uplink"];
    ensure!(
        uplink["payments_only"] == true && uplink["budget"] == BUDGET,
        "{uplink}"
    );
    ensure!(status["journal"]["pending"] == 20, "{}", status["journal"]);
    let (_, metrics) = shop.shop.gateway.get("/metrics").await?;
    ensure!(metrics.contains("comptoir_kafka_payments_only 1"), "{metrics}");
    let page = shop.shop.gateway.get_json("/api/payments").await?;
    let items = page["items"].as_array().context("items")?;
    ensure!(
        items.len() == 10 && items.iter().all(|item| item["confirmed"] == true),
        "{page}"
    );
    // A restart grants nothing, and repeats nothing.
    shop.shop.gateway.kill9()?;
    shop.start(BUDGET).await?;
    shop.sell().await?;
    shop.expect(11, 0).await?;
    ensure!(shop.shop.gateway.terminate().await?.success());
    shop.start(BUDGET).await?;
    shop.sell().await?;
    shop.expect(12, 0).await?;
    shop.grant_more().await?;
    shop.shop.drained(24, SOON).await?;
    shop.expect(12, 12).await?;
    let status = shop.shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["uplink"]["payments_only"] == false, "{}", status["uplink"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_that_went_first_are_known_even_if_the_watermark_topic_is_lost_in_a_crash() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut shop = BudgetShop::open().await?;
    for _ in 0..5 {
        shop.sell().await?;
    }
    shop.expect(5, 0).await?;
    shop.shop.gateway.kill9()?;
    // As if the crash had happened before the journal recorded a transaction.
    shop.shop.alter_journal(&["DELETE FROM watermark"]).await?;
    let topic = shop.shop.shop_topic(WATERMARKS);
    kafka.delete_topics(&[&topic]).await?;
    shop.start(10 * BUDGET).await?;
    shop.shop.drained(10, SOON).await?;
    shop.expect(5, 5).await?;
    // The same with everything sent, and further payments ahead of orders that wait.
    shop.shop.gateway.kill9()?;
    shop.shop
        .alter_journal(&["UPDATE watermark SET offset = 4, payments = 4"])
        .await?;
    kafka.delete_topics(&[&topic]).await?;
    shop.start(10 * BUDGET).await?;
    shop.sell().await?;
    shop.shop.drained(12, SOON).await?;
    shop.expect(6, 6).await
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_that_went_first_are_not_doubled_after_a_lost_secret_is_replaced() -> Result<()> {
    let mut shop = BudgetShop::open().await?;
    shop.grant_more().await?;
    shop.sell().await?;
    shop.shop.drained(2, SOON).await?;
    ensure!(shop.shop.gateway.terminate().await?.success());
    shop.start(BUDGET).await?;
    for _ in 0..3 {
        shop.sell().await?;
    }
    shop.expect(4, 1).await?;
    shop.shop.gateway.kill9()?;
    fs::remove_file(shop.shop.gateway.journal_path().with_file_name("journal-secret"))?;
    // As if the crash had happened before the journal recorded the last transactions.
    shop.shop
        .alter_journal(&["UPDATE watermark SET offset = 2, payments = 2"])
        .await?;
    let (status, said) = shop
        .shop
        .gateway
        .run(&["recovery-code", "--replace"], SOON)
        .await?;
    ensure!(status.success(), "{said}");
    shop.start(10 * BUDGET).await?;
    shop.sell().await?;
    shop.shop.drained(10, SOON).await?;
    shop.expect(5, 5).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_waits_for_midnight_is_idle() -> Result<()> {
    /// The length of the measurement.
    const WINDOW: Duration = Duration::from_secs(3);
    let mut shop = BudgetShop::open_with_used(BUDGET / 10 * 9 - 15_000).await?;
    let mut is_used_up = false;
    while !is_used_up {
        // Only payments, because an order could be held back; and one by one, so that nothing is left to send.
        shop.pay().await?;
        let sold = shop.sold as u64;
        is_used_up = within(
            "the payment to be sent, and its bytes to be counted",
            SOON,
            async || {
                let status = shop.shop.gateway.get_json("/api/gateway").await?;
                let is_used_up = status["uplink"]["payments_only"] == true;
                ensure!(
                    is_used_up || status["uplink"]["events"].as_u64() > Some(sold),
                    "{}",
                    status["uplink"]
                );
                Ok(is_used_up)
            },
        )
        .await?;
    }
    let before = cpu_time(shop.shop.gateway.pid()?)?;
    tokio::time::sleep(WINDOW).await;
    let used = cpu_time(shop.shop.gateway.pid()?)? - before;
    ensure!(used < WINDOW / 3, "{used:?} in {WINDOW:?}");
    Ok(())
}

/// The CPU time that a process has used, to a hundredth of a second.
fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64> { Ok(fields.get(at).context("a field")?.parse()?) };
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_journal_sends_the_payments_that_only_it_has() -> Result<()> {
    let mut shop = BudgetShop::open().await?;
    shop.sell().await?;
    shop.expect(1, 0).await?;
    ensure!(shop.shop.gateway.terminate().await?.success());
    // A plain copy, such as of a card image, which `gateway backup` did not make.
    let scratch = Scratch::new("copied")?;
    let copy = scratch.join("journal.db");
    let journal = shop.shop.gateway.journal_path();
    for (name, to) in [
        ("journal.db", "journal.db"),
        ("journal-secret", "journal-secret"),
        ("journal-uplink.json", "journal-uplink.json"),
    ] {
        fs::copy(journal.with_file_name(name), scratch.join(to))?;
    }
    shop.start(BUDGET).await?;
    shop.sell().await?;
    shop.sell().await?;
    shop.expect(3, 0).await?;
    shop.shop.gateway.kill9()?;
    shop.shop.gateway.config().journal_path = Some(copy);
    shop.start(BUDGET).await?;
    within("the copy to notice that it is one", SOON, async || {
        let status = shop.shop.gateway.get_json("/api/gateway").await?;
        ensure!(status["bridge"]["state"] == "up", "{}", status["bridge"]);
        Ok(())
    })
    .await?;
    // This sale takes the offsets of one that only the original had.
    shop.sell().await?;
    shop.expect(4, 0).await?;
    shop.grant_more().await?;
    shop.shop.drained(4, SOON).await?;
    // The orders of the original's last two sales were lost with it.
    shop.expect(4, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_that_leave_at_once_are_in_kafka_exactly_once_whatever_is_killed() -> Result<()> {
    let mut shop = Shop::open_with(Kafka::shared().await.brokers(), |config| config.with(MODES[0])).await?;
    let mut sim = tills(&shop.mosquitto, 10, 3_000, 150)?;
    for kill in 1..=8 {
        // The moments of the kills are the input of the test.
        tokio::time::sleep(Duration::from_millis(rand::random_range(200..3_500))).await;
        shop.gateway.kill9()?;
        shop.gateway.config().extra = MODES[kill % MODES.len()].to_owned();
        shop.gateway.start_again()?;
    }
    sim.finish(LATER).await?;
    shop.gateway.wait_ready().await?;
    shop.drained(3_000, LATER).await?;
    let ledger = sim.ledger()?;
    ensure!(ledger.len() == 3_000, "{} sold", ledger.len());
    shop.audited(&ledger).await
}

const MODES: [&str; 3] = [
    "kafka.uplink = \"metered\"\nkafka.uplink_delay = 2\nkafka.payments_at_once = true",
    "kafka.uplink = \"metered\"\nkafka.uplink_delay = 1\nkafka.payments_at_once = true\nkafka.follow = \"all\"",
    "kafka.follow = \"own\"",
];
