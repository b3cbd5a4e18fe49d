//! Resources of a till: flash and RAM of the firmware image, and memory and CPU time of many tills in one `pos-sim`.
//!
//! The image runs in QEMU, sells to a real gateway, and reports the deepest use of its stack. This needs the tools of
//! `make firmware`; the error says which of them is missing.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{EmulatedTill, PosSim};

use crate::Arguments;
use crate::jobs::ResourceSample;
use crate::report::{Report, Target};
use crate::sales::STORE;
use crate::stage::{LONG, Stage};

/// Events of the emulated till. Every third order has 250 lines.
const EVENTS: u32 = 200;
/// The number of simulated tills for which the target is set.
const MANY: u32 = 10_000;
/// Events per second of all of them together.
const RATE: u32 = 500;
/// Stored events before memory is measured. A till allocates its memory with its first event.
const FIRST_EVENTS: f64 = 2.0 * MANY as f64;

pub async fn measure(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
    measure_image(stage, report)
        .await
        .context("the till on bare metal")?;
    measure_many(stage, report).await.context("many tills")?;
    measure_full_speed(stage, arguments, report)
        .await
        .context("fast tills")
}

async fn measure_image(stage: &Stage, report: &mut Report) -> Result<()> {
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
    report.figure_with_target(
        "till on bare metal: flash",
        "KiB",
        kib(image.flash),
        Target::AtMost(256.0),
    );
    report.figure("till on bare metal: variables", "KiB", kib(image.variables));
    report.figure("till on bare metal: deepest stack", "KiB", kib(stack.used));
    report.figure_with_target(
        "till on bare metal: RAM, with the network and sales of 250 lines",
        "KiB",
        kib(image.variables + stack.used),
        Target::AtMost(128.0),
    );
    Ok(())
}

async fn measure_many(stage: &Stage, report: &mut Report) -> Result<()> {
    eprintln!("firmware: {MANY} tills in one pos-sim");
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
    shop.wait_for_counter("comptoir_events_stored_total", FIRST_EVENTS)
        .await?;
    let mark = ResourceSample::of_process(sim.pid())?;
    let all = format!("{MANY}/{MANY} connected");
    ensure!(sim.log().contains(&all), "not all are connected\n{}", sim.log());
    sim.interrupt(LONG).await?;
    shop.gateway.terminate().await?;
    let resident = mark.peak_rss_bytes as f64;
    report.figure_with_target(
        format!("pos-sim, {MANY} tills: maximum resident memory"),
        "MB",
        [resident / 1e6],
        Target::AtMost(1000.0),
    );
    report.figure(
        "pos-sim: memory per till",
        "kB",
        [resident / 1e3 / f64::from(MANY)],
    );
    Ok(())
}

async fn measure_full_speed(stage: &Stage, arguments: &Arguments, report: &mut Report) -> Result<()> {
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
            &stage.tills.to_string(),
            "--rate",
            "0",
        ])?;
        let events = f64::from(arguments.events);
        // Connecting is not measured.
        let begun = shop
            .wait_for_counter("comptoir_events_stored_total", events / 10.0)
            .await?;
        let before = ResourceSample::of_process(sim.pid())?;
        let through = shop
            .wait_for_counter("comptoir_events_stored_total", begun.value + events)
            .await?;
        let used = before.until(&ResourceSample::of_process(sim.pid())?);
        sim.interrupt(LONG).await?;
        shop.gateway.terminate().await?;
        let events = through.value - begun.value;
        rate.push(events / through.at.duration_since(begun.at).as_secs_f64());
        cpu.push(used.cpu_us / events);
        share.push(used.cpu_us / 1e6 / used.wall.as_secs_f64());
    }
    report.figure("pos-sim at full speed: rate", "events/s", rate);
    report.figure("pos-sim at full speed: CPU per event", "µs", cpu);
    report.figure_with_target(
        "pos-sim at full speed, the gateway saturated: share of a core",
        "×",
        share,
        Target::AtMost(0.5),
    );
    Ok(())
}
