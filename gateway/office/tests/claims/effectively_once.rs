//! Whatever is killed, each event is in PostgreSQL once, and the sales are right to the cent.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::chain::{Account, Chain};
use comptoir_harness::process::Signal;
use comptoir_harness::{Kafka, Postgres, eventually};

use crate::figures::ensure_equal;
use crate::office::{DEADLINE, Office, Site};

const SHOPS: usize = 50;
const ROUNDS: u32 = 60;

fn shops() -> Vec<String> {
    (0..SHOPS).map(|shop| format!("shop-{shop}")).collect()
}

/// The accounts as PostgreSQL has them, read from outside.
async fn accounts(postgres: &Postgres, url: &str) -> Result<BTreeMap<String, Account>> {
    let database = url.rsplit('/').next().unwrap_or_default();
    let sql = "SELECT store, count(*) FILTER (WHERE kind = 'order'), count(*) FILTER (WHERE kind = 'payment'), \
               coalesce(sum(amount) FILTER (WHERE kind = 'payment' AND status = 'SUCCESS'), 0), \
               (SELECT count(*) FROM event WHERE event.store = sale.store) FROM sale GROUP BY store";
    let rows = postgres.query(database, sql).await?;
    let parse = |line: &str| {
        let mut columns = line.split('|');
        let store = columns.next()?.to_owned();
        let numbers: Vec<i64> = columns.map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let [orders, payments, takings, events] = numbers[..] else {
            return None;
        };
        let account = Account {
            orders,
            payments,
            takings,
            events,
        };
        Some((store, account))
    };
    rows.lines()
        .map(|line| parse(line).with_context(|| format!("a row: {line}")))
        .collect()
}

async fn wait_until_equal(postgres: &Postgres, site: &Site, chain: &Chain) {
    wait_until_equal_to(chain.sold(), postgres, site, DEADLINE).await;
}

