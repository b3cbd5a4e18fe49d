//! `pos-sim`: many simulated point-of-sale terminals, from the command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand};
use comptoir_sim::counter::{self, Language};
use comptoir_sim::faults::Faults;
use comptoir_sim::{Broker, End, Plan, Progress, Sales, SimError, Summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Simulated point-of-sale terminals: they sell, publish over MQTT 5, and keep every event until the gateway
/// has acked it end to end.
///
/// Each terminal has its own connection, epoch, sequence numbers and queue, and survives restarts of the MQTT
/// broker and of the gateway. pos-sim ends when all it has sold is acked.
#[derive(Parser)]
#[command(version, after_long_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Invocation {
    #[command(subcommand)]
    act: Option<Act>,

    #[command(flatten)]
    simulation: Option<Arguments>,
}

#[derive(Subcommand)]
enum Act {
    /// A till for you to work at: catalogue, cart, payment, and keys that pull the network's plug or cut the power
    Till(TillArguments),
}

#[derive(Args)]
struct TillArguments {
    /// The MQTT broker: mqtt://[user:password@]host[:port]
    #[arg(long, value_name = "URL", env = "POS_SIM_BROKER")]
    broker: Broker,

    /// The shop ([a-z0-9][a-z0-9-]{0,31})
    #[arg(long, value_name = "NAME")]
    store: String,

    /// The till in the shop
    #[arg(long, value_name = "NAME", default_value = "counter-1")]
    device: String,

    /// Keep the till's flash in a file here; without it, what is unacked is gone when you quit
    #[arg(long, value_name = "DIR")]
    queue: Option<PathBuf>,

    /// en or fr; without it, the environment's language
    #[arg(long, value_name = "LANGUAGE", value_parser = language)]
    lang: Option<Language>,
}

fn language(text: &str) -> Result<Language, String> {
    match text {
        "en" => Ok(Language::English),
        "fr" => Ok(Language::French),
        _ => Err("en or fr".to_owned()),
    }
}

#[derive(Args)]
#[command(group(ArgGroup::new("sales").required(true).args(["store", "replay"])))]
struct Arguments {
    /// The MQTT broker: mqtt://[user:password@]host[:port]
    #[arg(long, value_name = "URL", env = "POS_SIM_BROKER")]
    broker: Broker,

    /// Invent the sales of this store ([a-z0-9][a-z0-9-]{0,31})
    #[arg(long, value_name = "NAME")]
    store: Option<String>,

