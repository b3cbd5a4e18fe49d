//! What begins and ends to be wrong with a shop is sent to the webhook, once for each change.

use std::sync::Arc;

use anyhow::{Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::process::Signal;
use comptoir_harness::{Kafka, Postgres, WebhookReceiver, eventually};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::office::{DEADLINE, Site};

/// A gateway that publishes its state every second.
fn state() -> String {
    let now = Timestamp::now();
    format!(
        r#"{{"time":"{now:.0}","version":"1.0.0","started":"{now:.0}","last_exit":"stopped","journal":{{"bytes":1,"max_bytes":100000}},"devices":[],"every":1}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_shop_is_reported_once_until_the_webhook_has_it() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let webhook = WebhookReceiver::start(1).await?;
    let variables = [("COMPTOIR_ALERTS__WEBHOOK", webhook.url())];
    let mut replicas = [
        site.start_with("one", &variables)?,
        site.start_with("two", &variables)?,
    ];
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    chain.publish("shop-1", &state())?;
    let silent = json!([{"store": "shop-1", "trouble": "silent"}]);
    let refused = webhook.message(0, DEADLINE).await;
    assert_eq!(
        (&refused["began"], &refused["ended"]),
        (&silent, &json!([])),
        "{refused}"
    );
    let accepted = webhook.message(1, DEADLINE).await;
    assert_eq!(accepted, refused, "the same message again, with its id");
    // As a gateway does: it would be silent again otherwise.
    let ended = eventually("the end of the silence", DEADLINE, async || {
        chain.publish("shop-1", &state())?;
        let received = webhook.messages();
        ensure!(received.len() > 2, "{received:?}");
        Ok(received[2].clone())
    })
    .await;
    assert_eq!(
        (&ended["began"], &ended["ended"]),
        (&json!([]), &silent),
        "{ended}"
    );
    assert!(ended["id"].as_i64() > accepted["id"].as_i64());
    for replica in &mut replicas {
        assert!(replica.terminate().await?.success());
        assert!(
            !replica.log().contains("/hook"),
            "the address may be a secret: {}",
            replica.log()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_the_delivery_in_progress_and_the_next_start_does_not_repeat_it() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let replies = Arc::new(Semaphore::new(0));
    let webhook = WebhookReceiver::start_with_replies(Arc::clone(&replies)).await?;
    let variables = [("COMPTOIR_ALERTS__WEBHOOK", webhook.url())];
    let mut office = site.start_with("one", &variables)?;
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    chain.publish("shop-1", &state())?;
    webhook.message(0, DEADLINE).await;
    office.signal(Signal::TERM)?;
    eventually("the office to stop", DEADLINE, async || {
        let log = office.log();
        ensure!(log.contains("stopping"), "{log}");
        Ok(())
    })
    .await;
    replies.add_permits(1);
    assert!(office.terminate().await?.success(), "{}", office.log());
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    let left = Postgres::shared()
        .await
        .query(database, "SELECT count(*) FROM notification");
    assert_eq!(left.await?.trim(), "0", "{}", office.log());
    assert_eq!(webhook.messages().len(), 1);
    Ok(())
}
