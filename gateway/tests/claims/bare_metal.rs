//! The till's firmware on bare metal (QEMU's RISC-V `virt` machine) sells through a real Mosquitto, and its plug is
//! pulled again and again.
//!
//! What a cut left on the flash is read here by the queue's own code: which events it holds, and so which were not
//! acked at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use comptoir_harness::{
    ConfirmedSale, EmulatedTill, Gateway, GatewayConfig, Kafka, LedgerLine, Mosquitto, MqttProbe, within,
};
use comptoir_queue::{Opened, RamFlash, SaleQueue, block_on};
use comptoir_wire::{Command, MAX_FRAME, Message, decode};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use crate::shop::{GATEWAY, LATER, SOON, STORE, Shop};

const DEVICE: &str = "till-7";
const SECTOR: usize = EmulatedTill::SECTOR;
/// The queue's notes take two.
const EVENT_SECTORS: usize = EmulatedTill::QUEUE / SECTOR - 2;

#[derive(Debug, Clone, Copy)]
enum Cut {
    /// SIGKILL at the first change of the flash while no ack can come: in the writing of a sale.
    WhileWriting,
    /// SIGKILL somewhere among sales, acks and deletions.
    Anywhere,
    /// The machine's reset, somewhere.
    Reset,
}

/// What a cut left.
#[derive(Debug)]
struct Left {
    /// The highest number on the flash.
    newest: u32,
    /// Events on the flash, by their numbers: those that no ack has deleted.
    unacked: BTreeMap<u32, ConfirmedSale>,
}

impl Left {
    fn on(flash: Vec<u8>) -> Result<Self> {
        let range = 0..u32::try_from(flash.len())?;
        let flash = RamFlash::<_, SECTOR>::new(flash);
        let opened = block_on(SaleQueue::<_, EVENT_SECTORS>::open(flash, range, 1));
        let (mut queue, opened) = opened.map_err(|error| anyhow!("open what is on the flash: {error}"))?;
        ensure!(opened == Opened::Found, "the flash holds no queue");
        let (mut unacked, mut buffer) = (BTreeMap::new(), [0; MAX_FRAME]);
        let read = queue.read(1, &mut buffer, |seq, frame| {
            if let Ok(frame) = decode(frame) {
                let topic = frame.event.kind().to_string();
                let key = frame.event.order_id().to_owned();
                unacked.insert(seq, ConfirmedSale { seq, topic, key });
            }
            ControlFlow::Continue(())
        });
        block_on(read).map_err(|error| anyhow!("read what is on the flash: {error}"))?;
        let (held, read) = (queue.len() as usize, unacked.len());
        ensure!(held == read, "of {held} events on the flash {read} can be read");
        let newest = queue.newest();
        Ok(Self { newest, unacked })
    }
}

/// A day at a till whose power is bad.
struct Day {
    events: u32,
    /// Orders among the events; the others are what becomes of them.
    orders: usize,
    kills: usize,
    resets: usize,
}

/// How many cuts met what.
#[derive(Debug, Default)]
struct Met {
    /// An event that was not acked.
    unacked: usize,
    /// An event that was on the flash in part.
    torn: usize,
    /// An event that was on the flash whole, and that the till had not come to confirm.
    unconfirmed: usize,
}

