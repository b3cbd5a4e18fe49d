//! The till's firmware on bare metal (QEMU's RISC-V `virt` machine) sells through a real Mosquitto while its power is cut
//! repeatedly.
//!
//! After each cut the test reads the flash with the queue's own code. The events on it are those that were not yet acked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use comptoir_harness::{
    ConfirmedSale, EmulatedTill, Gateway, GatewayConfig, Kafka, LedgerLine, Mosquitto, MqttProbe, within,
};
use comptoir_queue::{OpenOutcome, RamFlash, SaleQueue, block_on};
use comptoir_wire::{Command, MAX_FRAME, Message, decode};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use crate::shop::{GATEWAY, LATER, SOON, STORE, Shop};

const DEVICE: &str = "till-7";
const SECTOR: usize = EmulatedTill::SECTOR;
/// The queue uses the other two sectors for its own records.
const EVENT_SECTORS: usize = EmulatedTill::QUEUE / SECTOR - 2;

#[derive(Debug, Clone, Copy)]
enum Cut {
    /// SIGKILL at the first change of the flash while no ack can arrive, so during the write of a sale.
    WhileWriting,
    /// SIGKILL at a random moment among sales, acks and deletions.
    Anywhere,
    /// A reset of the machine at a random moment.
    Reset,
}

/// The queue on the flash after a cut.
#[derive(Debug)]
struct FlashContents {
    /// The highest number on the flash.
    newest: u32,
    /// The events on the flash by number: no ack has deleted them.
    unacked: BTreeMap<u32, ConfirmedSale>,
}

impl FlashContents {
    fn read(flash: Vec<u8>) -> Result<Self> {
        let range = 0..u32::try_from(flash.len())?;
        let flash = RamFlash::<_, SECTOR>::new(flash);
        let opened = block_on(SaleQueue::<_, EVENT_SECTORS>::open(flash, range, 1));
        let (mut queue, opened) = opened.map_err(|error| anyhow!("open what is on the flash: {error}"))?;
        ensure!(opened == OpenOutcome::Found, "the flash holds no queue");
        let (mut unacked, mut buffer) = (BTreeMap::new(), [0; MAX_FRAME]);
        let read = queue.read(1, &mut buffer, |seq, frame| {
            if let Ok(frame) = decode(frame) {
                let topic = frame.event.kind().to_string();
                let key = frame.event.order_id().to_owned();
                unacked.insert(seq, ConfirmedSale { seq, topic, key });
            }
            ControlFlow::Continue(())
        });
        block_on(read).map_err(|error| anyhow!("read the queue on the flash: {error}"))?;
        let (queued, readable) = (queue.len() as usize, unacked.len());
        ensure!(
            queued == readable,
            "{readable} of {queued} events on the flash are readable"
        );
        let newest = queue.newest();
        Ok(Self { newest, unacked })
    }
}

/// A day at a till with an unreliable power supply.
struct Day {
    events: u32,
    /// The minimum number of different orders among the events; other events are later states of these orders.
    orders: usize,
    kills: usize,
    resets: usize,
}

/// The number of cuts by the state in which they left the flash.
#[derive(Debug, Default)]
struct CutCounts {
    /// At least one event was not acked.
    unacked: usize,
    /// An event was written in part.
    torn: usize,
    /// An event was written whole, but the till had not confirmed it yet.
    unconfirmed: usize,
}

impl Day {
    fn cuts(&self) -> Vec<Cut> {
        let while_writing = self.kills.div_ceil(2);
        let repeat = |cut, count| std::iter::repeat_n(cut, count);
        let mut cuts: Vec<_> = repeat(Cut::WhileWriting, while_writing)
            .chain(repeat(Cut::Anywhere, self.kills - while_writing))
            .chain(repeat(Cut::Reset, self.resets))
            .collect();
        cuts.shuffle(&mut rand::rng());
        cuts
    }

