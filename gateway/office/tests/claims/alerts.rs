//! What begins and ends to be wrong with a shop is sent to the webhook, once for each change.

use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use comptoir_harness::chain::Chain;
use comptoir_harness::process::Signal;
use comptoir_harness::{Kafka, Postgres, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::office::{DEADLINE, Site};

pub type Received = Arc<Mutex<Vec<Value>>>;

/// A webhook that refuses the first message that it gets.
pub async fn webhook() -> Result<(String, Received)> {
    let received = Received::default();
    let receive = |State(received): State<Received>, Json(message): Json<Value>| async move {
        let mut received = received.lock().unwrap();
        received.push(message);
        match received.len() {
            1 => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::OK,
        }
    };
    let router = Router::new()
        .route("/hook", post(receive))
        .with_state(Arc::clone(&received));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok((url, received))
}

/// A webhook that replies when it is let.
async fn slow_webhook(replies: Arc<Semaphore>) -> Result<(String, Received)> {
    let received = Received::default();
    let receive = |State((received, replies)): State<(Received, Arc<Semaphore>)>,
                   Json(message): Json<Value>| async move {
        received.lock().unwrap().push(message);
        replies.acquire().await.unwrap().forget();
    };
    let router = Router::new()
        .route("/hook", post(receive))
        .with_state((Arc::clone(&received), replies));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok((url, received))
}

/// A gateway that publishes its state every second.
fn state() -> String {
    let now = Timestamp::now();
    format!(
        r#"{{"time":"{now:.0}","version":"1.0.0","started":"{now:.0}","last_exit":"stopped","journal":{{"bytes":1,"max_bytes":100000}},"devices":[],"every":1}}"#
    )
}

pub async fn message(received: &Received, at: usize) -> Value {
    eventually("the message", DEADLINE, async || {
        let received = received.lock().unwrap();
        ensure!(received.len() > at, "{received:?}");
        Ok(received[at].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_shop_is_reported_once_until_the_webhook_has_it() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let (url, received) = webhook().await?;
    let mut replicas = [
        site.start_with("one", &[("COMPTOIR_ALERTS__WEBHOOK", &url)])?,
        site.start_with("two", &[("COMPTOIR_ALERTS__WEBHOOK", &url)])?,
    ];
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    chain.publish("shop-1", &state())?;
    let silent = json!([{"store": "shop-1", "trouble": "silent"}]);
    let refused = message(&received, 0).await;
    assert_eq!(
        (&refused["began"], &refused["ended"]),
        (&silent, &json!([])),
        "{refused}"
    );
    let accepted = message(&received, 1).await;
    assert_eq!(accepted, refused, "the same message again, with its id");
    // As a gateway does: it would be silent again otherwise.
    let ended = eventually("the end of the silence", DEADLINE, async || {
        chain.publish("shop-1", &state())?;
        let received = received.lock().unwrap();
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
    let (url, received) = slow_webhook(Arc::clone(&replies)).await?;
    let variables = [("COMPTOIR_ALERTS__WEBHOOK", &*url)];
    let mut office = site.start_with("one", &variables)?;
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    chain.publish("shop-1", &state())?;
    message(&received, 0).await;
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
    assert_eq!(received.lock().unwrap().len(), 1);
    Ok(())
}
