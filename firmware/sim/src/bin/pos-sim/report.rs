//! The output of `pos-sim`: the progress of the run, and its summary.

use std::path::Path;
use std::time::Duration;

use comptoir_sim::{Progress, Summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;

/// Shows the progress until its sender is dropped: a bar on a terminal, otherwise a line every 5 seconds.
pub async fn show_progress(mut watched: watch::Receiver<Progress>) {
    const LINES_EVERY: Duration = Duration::from_secs(5);
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let is_terminal = !bar.is_hidden();
    let (mut last_line, mut before) = (Duration::ZERO, Progress::default());
    let mut rate = 0.0;
    while watched.changed().await.is_ok() {
        let progress = watched.borrow_and_update().clone();
        let span = progress.elapsed.saturating_sub(before.elapsed).as_secs_f64();
        if span >= 1.0 {
            #[expect(clippy::cast_precision_loss)]
            let acked = progress.acked.saturating_sub(before.acked) as f64;
            rate = acked / span;
            before = progress.clone();
        }
        let line = line(&progress, rate);
        if !is_terminal {
            if progress.elapsed >= last_line + LINES_EVERY {
                last_line = progress.elapsed;
                eprintln!("pos-sim: {line}");
            }
            continue;
        }
        if let Some(total) = progress.total
            && bar.length() != Some(total)
        {
            bar.set_length(total);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
                bar.set_style(style);
            }
        }
        bar.set_position(progress.acked);
        bar.set_message(line);
    }
    bar.finish_and_clear();
}

fn line(progress: &Progress, rate: f64) -> String {
    let Progress {
        tills,
        connected_tills: connected,
        sold,
        acked,
        unacked,
        resent,
        ..
    } = progress;
    let running = tills - progress.finished_tills;
    let trouble = progress
        .trouble
        .as_ref()
        .map(|trouble| format!("  ({trouble})"))
        .unwrap_or_default();
    format!(
        "{sold} sold, {acked} acked, {unacked} to go, {resent} resent, {rate:.0}/s, {connected}/{running} connected{trouble}"
    )
}

/// The summary as text.
pub fn describe(summary: &Summary) -> String {
    let latency = &summary.ack_latency_ms;
    let faults: String = summary
        .faults
        .iter()
        .map(|(kind, count)| format!(" {kind} {count}"))
        .collect();
    let faults = if faults.is_empty() {
        faults
    } else {
        format!("faults:{faults}; lost {}\n", summary.lost)
    };
    format!(
        "sold {}, acked {}, unacked {}, published {}, resent {}, terminals {}, connects {}, commands {}\n{faults}\
         {:.1} events/s over {:.2} s\n\
         publish to end-to-end ack: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms\n",
        summary.sold,
        summary.acked,
        summary.unacked,
        summary.published,
        summary.resent,
        summary.tills,
        summary.connects,
        summary.commands,
        summary.events_per_second,
        summary.seconds,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p99_9,
        latency.max,
    )
}

/// Writes the summary as JSON.
pub fn write_summary(file: &Path, summary: &Summary) -> std::io::Result<()> {
    let mut json = serde_json::to_vec_pretty(summary)?;
    json.push(b'\n');
    std::fs::write(file, json)
}