impl Day {
    fn cuts(&self) -> Vec<Cut> {
        let while_writing = self.kills.div_ceil(2);
        let of = |cut, count| std::iter::repeat_n(cut, count);
        let mut cuts: Vec<_> = of(Cut::WhileWriting, while_writing)
            .chain(of(Cut::Anywhere, self.kills - while_writing))
            .chain(of(Cut::Reset, self.resets))
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
        let (cuts, mut met, mut kept) = (self.cuts(), Met::default(), BTreeMap::new());
        let apart = events / (u32::try_from(cuts.len())? + 1);
        for (cut, due) in cuts.into_iter().zip((apart..).step_by(apart as usize)) {
            till.sold(due, SOON).await?;
            let left = make(cut, &mut shop, &mut till, &mut met).await?;
            kept.extend(left.unacked);
        }
        // On a busy machine a kill comes late. Without one in the writing of a sale the day shows too little.
        while met.torn == 0 {
            ensure!(
                till.newest() + 5 < events,
                "no cut was in the writing of a sale: {met:?}"
            );
            kept.extend(
                make(Cut::WhileWriting, &mut shop, &mut till, &mut met)
                    .await?
                    .unacked,
            );
        }
        let end = till.finish(LATER).await?;
        ensure!(end.success(), "the till: {end}\n{}", till.log());
        shop.drained(events.into(), LATER).await?;

        println!("{met:?}");
        let confirmed = till.sales();
        ensure!(
            confirmed.is_sorted_by(|one, next| one.seq < next.seq),
            "a number was given twice\n{}",
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
        let ledger: Vec<_> = kept.into_values().map(|sale| acked(epoch, sale)).collect();
        shop.audited(&ledger).await
    }
}

/// The till has switched itself off: it was told that all is safe.
fn acked(epoch: u32, sale: ConfirmedSale) -> LedgerLine {
    LedgerLine {
        ce_id: format!("{STORE}/{DEVICE}/{epoch}/{}", sale.seq),
        topic: sale.topic,
        key: sale.key,
        published: None,
        acked: Some(String::new()),
    }
}

/// Makes the cut and switches the till on again.
async fn make(cut: Cut, shop: &mut Shop, till: &mut EmulatedTill, met: &mut Met) -> Result<Left> {
    let left = match cut {
        Cut::WhileWriting => {
            shop.mosquitto.pause()?;
            // The acks that are under way come meanwhile.
            till.sold(till.newest() + 2, SOON).await?;
            let newest = till.newest();
            let before = till.flash()?;
            till.writes(&before, SOON).await?;
            let flash = till.pull_the_plug()?;
            shop.mosquitto.resume()?;
            let (before, left) = (Left::on(before)?, Left::on(flash)?);
            ensure!(!left.unacked.is_empty(), "all was acked while no ack could come");
            // The flash changed after the newest sale was confirmed, no event was deleted, and none is new.
            let deleted = before.unacked.first_key_value() != left.unacked.first_key_value();
            met.torn += usize::from(!deleted && left.newest == newest);
            left
        }
        Cut::Anywhere => {
            a_moment().await;
            Left::on(till.pull_the_plug()?)?
        }
        Cut::Reset => {
            a_moment().await;
            Left::on(till.reset().await?)?
        }
    };
    let confirmed = till.newest();
    println!(
        "{cut:?}: confirmed {confirmed}, kept {}, unacked {}",
        left.newest,
        left.unacked.len()
    );
    met.unacked += usize::from(!left.unacked.is_empty());
    met.unconfirmed += usize::from(left.newest > confirmed);
    if !matches!(cut, Cut::Reset) {
        till.switch_on()?;
    }
    Ok(left)
}

/// Time itself is the input here: over two sales' time, the moment is drawn at random.
async fn a_moment() {
    tokio::time::sleep(Duration::from_micros(rand::rng().random_range(0..60_000))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_whose_plug_is_pulled_again_and_again_loses_and_doubles_nothing() -> Result<()> {
    let day = Day {
        events: 80,
        orders: 8,
        kills: 4,
        resets: 1,
    };
    day.sell().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_with_its_password_sells_through_the_packaged_mosquitto() -> Result<()> {
    let user = format!("{STORE}/{DEVICE}");
    let mosquitto = Mosquitto::start_as_packaged(&[("gateway", "secret"), (&user, "its own")]).await?;
    let port = mosquitto.port();
    let url = format!("mqtt://gateway:secret@127.0.0.1:{port}");
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &url))?;
    gateway.wait_ready().await?;
    let settings = format!("store={STORE};device={DEVICE};port={port};events=20;pace=5");
    let mut stranger = EmulatedTill::new(&settings)?;
    stranger.switch_on()?;
    within("the stranger to be refused", SOON, async || {
        let log = stranger.log();
        ensure!(log.contains("refuses the connection"), "{log}");
        Ok(())
    })
    .await?;
    let mut till = EmulatedTill::new(&format!("{settings};password=its own"))?;
    till.switch_on()?;
    // It ends when all is acked.
    let end = till.finish(SOON).await?;
    ensure!(end.success(), "the till: {end}\n{}", till.log());
    ensure!(!stranger.log().contains("till: connected") && !till.log().contains("its own"));
    Ok(())
}

/// The MQTT broker keeps them with the till's session.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_sent_while_the_till_was_off_reaches_it() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let port = mosquitto.port();
    let mut till = EmulatedTill::new(&format!("store={STORE};device={DEVICE};port={port};pace=100"))?;
    let says = async |till: &EmulatedTill, what: &str| {
        within(what, SOON, async || {
            let log = till.log();
            ensure!(log.contains(what), "{log}");
            Ok(())
        })
        .await
    };
    till.switch_on()?;
    says(&till, "till: acked").await?;
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
    says(&till, "till: message: Bonjour").await
}

/// Under an old one, old acks would make new events safe.
#[tokio::test(flavor = "multi_thread")]
async fn erased_flash_with_the_same_settings_gets_another_epoch() -> Result<()> {
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
async fn two_hundred_orders_with_ten_hard_kills_are_in_kafka_each_once() -> Result<()> {
    let day = Day {
        events: 1_000,
        orders: 200,
        kills: 10,
        resets: 3,
    };
    day.sell().await
}
