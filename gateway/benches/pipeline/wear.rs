//! Bytes that a quiet shop writes to its SD card. With few events, each commit of a single event rewrites whole pages.

use anyhow::Result;

use crate::load::Load;
use crate::report::Report;
use crate::stage::Stage;

/// Events, and seconds of the measurement.
const EVENTS: u32 = 30;

pub async fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    eprintln!("wear: {EVENTS} s at 1 event/s");
    let mut shop = stage.shop(true).await?;
    let load = Load::prepare(shop.mosquitto.port(), "till", 1, EVENTS).await?;
    let before = shop.sample()?;
    load.paced(1.0).finish().await?;
    shop.wait_for_counter("comptoir_events_relayed_total", f64::from(EVENTS))
        .await?;
    let used = before.until(&shop.sample()?);
    shop.gateway.terminate().await?;
    report.figure(
        "Comptoir at 1 event/s: bytes written to disk per event",
        "bytes",
        [used.written_bytes / f64::from(EVENTS)],
    );
    report.figure(
        "Comptoir at 1 event/s: share of one core",
        "%",
        [used.cpu_us / 1e4 / used.wall.as_secs_f64()],
    );
    Ok(())
}
