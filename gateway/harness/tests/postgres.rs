//! Tests of the harness's PostgreSQL.

use std::time::Duration;

use anyhow::{Result, ensure};
use comptoir_harness::{Postgres, eventually};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_killed_server_starts_again_with_everything_that_was_committed() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    let url = postgres.url("shop");
    postgres.create_database("shop").await?;
    postgres
        .query("shop", "CREATE TABLE sales (id int PRIMARY KEY, note text)")
        .await?;
    postgres
        .query("shop", "INSERT INTO sales VALUES (1, 'café'), (2, NULL)")
        .await?;
    // This backend does not notice that the postmaster has died.
    let endless = async || postgres.query("shop", "DO 'BEGIN LOOP END LOOP; END'").await;
    let started = eventually("the endless query to run", DEADLINE, async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'";
        let active = postgres.query("postgres", sql).await?;
        ensure!(active == "1", "{active} are active");
        Ok(())
    });
    tokio::select! {
        result = endless() => panic!("the endless query has ended: {result:?}"),
        () = started => {}
    }

    postgres.kill();
    assert!(
        postgres.query("shop", "SELECT 1").await.is_err(),
        "it still answers"
    );
    postgres.restart().await?;
    assert!(
        postgres.log().contains("automatic recovery in progress"),
        "{}",
        postgres.log()
    );
    assert_eq!(postgres.url("shop"), url);
    let rows = postgres.query("shop", "SELECT * FROM sales ORDER BY id").await?;
    assert_eq!(rows, "1|café\n2|");

    postgres.stop().await?;
    postgres.restart().await?;
    let settings = "SELECT current_setting('fsync'), current_setting('server_encoding'), datcollate, count(*)
        FROM pg_database, sales WHERE datname = 'shop' GROUP BY datcollate";
    assert_eq!(postgres.query("shop", settings).await?, "on|UTF8|C|2");
    Ok(())
}

#[tokio::test]
async fn tests_that_share_a_server_have_separate_databases() -> Result<()> {
    let postgres = Postgres::shared().await;
    let (first, second) = tokio::try_join!(postgres.fresh_database(), postgres.fresh_database())?;
    assert_ne!(first, second);
    let name = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
    postgres.query(&name(&first), "CREATE TABLE sales ()").await?;
    postgres.query(&name(&second), "CREATE TABLE sales ()").await?;
    assert!(postgres.create_database("no name").await.is_err());
    Ok(())
}
