//! What a quiet shop writes to its SD card: every commit of a single event rewrites pages.

use anyhow::Result;

use crate::load::Load;
use crate::report::Report;
use crate::stage::Stage;

const EVENTS: u32 = 30;

pub async fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    eprintln!("wear: {EVENTS} s at 1 event/s");
    let mut shop = stage.shop(true).await?;
    let load = Load::prepare(shop.mosquitto.port(), "till", 1, EVENTS).await?;
    let before = shop.mark()?;
    load.paced(1.0).finish().await?;
    shop.reached("comptoir_events_read_back_total", f64::from(EVENTS))
        .await?;
    let used = before.until(&shop.mark()?);
    shop.gateway.terminate().await?;
    report.figure(
        "Comptoir at 1 event/s: bytes written to disk per event",
        "bytes",
        [used.written_bytes / f64::from(EVENTS)],
    );
    report.figure(
        "Comptoir at 1 event/s: CPU of one core",
        "%",
        [used.cpu_us / 1e4 / used.wall.as_secs_f64()],
    );
    Ok(())
}