    async fn sell(self) -> Result<()> {
        let mut shop = Shop::open_on(Kafka::shared().await.brokers()).await?;
        let (seed, port, events) = (rand::random::<u32>(), shop.mosquitto.port(), self.events);
        let epoch = rand::random_range(1..=u32::MAX);
        println!("seed {seed}");
        let mut till = EmulatedTill::new(&format!(
            "store={STORE};device={DEVICE};port={port};events={events};pace=25;long_every=5;seed={seed};epoch={epoch}"
        ))?;
        till.switch_on()?;
        let (cuts, mut counts, mut kept) = (self.cuts(), CutCounts::default(), BTreeMap::new());
        let apart = events / (u32::try_from(cuts.len())? + 1);
        for (cut, due) in cuts.into_iter().zip((apart..).step_by(apart as usize)) {
            till.sold(due, SOON).await?;
            let flash = cut_power(cut, &mut shop, &mut till, &mut counts).await?;
            kept.extend(flash.unacked);
        }
        // On a busy machine a kill comes late. The day must contain at least one cut during the write of a sale.
        while counts.torn == 0 {
            ensure!(
                till.newest() + 5 < events,
                "no cut hit the write of a sale: {counts:?}"
            );
            let flash = cut_power(Cut::WhileWriting, &mut shop, &mut till, &mut counts).await?;
            kept.extend(flash.unacked);
        }
        let end = till.finish(LATER).await?;
        ensure!(end.success(), "the till: {end}\n{}", till.log());
        shop.drained(events.into(), LATER).await?;

        println!("{counts:?}");
        let confirmed = till.sales();
        ensure!(
            confirmed.is_sorted_by(|one, next| one.seq < next.seq),
            "the till used a number twice\n{}",
            till.log()
        );
        for sale in confirmed {
            let kept = kept.entry(sale.seq).or_insert_with(|| sale.clone());
            ensure!(*kept == sale, "confirmed as {sale:?}, on the flash as {kept:?}");
        }
        ensure!(
            kept.keys().copied().eq(1..=events),
            "a sale was neither confirmed nor on the flash: {:?}",
            kept.keys()
        );
        let orders: BTreeSet<_> = kept.values().map(|sale| &sale.key).collect();
        println!("{} orders in {events} events", orders.len());
        ensure!(orders.len() >= self.orders, "too few orders");
        let ledger: Vec<_> = kept.into_values().map(|sale| acked_line(epoch, sale)).collect();
        shop.audited(&ledger).await
    }
}

/// The till switches itself off only after all its events are acked, so each line counts as acked.
fn acked_line(epoch: u32, sale: ConfirmedSale) -> LedgerLine {
    LedgerLine {
        ce_id: format!("{STORE}/{DEVICE}/{epoch}/{}", sale.seq),
        topic: sale.topic,
        key: sale.key,
        published: None,
        acked: Some(String::new()),
    }
}

/// Cuts the power, reads the flash, and switches the till on again.
async fn cut_power(
    cut: Cut,
    shop: &mut Shop,
    till: &mut EmulatedTill,
    counts: &mut CutCounts,
) -> Result<FlashContents> {
    let after = match cut {
        Cut::WhileWriting => {
            shop.mosquitto.pause()?;
            // Acks that are already on their way arrive in the meantime.
            till.sold(till.newest() + 2, SOON).await?;
            let newest = till.newest();
            let before = till.flash()?;
            till.writes(&before, SOON).await?;
            let flash = till.pull_the_plug()?;
            shop.mosquitto.resume()?;
            let (before, after) = (FlashContents::read(before)?, FlashContents::read(flash)?);
            ensure!(
                !after.unacked.is_empty(),
                "every event was acked while no ack could arrive"
            );
            // The flash changed after the newest sale was confirmed, but no event was deleted or added.
            let is_deleted = before.unacked.first_key_value() != after.unacked.first_key_value();
            counts.torn += usize::from(!is_deleted && after.newest == newest);
            after
        }
        Cut::Anywhere => {
            random_pause().await;
            FlashContents::read(till.pull_the_plug()?)?
        }
        Cut::Reset => {
            random_pause().await;
            FlashContents::read(till.reset().await?)?
        }
    };
    let confirmed = till.newest();
    println!(
        "{cut:?}: confirmed {confirmed}, kept {}, unacked {}",
        after.newest,
        after.unacked.len()
    );
    counts.unacked += usize::from(!after.unacked.is_empty());
    counts.unconfirmed += usize::from(after.newest > confirmed);
    if !matches!(cut, Cut::Reset) {
        till.switch_on()?;
    }
    Ok(after)
}

