//! The till's firmware on bare metal (QEMU's RISC-V `virt` machine) sells through a real Mosquitto, and its plug is
//! pulled again and again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{EmulatedTill, Kafka, LedgerLine, Mosquitto, MqttProbe};
use comptoir_queue::{RamFlash, SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Catalogue, Ids, Random, Till};
use comptoir_wire::topic::Name;
use comptoir_wire::{Ack, Currency, Header, MAX_FRAME, decode, encode, with_oldest};
use rand::RngExt as _;

use crate::shop::{LATER, SOON, STORE, Shop};

const DEVICE: &str = "till-7";

/// Sells `events`, with so many hard kills of the emulator at random moments, and audits Kafka.
async fn sell_under_kills(events: u32, kills: u32) -> Result<()> {
    let shop = Shop::open_on(Kafka::shared().await.brokers()).await?;
    let seed: u32 = rand::random();
    println!("seed {seed}");
    let port = shop.mosquitto.port();
    let mut till = EmulatedTill::new(&format!(
        "store={STORE};device={DEVICE};port={port};events={events};pace=25;long_every=10;seed={seed}"
    ))?;
    for kill in 0..kills {
        till.switch_on()?;
        till.sold(events * (kill + 1) / (kills + 1), SOON).await?;
        // Anywhere between two sales: in the flash's writing, in a packet's sending.
        tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..60_000))).await;
        till.pull_the_plug();
    }
    till.switch_on()?;
    let end = till.finish(LATER).await?;
    ensure!(end.success(), "the till: {end}\n{}", till.log());
    shop.drained(u64::from(events), LATER).await?;

    let records = shop.records().await?;
    let told: BTreeMap<u32, _> = till.sales().into_iter().map(|sale| (sale.seq, sale)).collect();
    let epoch = Random::new(seed.into()).next_u32();
    let mut ledger = Vec::new();
    for seq in 1..=events {
        let ce_id = format!("{STORE}/{DEVICE}/{epoch}/{seq}");
        let (topic, key) = match told.get(&seq) {
            Some(sale) => (sale.topic.clone(), sale.key.clone()),
            // Its plug was pulled between the flash and the serial line.
            None => {
                let record = records.iter().find(|record| record.ce_id() == Some(&ce_id));
                let record = record.with_context(|| format!("{ce_id} is not in Kafka"))?;
                (
                    record.topic.clone(),
                    record.key_text().unwrap_or_default().to_owned(),
                )
            }
        };
        let acked = Some(String::new());
        ledger.push(LedgerLine {
            ce_id,
            topic,
            key,
            published: None,
            acked,
        });
    }
    let untold = events as usize - told.len();
    ensure!(
        untold <= kills as usize,
        "{untold} sales were never confirmed at the till"
    );
    shop.audited(&ledger).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_whose_plug_is_pulled_again_and_again_loses_and_doubles_nothing() -> Result<()> {
    sell_under_kills(60, 4).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for a minute: make soak"]
async fn a_till_whose_plug_is_pulled_ten_times_in_200_events_loses_and_doubles_nothing() -> Result<()> {
    sell_under_kills(200, 10).await
}

/// The frames of the first events of a seed, from this machine's build of the same crates.
fn frames_here(seed: u64, events: u32) -> Result<Vec<Vec<u8>>> {
    let epoch = Random::new(seed).next_u32();
    let mut flash = RamFlash::<_, 4096>::new(vec![0xff; 64 * 4096]);
    let opened = block_on(SaleQueue::<_, 62>::open(&mut flash, 0..64 * 4096, epoch));
    let (mut queue, _) = opened.map_err(|error| anyhow::anyhow!("{error}"))?;
    let ids = Ids::new(Name::new(STORE)?, Name::new(DEVICE)?, epoch);
    let mut catalogue = Catalogue::<64>::new(Currency::EUR);
    Autopilot::stock(&mut catalogue);
    let (mut till, mut autopilot) = (Till::new(ids, Currency::EUR), Autopilot::new(seed, 0, 10));
    let mut buffer = [0; MAX_FRAME];
    while let Some(seq) = queue.next_seq().filter(|&seq| seq <= events) {
        autopilot.act(&mut till, &catalogue);
        let header = Header {
            epoch,
            seq,
            oldest: 1,
            time_ms: 0,
        };
        let Some(frame) = till.event(seq, |event| encode(&header, event, &mut buffer).map(<[u8]>::len))
        else {
            continue;
        };
        block_on(queue.push(seq, &buffer[..frame?])).map_err(|error| anyhow::anyhow!("{error}"))?;
        till.queued(seq);
    }
    let mut frames = Vec::new();
    let read = queue.read(1, &mut buffer, |_, frame| {
        frames.push(frame.to_vec());
        ControlFlow::Continue(())
    });
    block_on(read).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(frames)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_bytes_on_bare_metal_and_here() -> Result<()> {
    const EVENTS: u32 = 40;
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = MqttProbe::connect(&mosquitto.url()).await?;
    gateway.subscribe(&format!("pos/{STORE}/{DEVICE}/+")).await?;
    let port = mosquitto.port();
    let settings =
        format!("store={STORE};device={DEVICE};port={port};events={EVENTS};pace=5;long_every=10;seed=42");
    let mut till = EmulatedTill::new(&settings)?;
    till.switch_on()?;
    let (mut frames, mut words, mut buffer) = (Vec::new(), Vec::new(), [0; MAX_FRAME]);
    while frames.len() < EVENTS as usize || words.last().is_none_or(|word| word != "offline") {
        let message = gateway.next(SOON).await?;
        if message.topic.ends_with("/status") {
            words.push(String::from_utf8(message.payload.to_vec())?);
            continue;
        }
        let Ok(frame) = decode(&message.payload) else {
            continue;
        };
        if frame.header.seq as usize != frames.len() + 1 {
            continue;
        }
        // The oldest unacked number is of the moment; everything else is of the seed.
        frames.push(with_oldest(&message.payload, 1, &mut buffer)?.to_vec());
        let ack = Ack {
            epoch: frame.header.epoch,
            seq: frame.header.seq,
        };
        let mut bytes = [0; Ack::MAX_BYTES];
        let ack = ack.encode(&mut bytes)?.to_vec();
        gateway
            .publish_retained(&format!("pos/{STORE}/{DEVICE}/ack"), ack)
            .await?;
    }
    ensure!(till.finish(SOON).await?.success(), "{}", till.log());
    assert_eq!(frames, frames_here(42, EVENTS)?);
    assert!(
        frames.iter().any(|frame| frame.len() > 4096),
        "a sale of 250 lines is among them"
    );
    assert_eq!(words, ["online", "offline"]);
    Ok(())
}
