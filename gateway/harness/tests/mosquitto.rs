//! Tests of the harness's Mosquitto and of its MQTT probe.

use std::time::Duration;

use anyhow::Result;
use comptoir_harness::{Mosquitto, MqttProbe};

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_restart_keeps_persistent_sessions_and_retained_messages() -> Result<()> {
    let mut mosquitto = Mosquitto::start().await?;
    let url = mosquitto.url();
    let mut subscriber = MqttProbe::connect_persistent(&url, "shop").await?;
    subscriber.subscribe("pos/#").await?;
    drop(subscriber);
    let mut publisher = MqttProbe::connect(&url).await?;
    publisher.publish("pos/paris-1/till-1/orders", "first").await?;
    publisher
        .publish_retained("pos/paris-1/till-1/status", "online")
        .await?;

    mosquitto.stop().await?;
    mosquitto.start_again().await?;
    assert_eq!(mosquitto.url(), url);
    let result = publisher.publish("pos/paris-1/till-1/orders", "lost").await;
    assert!(result.is_err(), "the probe has reconnected");

    let mut subscriber = MqttProbe::connect_persistent(&url, "shop").await?;
    let first = subscriber.next(DEADLINE).await?;
    assert_eq!(
        (first.topic.as_str(), &first.payload[..]),
        ("pos/paris-1/till-1/orders", &b"first"[..])
    );
    let mut late = MqttProbe::connect(&url).await?;
    late.subscribe("pos/+/+/status").await?;
    let status = late.next_where(DEADLINE, |message| message.retain).await?;
    assert_eq!(&status.payload[..], b"online");
    Ok(())
}

#[tokio::test]
async fn a_pause_delays_messages_and_loses_none() -> Result<()> {
    let mut mosquitto = Mosquitto::start().await?;
    let mut subscriber = MqttProbe::connect(&mosquitto.url()).await?;
    subscriber.subscribe("pos/#").await?;
    let mut publisher = MqttProbe::connect(&mosquitto.url()).await?;
    mosquitto.pause()?;
    let publishing = publisher.publish("pos/paris-1/till-1/orders", "first");
    tokio::pin!(publishing);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut publishing).await;
    assert!(early.is_err(), "acked during the pause");
    mosquitto.resume()?;
    publishing.await?;
    assert_eq!(&subscriber.next(DEADLINE).await?.payload[..], b"first");
    mosquitto.kill();
    mosquitto.start_again().await
}
