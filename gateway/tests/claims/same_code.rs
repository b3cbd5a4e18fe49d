//! The code on the host and on bare metal is the same: the same seed publishes the same bytes.

use std::collections::BTreeMap;
use std::convert::Infallible;

use anyhow::{Context as _, Result, anyhow, ensure};
use comptoir_harness::{EmulatedTill, Gateway, GatewayConfig, Mosquitto, MqttProbe};
use comptoir_link::{Draft, SendOutcome, Settings, Uplink};
use comptoir_queue::{RamFlash, SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Catalogue, Ids, Till};
use comptoir_wire::topic::Name;
use comptoir_wire::{Ack, Currency, Event, MAX_FRAME, decode, set_oldest};
use embedded_svc::mqtt::client::asynch::Publish;
use embedded_svc::mqtt::client::{ErrorType, MessageId, QoS};

use crate::shop::{GATEWAY, SOON, STORE};

const DEVICE: &str = "till-7";
const EVENTS: u32 = 60;
const SEED: u64 = 42;
/// A board draws a random epoch unless its settings contain one.
const EPOCH: u32 = 0x1234_5678;
/// Every fourth order has 250 lines.
const LONG_EVERY: u32 = 4;

/// The topic and the bytes published under each number, with `oldest` set to 1. `oldest` depends on when acks arrive;
/// everything else depends on the seed only.
type Published = BTreeMap<u32, (String, Vec<u8>)>;

fn record(published: &mut Published, topic: &str, payload: &[u8]) -> Result<()> {
    let seq = decode(payload)?.header.seq;
    let mut buffer = payload.to_vec();
    let bytes = set_oldest(&mut buffer, payload.len(), 1)?.to_vec();
    let again = (topic.to_owned(), bytes);
    let first = published.entry(seq).or_insert_with(|| again.clone());
    ensure!(
        *first == again,
        "{seq} was published twice with different content"
    );
    Ok(())
}

/// Records publishes instead of sending them.
struct Wire(Vec<(String, Vec<u8>)>);

impl ErrorType for Wire {
    type Error = Infallible;
}

impl Publish for Wire {
    async fn publish(
        &mut self,
        topic: &str,
        _: QoS,
        _: bool,
        payload: &[u8],
    ) -> Result<MessageId, Infallible> {
        self.0.push((topic.to_owned(), payload.to_vec()));
        Ok(0)
    }
}

/// Publishes with this machine's build of the crates, on flash with another sector size.
fn published_here() -> Result<Published> {
    const SECTOR: usize = 4096;
    const SECTORS: usize = 64;
    let flash = RamFlash::<_, SECTOR>::new(vec![0xff; SECTORS * SECTOR]);
    let range = 0..u32::try_from(SECTORS * SECTOR)?;
    let epoch = EPOCH;
    let opened = block_on(SaleQueue::<_, { SECTORS - 2 }>::open(flash, range, epoch));
    let (mut queue, _) = opened.map_err(|error| anyhow!("open the queue: {error}"))?;
    let (store, device) = (Name::new(STORE)?, Name::new(DEVICE)?);
    let settings = Settings {
        window: EVENTS,
        ..Settings::default()
    };
    let mut uplink = Uplink::new(store, device, &queue, settings);
    let mut till = Till::new(Ids::new(store, device, epoch), Currency::EUR);
    let mut catalogue = Catalogue::<64>::new(Currency::EUR);
    Autopilot::fill(&mut catalogue);
    let mut autopilot = Autopilot::new(SEED, 0, LONG_EVERY);
    let mut frame = [0; MAX_FRAME];
    let (mut wire, mut published) = (Wire(Vec::new()), Published::new());
    while let Some(seq) = queue.next_seq().filter(|&seq| seq <= EVENTS) {
        autopilot.act(&mut till, &catalogue, true);
        let draft = Draft::new(&queue, &uplink).context("the epoch has numbers left")?;
        let stored = till.store_next(seq, |event| {
            let encoded = draft.encode(event, 0, &mut frame)?;
            block_on(encoded.push(&mut queue)).map_err(|error| anyhow!("store {seq}: {error}"))
        });
        if let Some(stored) = stored.transpose()? {
            uplink.release(stored);
        }
    }
    let mut speak = |uplink: &mut Uplink| -> Result<()> {
        while block_on(uplink.send_next(&mut wire, |error| match *error {}, &mut queue, 0, 0, &mut frame))
            .map_err(|error| anyhow!("publish: {error}"))?
            != SendOutcome::Idle
        {}
        Ok(())
    };
    // Under a new epoch, the first event is sent alone.
    speak(&mut uplink)?;
    let mut bytes = [0; Ack::MAX_BYTES];
    let first = Ack { epoch, seq: 1 }.encode(&mut bytes)?;
    uplink.receive(&format!("pos/{STORE}/{DEVICE}/ack"), first, 0, 0);
    speak(&mut uplink)?;
    for (topic, payload) in wire.0 {
        record(&mut published, &topic, &payload)?;
    }
    Ok(published)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_publishes_the_same_bytes_on_bare_metal_and_on_the_host() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let mut listener = MqttProbe::connect(&mosquitto.url()).await?;
    listener.subscribe(&format!("pos/{STORE}/{DEVICE}/+")).await?;
    let port = mosquitto.port();
    let mut till = EmulatedTill::new(&format!(
        "store={STORE};device={DEVICE};port={port};events={EVENTS};pace=5;long_every={LONG_EVERY};seed={SEED};epoch={EPOCH}"
    ))?;
    till.switch_on()?;
    let (mut published, mut status) = (Published::new(), Vec::new());
    while status.last().is_none_or(|word| word != "offline") {
        let message = listener.next(SOON).await?;
        match message.topic.rsplit('/').next() {
            Some("status") => status.push(String::from_utf8(message.payload.to_vec())?),
            Some("ack") => {}
            _ => record(&mut published, &message.topic, &message.payload)?,
        }
    }
    let end = till.finish(SOON).await?;
    ensure!(end.success(), "the till: {end}\n{}", till.log());
    assert_eq!(status, ["online", "offline"]);
    assert!(published.keys().copied().eq(1..=EVENTS), "{:?}", published.keys());
    let here = published_here()?;
    for (seq, sent) in &published {
        assert_eq!(Some(sent), here.get(seq), "{seq}");
    }
    let is_long = |bytes: &[u8]| match decode(bytes).map(|frame| frame.event) {
        Ok(Event::Order(order)) => order.lines.len() == 250,
        _ => false,
    };
    let long = published.values().filter(|(_, bytes)| is_long(bytes)).count();
    println!("{EVENTS} events, {long} orders of 250 lines");
    assert!(long > 0, "no order has 250 lines");
    Ok(())
}
