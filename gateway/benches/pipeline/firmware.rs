//! What a till takes: the image for bare metal, and many tills in one `pos-sim`.
//!
//! The image runs in the emulator, sells to a real gateway, and tells how deep its stack was. It needs what
//! `make firmware` does, and says what of that is missing.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{EmulatedTill, PosSim};

use crate::Arguments;
use crate::jobs::Mark;
use crate::report::{Report, Target};
use crate::sales::STORE;
use crate::stage::{LONG, Stage};

/// Events of the emulated till; every third order has 250 lines.
const EVENTS: u32 = 200;
/// The terminals of the issue, and what all of them sell per second meanwhile.
const MANY: u32 = 10_000;
const RATE: u32 = 500;
/// Before a terminal's first event its memory says nothing.
const FIRST_EVENTS: f64 = 2.0 * MANY as f64;

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    image(stage, report).await.context("the till on bare metal")?;
    many(stage, report).await.context("many terminals")?;
    fast(stage, arguments, report).await.context("fast terminals")
}

async fn image(stage: &Stage, report: &mut Report) -> Result<()> {
    eprintln!("firmware: {EVENTS} events of the till on bare metal");
    let mut shop = stage.shop(false).await?;
    let port = shop.mosquitto.port();
    let mut till = EmulatedTill::new(&format!(
        "store={STORE};device=till-1;port={port};events={EVENTS};pace=0;long_every=3;seed=1"
    ))?;
    till.switch_on()?;
    let end = till.finish(LONG).await?;
    ensure!(end.success(), "{end}\n{}", till.log());
    shop.gateway.terminate().await?;
    let (image, stack) = (EmulatedTill::image()?, till.stack()?);
    let kib = |bytes: u64| [bytes as f64 / 1024.0];
    report.held(
        "till on bare metal: flash",
        "KiB",
        kib(image.flash),
        Target::AtMost(256.0),
    );
    report.figure("till on bare metal: variables", "KiB", kib(image.variables));
    report.figure("till on bare metal: stack at its deepest", "KiB", kib(stack.used));
    report.held(
        "till on bare metal: RAM, with the network and sales of 250 lines",
        "KiB",
        kib(image.variables + stack.used),
        Target::AtMost(128.0),
    );
    Ok(())
}

async fn many(stage: &Stage, report: &mut Report) -> Result<()> {
    eprintln!("firmware: {MANY} terminals in one pos-sim");
    let mut shop = stage.shop(false).await?;
    let mut sim = PosSim::without_ledger([
        "--broker",
        &shop.mosquitto.url(),
        "--store",
        STORE,
        "--devices",
        &MANY.to_string(),
        "--rate",
        &RATE.to_string(),
    ])?;
    shop.reached("comptoir_events_stored_total", FIRST_EVENTS).await?;
    let mark = Mark::of(sim.pid())?;
    let all = format!("{MANY}/{MANY} connected");
    ensure!(sim.log().contains(&all), "not all are connected\n{}", sim.log());
    sim.interrupt(LONG).await?;
    shop.gateway.terminate().await?;
    let resident = mark.peak_rss_bytes as f64;
    report.held(
        format!("pos-sim, {MANY} terminals: most memory resident"),
        "MB",
        [resident / 1e6],
        Target::AtMost(1000.0),
    );
    report.figure(
        "pos-sim: memory of a terminal",
        "kB",
        [resident / 1e3 / f64::from(MANY)],
    );
    Ok(())
}

async fn fast(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let (mut rate, mut cpu, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        eprintln!(
            "firmware: pos-sim at full speed, round {round} of {}",
            arguments.rounds
        );
        let mut shop = stage.shop(false).await?;
        let mut sim = PosSim::without_ledger([
            "--broker",
            &shop.mosquitto.url(),
            "--store",
            STORE,
            "--devices",
            &stage.terminals.to_string(),
            "--rate",
            "0",
        ])?;
        let events = f64::from(arguments.events);
        // Connecting is no part of it.
        let begun = shop
            .reached("comptoir_events_stored_total", events / 10.0)
            .await?;
        let before = Mark::of(sim.pid())?;
        let through = shop
            .reached("comptoir_events_stored_total", begun.value + events)
            .await?;
        let used = before.until(&Mark::of(sim.pid())?);
        sim.interrupt(LONG).await?;
        shop.gateway.terminate().await?;
        let events = through.value - begun.value;
        rate.push(events / through.at.duration_since(begun.at).as_secs_f64());
        cpu.push(used.cpu_us / events);
        share.push(used.cpu_us / 1e6 / used.wall.as_secs_f64());
    }
    report.figure("pos-sim at full speed: rate", "events/s", rate);
    report.figure("pos-sim at full speed: CPU per event", "µs", cpu);
    report.held(
        "pos-sim at full speed, the gateway saturated: of a core",
        "×",
        share,
        Target::AtMost(0.5),
    );
    Ok(())
}