/// The moment of the cut is the input of the test, so this sleep is intended: it is random and at most the time of two sales.
async fn random_pause() {
    tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..60_000))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_whose_plug_is_pulled_repeatedly_loses_and_doubles_nothing() -> Result<()> {
    let day = Day {
        events: 80,
        orders: 8,
        kills: 4,
        resets: 1,
    };
    day.sell().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_needs_its_password_to_sell_through_the_packaged_mosquitto() -> Result<()> {
    let user = format!("{STORE}/{DEVICE}");
    let mosquitto = Mosquitto::start_as_packaged(&[("gateway", "secret"), (&user, "its own")]).await?;
    let port = mosquitto.port();
    let url = mosquitto.gateway_url("secret");
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &url))?;
    gateway.wait_ready().await?;
    let settings = format!("store={STORE};device={DEVICE};port={port};events=20;pace=5");
    let mut unknown = EmulatedTill::new(&settings)?;
    unknown.switch_on()?;
    within("the till without a password to be refused", SOON, async || {
        let log = unknown.log();
        ensure!(log.contains("refuses the connection"), "{log}");
        Ok(())
    })
    .await?;
    let mut till = EmulatedTill::new(&format!("{settings};password=its own"))?;
    till.switch_on()?;
    // The till ends once all its events are acked.
    let end = till.finish(SOON).await?;
    ensure!(end.success(), "the till: {end}\n{}", till.log());
    ensure!(!unknown.log().contains("till: connected") && !till.log().contains("its own"));
    Ok(())
}

/// The MQTT broker keeps commands in the till's session.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_sent_while_the_till_is_off_reaches_it_after_power_on() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let port = mosquitto.port();
    let mut till = EmulatedTill::new(&format!("store={STORE};device={DEVICE};port={port};pace=100"))?;
    let logs = async |till: &EmulatedTill, text: &str| {
        within(text, SOON, async || {
            let log = till.log();
            ensure!(log.contains(text), "{log}");
            Ok(())
        })
        .await
    };
    till.switch_on()?;
    logs(&till, "till: acked").await?;
    till.pull_the_plug()?;
    let mut buffer = [0; Command::MAX_BYTES];
    let command = Command::Message(Message { text: "Bonjour" })
        .encode(&mut buffer)?
        .to_vec();
    let mut probe = MqttProbe::connect(&mosquitto.url()).await?;
    probe
        .publish(&format!("pos/{STORE}/{DEVICE}/commands"), command)
        .await?;
    till.switch_on()?;
    logs(&till, "till: message: Bonjour").await
}

/// In an old epoch, old acks would delete new events.
#[tokio::test(flavor = "multi_thread")]
async fn a_till_with_erased_flash_draws_a_new_epoch() -> Result<()> {
    let mut epochs = BTreeSet::new();
    for _ in 0..3 {
        let mut till = EmulatedTill::new(&format!("store={STORE};device={DEVICE};port=1;seed=7"))?;
        till.switch_on()?;
        till.sold(1, SOON).await?;
        let log = till.log();
        let epoch = log
            .split_once("Formatted: epoch ")
            .map(|(_, rest)| rest[..8].to_owned());
        epochs.insert(epoch.with_context(|| log.clone())?);
    }
    ensure!(epochs.len() == 3, "{epochs:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for minutes: make soak ONLY=bare_metal"]
async fn two_hundred_orders_with_ten_power_cuts_are_in_kafka_exactly_once() -> Result<()> {
    let day = Day {
        events: 1_000,
        orders: 200,
        kills: 10,
        resets: 3,
    };
    day.sell().await
}