/// Waits until PostgreSQL has what the shops have sold.
pub async fn wait_until_equal_to(
    sold: &BTreeMap<String, Account>,
    postgres: &Postgres,
    site: &Site,
    deadline: Duration,
) {
    eventually("PostgreSQL to equal the audit", deadline, async || {
        let found = accounts(postgres, &site.postgres).await?;
        let wrong = sold.iter().find(|(store, sold)| found.get(*store) != Some(sold));
        ensure!(
            wrong.is_none(),
            "{wrong:?}, PostgreSQL has {:?}",
            wrong.map(|(store, _)| found.get(store))
        );
        ensure!(found.len() == sold.len(), "{} shops", found.len());
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_in_postgresql_once_whatever_is_killed() -> Result<()> {
    let kafka = Kafka::shared().await;
    let mut postgres = Postgres::start().await?;
    postgres.create_database("office").await?;
    let site = Site::on(kafka, postgres.url("office"))?;
    site.create_topics(kafka).await?;
    let shops = shops();
    site.write_keys(shops.iter().map(String::as_str))?;
    let mut replicas: Vec<Office> = Vec::new();
    for name in ["one", "two", "three"] {
        replicas.push(site.start(name)?);
    }
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    for round in 0..ROUNDS {
        chain.sell_and_abort(&shops, round)?;
        chain.sell(&shops, round)?;
        match round {
            // In the middle of the first joining of the group, and again and again.
            5 | 25 | 45 => {
                let at = (round as usize / 5) % replicas.len();
                replicas[at].kill();
                replicas[at] = site.start(["one", "two", "three"][at])?;
            }
            15 => {
                postgres.kill();
                postgres.restart().await?;
            }
            // A replica that hangs loses its partitions without knowing it.
            35 => replicas[0].signal(Signal::STOP)?,
            55 => replicas[0].signal(Signal::CONT)?,
            _ => {}
        }
        if round % 10 == 9 {
            // At least a part of the events so far, so that the faults meet replicas at work.
            eventually("the replicas to write", DEADLINE, async || {
                let events: i64 = postgres
                    .query("office", "SELECT count(*) FROM event")
                    .await?
                    .trim()
                    .parse()?;
                ensure!(events > i64::from(round) * 10, "{events} events");
                Ok(())
            })
            .await;
        }
    }
    wait_until_equal(&postgres, &site, &chain).await;
    ensure_equal(&postgres, &site.postgres).await?;
    let statuses = "SELECT string_agg(DISTINCT status, ',') FROM sale WHERE kind = 'order'";
    assert_eq!(postgres.query("office", statuses).await?.trim(), "Completed");
    let apart = postgres
        .query("office", "SELECT count(*) FROM kept_apart")
        .await?;
    assert_eq!(apart.trim(), "0");
    for replica in &mut replicas {
        assert!(replica.terminate().await?.success());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_overtaken_writes_nothing() -> Result<()> {
    let (kafka, postgres) = (Kafka::shared().await, Postgres::shared().await);
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    let shops = shops();
    site.write_keys(shops.iter().map(String::as_str))?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    let mut office = site.start("one")?;
    // Enough orders for all partitions.
    for round in 0..10 {
        chain.sell(&shops, round)?;
    }
    wait_until_equal(postgres, &site, &chain).await;
    // Somebody has moved a position, as another replica that has read the partition would.
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    postgres
        .query(database, "UPDATE position SET next = next - 1 WHERE next > 0")
        .await?;
    for round in 10..20 {
        chain.sell(&shops, round)?;
    }
    wait_until_equal(postgres, &site, &chain).await;
    let overtaken = office.metric("comptoir_office_overtaken_total").await?;
    assert!(overtaken >= 1.0, "{overtaken}\n{}", office.log());
    ensure_equal(postgres, &site.postgres).await?;
    // It has read the records before again, and recognised them.
    assert!(office.metric("comptoir_office_repeated_events_total").await? >= 1.0);
    assert!(office.terminate().await?.success(), "{}", office.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn recreated_topics_are_read_from_their_beginning() -> Result<()> {
    let (kafka, postgres) = (Kafka::shared().await, Postgres::shared().await);
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    site.write_keys(["shop-1"])?;
    let shops = ["shop-1".to_owned()];
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    for round in 0..20 {
        chain.sell(&shops, round)?;
    }
    let mut office = site.start("one")?;
    wait_until_equal(postgres, &site, &chain).await;
    let topics =
        ["orders", "payments", "deliveries", "gateways"].map(|name| format!("{}{name}", site.prefix));
    let names = topics.each_ref().map(String::as_str);
    // Once while it runs, and once while it is away. The new topics soon have records at the old positions, too.
    for rounds in [20..60, 60..160] {
        kafka.delete_topics(&names).await?;
        site.create_topics(kafka).await?;
        let is_away = rounds.start == 60;
        for round in rounds {
            chain.sell(&shops, round)?;
        }
        if is_away {
            office = site.start("one")?;
        }
        wait_until_equal(postgres, &site, &chain).await;
        // Where a later event was read first, the earlier one has changed nothing.
        let database = site.postgres.rsplit('/').next().unwrap_or_default();
        let statuses = "SELECT string_agg(DISTINCT status, ',') FROM sale WHERE kind = 'order'";
        assert_eq!(postgres.query(database, statuses).await?.trim(), "Completed");
        if !is_away {
            assert!(office.terminate().await?.success());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_deleted_before_they_were_read_are_shown_as_lost() -> Result<()> {
    let (kafka, postgres) = (Kafka::shared().await, Postgres::shared().await);
    let site = Site::new().await?;
    site.create_topics(kafka).await?;
    site.write_keys(["shop-1"])?;
    let shops = ["shop-1".to_owned()];
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    for round in 0..20 {
        chain.sell(&shops, round)?;
    }
    let mut office = site.start("one")?;
    wait_until_equal(postgres, &site, &chain).await;
    assert!(office.terminate().await?.success());
    let mut lost = Chain::new(&site.brokers, &site.prefix)?;
    for round in 20..40 {
        lost.sell(&shops, round)?;
    }
    let payments = format!("{}payments", site.prefix);
    kafka.delete_records(&payments).await?;
    let mut office = site.start("one")?;
    eventually("the loss to be shown", DEADLINE, async || {
        let overview = office.get_json("/api/shops").await?;
        ensure!(overview["lost_ranges"].as_i64() >= Some(1), "{overview}");
        let (orders, payments) = match accounts(postgres, &site.postgres).await?.get("shop-1") {
            Some(account) => (account.orders, account.payments),
            None => (0, 0),
        };
        ensure!(
            (orders, payments) == (40, 20),
            "{orders} orders, {payments} payments"
        );
        Ok(())
    })
    .await;
    // What follows is read.
    let mut after = Chain::new(&site.brokers, &site.prefix)?;
    after.sell(&shops, 40)?;
    eventually("the next payment", DEADLINE, async || {
        let found = accounts(postgres, &site.postgres).await?;
        let payments = found.get("shop-1").map(|account| account.payments);
        ensure!(payments == Some(21), "{payments:?}");
        Ok(())
    })
    .await;
    Ok(())
}
