//! Old events and sales are deleted, and what they added up to stays.

use anyhow::{Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::{Kafka, Postgres, eventually};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use crate::office::{DEADLINE, Site};

const MONTHS: u32 = 6;
const STATS: &str = "/api/shops/shop-1/stats";

#[tokio::test(flavor = "multi_thread")]
async fn old_sales_are_deleted_and_their_figures_stay_even_if_everything_is_read_again() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let mut office = site.start("one")?;
    let mut chain = Chain::new(&site.brokers, &site.prefix)?;
    let shops = ["shop-1".to_owned()];
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let first = |months: i64| today.first_of_month().saturating_sub(months.months());
    // Seven months ago, six months ago, this month, and with a clock that is wrong by decades.
    let times = [
        format!("{}T12:00:00Z", first(7)),
        format!("{}T00:00:00Z", first(6)),
        format!("{}T00:00:00Z", first(0)),
        "1999-12-31T23:00:00Z".to_owned(),
    ];
    for (round, time) in (0..).zip(times) {
        chain.set_time(time);
        chain.sell(&shops, round)?;
    }
    let before = eventually("all sales", DEADLINE, async || {
        let stats = office.get_json(STATS).await?;
        ensure!(stats["total_payments"] == 4, "{stats}");
        Ok(stats)
    })
    .await;
    assert!(office.terminate().await?.success());

    let months = MONTHS.to_string();
    let variables = [("COMPTOIR_RETENTION__EVENTS", &*months)];
    let mut replicas = [
        site.start_with("one", &variables)?,
        site.start_with("two", &variables)?,
    ];
    let (postgres, database) = (
        Postgres::shared().await,
        site.postgres.rsplit('/').next().unwrap_or_default(),
    );
    let counts = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM sale)";
    eventually("the old sales to be deleted", DEADLINE, async || {
        let found = postgres.query(database, counts).await?;
        // Two sales of three events.
        ensure!(found == "6|4", "{found}");
        Ok(())
    })
    .await;
    let partitions = "SELECT min(relname::text) FROM pg_class WHERE relname ~ '^event_\\d{4}_\\d{2}$'";
    let oldest = first(6);
    assert_eq!(
        postgres.query(database, partitions).await?,
        format!("event_{}_{:02}", oldest.year(), oldest.month())
    );
    let log = replicas
        .iter()
        .map(super::office::Office::log)
        .collect::<String>();
    assert!(log.contains("older than retention.events: deleted"), "{log}");
    // The records are still in Kafka.
    for replica in &mut replicas {
        assert!(replica.terminate().await?.success());
    }
    let (status, said) = site.run(&["reread"]).await?;
    assert!(status.success(), "{said}");
    // Without the setting, too: what is deleted stays deleted.
    let mut office = site.start("three")?;
    eventually("everything to be read again", DEADLINE, async || {
        let expired = office.metric("comptoir_office_expired_events_total").await?;
        let repeated = office.metric("comptoir_office_repeated_events_total").await?;
        ensure!((expired, repeated) == (6.0, 6.0), "{expired} and {repeated}");
        Ok(())
    })
    .await;
    assert_eq!(postgres.query(database, counts).await?, "6|4");
    let mut after = office.get_json(STATS).await?;
    after["orders_per_hour"] = before["orders_per_hour"].clone();
    assert_eq!(after, before);
    Ok(())
}