    /// Terminals of the store, named till-1, till-2, ...
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "replay")]
    devices: u32,

    /// Events per second over all terminals; 0: as fast as the acks allow
    #[arg(long, value_name = "R", default_value_t = 10.0, conflicts_with = "replay")]
    rate: f64,

    /// Stop selling after so long (90, 90s, 15m, 2h), then wait for the last acks
    #[arg(long, value_name = "T", value_parser = duration)]
    duration: Option<Duration>,

    /// Stop selling after exactly so many events in all, then wait for the last acks
    #[arg(long, value_name = "N", conflicts_with_all = ["duration", "replay"])]
    events: Option<u64>,

    /// Epochs, ids and sales follow from it: the same seed gives the same events. Drawn and printed if not
    /// given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Write one JSON line per event when it is acked: ce_id, topic, key, published, acked. With --queue, lines are added
    /// to those of the runs before
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,

    /// Keep the terminals' flash in files here, synced before a sale counts: a killed pos-sim goes on where it was.
    /// Files that are none of pos-sim's are refused
    #[arg(long, value_name = "DIR")]
    queue: Option<PathBuf>,

    /// Unacked events at which a terminal stops selling until some are acked; before that, when its flash of 4 MiB
    /// has no room for another sale (some ten thousand typical events)
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    queue_limit: usize,

    /// Events that a terminal has on their way, not yet acked, at most
    #[arg(long, value_name = "N", default_value_t = 64)]
    window: u32,

    /// Replay real receipts: CSV (.gz) with store_id,basket_id,timestamp,product,quantity,amount; one
    /// terminal a store
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,

    /// Replay so many times as fast as the file's own clock; max: as fast as the acks allow
    #[arg(long, value_name = "X", default_value = "max", value_parser = speed, requires = "replay")]
    speed: Speed,

    /// Currency of the replayed amounts (ISO 4217)
    #[arg(long, value_name = "CODE", default_value = "EUR", requires = "replay")]
    currency: String,

    /// Percent of the terminals that speak JSON instead of postcard
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    json_terminals: u8,

    /// Make things go wrong, e.g. power=5,drop=2 or all=5: percent of the events sold (power, flash, clock) or of the
    /// publishes (drop, duplicate, delay, hang, break)
    ///
    /// power: the power goes at one of the event's flash writes, and the terminal starts again from its flash;
    /// whatever it had confirmed is there. flash: a bit of the flash turns; as many as are corrected, which is two in each
    /// stored part of an event. drop, duplicate, delay, hang, break: what the network does with a publish (drop also
    /// with acks; hang: for half a second, sometimes for longer than the keep-alive; break: the connection is cut);
    /// everything arrives in the end, once and in order. clock: the time is absent or wrong, nothing else.
    #[arg(
        long,
        value_name = "KIND=PERCENT,...",
        default_value = "all=0",
        hide_default_value = true
    )]
    faults: Faults,

    /// Write the summary as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  pos-sim --broker mqtt://localhost --store paris-1 --devices 5 --rate 20
  pos-sim --broker mqtt://localhost --store paris-1 --devices 50 --rate 0 --events 1000000 --ledger ledger.jsonl
  pos-sim --broker mqtt://localhost --replay sales.csv.gz --currency USD --speed 600
  pos-sim --broker mqtt://localhost --store paris-1 --devices 500 --rate 0 --events 100000 --faults all=5
  pos-sim till --broker mqtt://localhost --store paris-1

Ctrl-C, or SIGTERM, stops the selling and waits up to 10 s for the last acks; a second one ends it at once.

Exit code: 0 all that was sold is acked; 1 not all is; 2 wrong arguments or an unusable file.";

#[derive(Clone, Copy)]
struct Speed(Option<f64>);

fn speed(text: &str) -> Result<Speed, String> {
    match text {
        "max" => Ok(Speed(None)),
        factor => factor
            .parse()
            .map(|factor| Speed(Some(factor)))
            .map_err(|_| "a factor, or max".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.trim_end_matches(char::is_alphabetic) {
        number if number.len() < text.len() => text.split_at(number.len()),
        number => (number, "s"),
    };
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit:?} is none of ms, s, m, h")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{number:?} is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

impl Arguments {
    fn plan(self) -> Plan {
        let mut plan = Plan::new(
            self.broker,
            self.store.unwrap_or_default(),
            self.devices,
            self.rate,
        );
        if let Some(file) = self.replay {
            plan.sales = Sales::Replayed {
                file,
                speed: self.speed.0,
                currency: self.currency,
            };
        }
        plan.end = match (self.events, self.duration) {
            (Some(events), _) => End::Events(events),
            (None, Some(after)) => End::After(after),
            (None, None) => End::Never,
        };
        plan.seed = self.seed.unwrap_or(plan.seed);
        plan.json_terminals = self.json_terminals;
        plan.ledger = self.ledger;
        plan.queue = self.queue;
        plan.queue_limit = self.queue_limit;
        plan.faults = self.faults;
        plan.link.window = self.window;
        plan
    }
}

const NOT_ALL_ACKED: u8 = 1;
const WRONG: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let invocation = Invocation::parse();
    if let Some(Act::Till(arguments)) = invocation.act {
        return work_at_the_till(arguments).await;
    }
    let Some(mut arguments) = invocation.simulation else {
        Invocation::command().print_help().ok();
        return ExitCode::from(WRONG);
    };
    let summary_file = arguments.summary.take();
    let plan = arguments.plan();
    allow_many_connections();
    eprintln!("pos-sim: seed {}", plan.seed);

    let stop = CancellationToken::new();
    let (progress, watched) = watch::channel(Progress::default());
    let run = comptoir_sim::run(plan, stop.clone(), progress);
    let shown = tokio::spawn(show(watched));
    let outcome = tokio::select! {
        outcome = run => outcome,
        () = interrupted_twice(stop) => {
            eprintln!("pos-sim: broken off");
            return ExitCode::from(NOT_ALL_ACKED);
        }
    };
    // The sender is gone with the run, so this ends.
    let _ = shown.await;
    match outcome {
        Ok(summary) => {
            eprint!("{}", told(&summary));
            if let Some(file) = summary_file
                && let Err(error) = write_summary(&file, &summary)
            {
                eprintln!("pos-sim: write {}: {error}", file.display());
                return ExitCode::from(WRONG);
            }
            if summary.unacked == 0 && summary.lost == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(NOT_ALL_ACKED)
            }
        }
        Err(error) => {
            eprintln!("pos-sim: {error}");
            let own_fault = matches!(error, SimError::Task(_) | SimError::Latencies(_));
            ExitCode::from(if own_fault { NOT_ALL_ACKED } else { WRONG })
        }
    }
}

