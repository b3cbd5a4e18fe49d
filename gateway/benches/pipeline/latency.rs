//! Latency of an event at 100 events per second, compared with an fsync and an MQTT round trip alone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use comptoir_harness::{Reader, Scratch};
use rumqttc::v5::mqttbytes::v5::{Packet, PubAck};

use crate::Arguments;
use crate::drain::RATE;
use crate::load::{Load, ack_ms};
use crate::report::{Report, Target, percentile};
use crate::sales::parse_ce_id;
use crate::stage::{self, LONG, Stage};
use crate::till::{Connection, PublishLog};

/// Number of fsyncs and of round trips.
const SAMPLES: usize = 500;
/// Time between two samples, as between two events.
const PERIOD: Duration = Duration::from_millis(10);
/// Bytes that a commit of one event appends to the write-ahead log: a few pages of 4 KiB.
const COMMIT_BYTES: usize = 12 << 10;
/// Events before the measurement begins.
const WARM_UP: u32 = 300;

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    eprintln!("latency: the disk and the MQTT broker alone");
    let fsync = fsyncs().await?;
    let trip = round_trips().await?;
    eprintln!("latency: {} s at {RATE} events/s", arguments.seconds);
    let (ack, visible) = events(stage, arguments.seconds).await?;
    for (what, values) in [
        ("one fsync", &fsync),
        ("one MQTT round trip", &trip),
        ("publish → end-to-end ack", &ack),
        ("publish → visible to a read_committed reader", &visible),
    ] {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            report.figure(format!("{what}, {name}"), "ms", [percentile(values, share)]);
        }
    }
    let floor = |share| percentile(&fsync, share) + 2.0 * percentile(&trip, share);
    let p99 = percentile(&ack, 0.99);
    report.figure_with_target(
        "publish → end-to-end ack, p99, relative to fsync + 2 round trips, medians",
        "×",
        [p99 / floor(0.5)],
        Target::AtMost(3.0),
    );
    report.figure_with_target(
        "publish → end-to-end ack, p99, relative to fsync + 2 round trips, p99",
        "×",
        [p99 / floor(0.99)],
        Target::AtMost(3.0),
    );
    report.figure_with_target(
        "publish → visible to a read_committed reader, p99",
        "ms",
        [percentile(&visible, 0.99)],
        Target::AtMost(100.0),
    );
    Ok(())
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Appends as many bytes as a commit and syncs them. Returns the durations in milliseconds.
async fn fsyncs() -> Result<Vec<f64>> {
    let folder = Scratch::new("fsync")?;
    let mut file = File::create(folder.join("log"))?;
    let mut ticks = tokio::time::interval(PERIOD);
    let mut all = Vec::new();
    for number in 0..SAMPLES {
        ticks.tick().await;
        // Like the write-ahead log, the file is overwritten once it is long enough, so that it does not grow each time.
        if number % 100 == 0 {
            file.seek(SeekFrom::Start(0))?;
        }
        let begun = Instant::now();
        file.write_all(&[number as u8; COMMIT_BYTES])?;
        file.sync_data()?;
        all.push(ms(begun));
    }
    // The first hundred made the file grow.
    Ok(all.split_off(100))
}

/// Latency from a client through the MQTT broker back to the client, QoS 1, in milliseconds.
async fn round_trips() -> Result<Vec<f64>> {
    let mosquitto = stage::mosquitto().await?;
    let mut connection = Connection::open(mosquitto.port(), "echo").await?;
    connection.subscribe("echo").await?;
    let (topic, payload) = (Bytes::from_static(b"echo"), Bytes::from(vec![b'x'; 200]));
    let mut ticks = tokio::time::interval(PERIOD);
    let mut all = Vec::new();
    for number in 0..SAMPLES {
        ticks.tick().await;
        let begun = Instant::now();
        connection.queue_publish(&topic, &payload, number as u16 + 1)?;
        let (mut back, mut acked) = (false, false);
        while !(back && acked) {
            match connection.next().await? {
                Packet::PubAck(_) => acked = true,
                Packet::Publish(publish) => {
                    all.push(ms(begun));
                    back = true;
                    let ack = PubAck::new(publish.pkid, None);
                    connection.queue(&Packet::PubAck(ack))?;
                    connection.flush().await?;
                }
                other => bail!("the MQTT broker sends {other:?}"),
            }
        }
    }
    Ok(all)
}

/// Latency from the publish to the end-to-end ack, and from the publish until visible in Kafka, in milliseconds.
async fn events(stage: &Stage, seconds: u32) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut shop = stage.shop(true).await?;
    let topics = ["orders", "payments", "deliveries"].map(|name| format!("{}{name}", shop.prefix));
    let count = (RATE * f64::from(seconds)) as u32;
    let mut tail = Reader::new(stage.kafka.brokers()).tail(&topics, LONG).await?;
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..WARM_UP + count {
            let id = tail.next(LONG).await?.ce_id().context("a record has a ce_id")?;
            seen.push((id.to_owned(), Instant::now()));
        }
        anyhow::Ok(seen)
    });
    let port = shop.mosquitto.port();
    let warm = Load::prepare(port, "warm", stage.tills, WARM_UP).await?;
    warm.paced(RATE).finish().await?;
    let load = Load::prepare(port, "till", stage.tills, count).await?;
    let sent = load.paced(RATE).finish().await?;
    let seen = seen.await??;
    let visible = visible_ms(&sent, &seen)?;
    shop.gateway.terminate().await?;
    Ok((ack_ms(&sent), visible))
}

fn visible_ms(sent: &[PublishLog], seen: &[(String, Instant)]) -> Result<Vec<f64>> {
    let sent: HashMap<&str, &PublishLog> = sent.iter().map(|sent| (sent.device.as_str(), sent)).collect();
    let mut all = Vec::new();
    for (id, at) in seen {
        let (device, seq) = parse_ce_id(id)?;
        // Other devices belong to the warm-up.
        if let Some(sent) = sent.get(device) {
            let published = sent.published.get(seq as usize - 1);
            let published = published.context("an event is visible that was not published")?;
            all.push(at.duration_since(*published).as_secs_f64() * 1e3);
        }
    }
    Ok(all)
}