async fn work_at_the_till(arguments: TillArguments) -> ExitCode {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let options = counter::Options {
        broker: arguments.broker,
        store: arguments.store,
        device: arguments.device,
        queue: arguments.queue,
        language: arguments.lang.unwrap_or(Language::of(locale.as_deref())),
    };
    match counter::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pos-sim: {error}");
            ExitCode::from(WRONG)
        }
    }
}

/// Each terminal is a file descriptor, and the usual soft limit is 1024.
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it is refused, terminals beyond the limit say so when they connect.
    let _ = setrlimit(Resource::Nofile, limit);
}

async fn interrupted_twice(stop: CancellationToken) {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => if pressed.is_err() {
                return std::future::pending().await;
            },
            _ = terminated.recv() => {}
        }
        if !stop.is_cancelled() {
            eprintln!("pos-sim: no more sales; waiting for the last acks (Ctrl-C again: end at once)");
            stop.cancel();
        }
    }
}

fn write_summary(file: &std::path::Path, summary: &Summary) -> std::io::Result<()> {
    let mut json = serde_json::to_vec_pretty(summary)?;
    json.push(b'\n');
    std::fs::write(file, json)
}

/// A bar on a terminal, else a line each 5 seconds.
async fn show(mut watched: watch::Receiver<Progress>) {
    const LINES_EVERY: Duration = Duration::from_secs(5);
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let plain = bar.is_hidden();
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
        if plain {
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
        terminals,
        connected_terminals: connected,
        sold,
        acked,
        unacked,
        resent,
        ..
    } = progress;
    let terminals = terminals - progress.finished_terminals;
    let trouble = progress
        .trouble
        .as_ref()
        .map(|what| format!("  ({what})"))
        .unwrap_or_default();
    format!(
        "{sold} sold, {acked} acked, {unacked} to go, {resent} resent, {rate:.0}/s, {connected}/{terminals} connected{trouble}"
    )
}

fn told(summary: &Summary) -> String {
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
        summary.terminals,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../../../deploy/debian/pos-sim.1");

    /// The long options under that heading of the manual page.
    fn in_the_page(heading: &str) -> BTreeSet<String> {
        let section = PAGE
            .split(".SH ")
            .find_map(|section| section.strip_prefix(heading));
        let entries = section
            .into_iter()
            .flat_map(|section| section.split(".TP\n").skip(1));
        entries
            .filter_map(|entry| {
                // The entry's first line names them: \fB\-\-queue\-limit\fR \fIN\fR
                let (_, option) = entry.lines().next()?.split_once(r"\-\-")?;
                let (name, _) = option.split_once(r"\f")?;
                Some(name.replace(r"\-", "-"))
            })
            .collect()
    }

    fn in_the_help(command: &clap::Command) -> BTreeSet<String> {
        let long = command.get_arguments().filter_map(clap::Arg::get_long);
        long.map(str::to_owned).collect()
    }

    #[test]
    fn the_manual_page_has_the_options_that_the_help_has() {
        let mut command = Invocation::command();
        command.build();
        assert_eq!(in_the_page("OPTIONS\n"), in_the_help(&command));
        let till = command.find_subcommand("till").unwrap();
        assert_eq!(in_the_page("OPTIONS OF POS\\-SIM TILL\n"), in_the_help(till));
    }
}
