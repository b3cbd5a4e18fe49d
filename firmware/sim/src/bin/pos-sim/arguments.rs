//! The command line of `pos-sim`.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the doc comments are the help texts, whose brackets are not links"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};
use comptoir_sim::faults::Faults;
use comptoir_sim::interactive::Language;
use comptoir_sim::{Broker, End, Plan, Sales};

/// Simulate tills that sell, publish over MQTT 5, and keep every event until the gateway has acknowledged it end to end
///
/// Each till has its own connection, epoch, sequence numbers and queue, and survives restarts of the MQTT broker and of
/// the gateway. pos-sim ends when every event is acknowledged.
#[derive(Parser)]
#[command(version, after_long_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub simulation: Option<SimulationArguments>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Operate a till yourself: catalogue, cart, payment, and keys that disconnect the network or cut the power
    Till(TillArguments),
}

#[derive(Args)]
pub struct TillArguments {
    /// MQTT broker: mqtt://[user:password@]host[:port]
    #[arg(long, value_name = "URL", env = "POS_SIM_BROKER")]
    pub broker: Broker,

    /// The till's store ([a-z0-9][a-z0-9-]{0,31})
    #[arg(long, value_name = "NAME")]
    pub store: String,

    /// The till's name in the store
    #[arg(long, value_name = "NAME", default_value = "counter-1")]
    pub device: String,

    /// Keep the till's flash in a file in this directory; without it, unacknowledged events are lost when you quit
    #[arg(long, value_name = "DIR")]
    pub queue: Option<PathBuf>,

    /// Language, en or fr [default: that of LC_ALL, LC_MESSAGES or LANG]
    #[arg(long, value_name = "LANGUAGE", value_parser = language)]
    pub lang: Option<Language>,
}

#[derive(Args)]
#[command(group(ArgGroup::new("sales").required(true).args(["store", "replay"])))]
pub struct SimulationArguments {
    /// MQTT broker: mqtt://[user:password@]host[:port]. {till} in the user name stands for STORE/TILL, so that each till
    /// has its own user
    #[arg(long, value_name = "URL", env = "POS_SIM_BROKER")]
    pub broker: Broker,

    /// Invent sales for this store ([a-z0-9][a-z0-9-]{0,31})
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,

    /// Number of tills in the store, named till-1, till-2, ...
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "replay")]
    pub devices: u32,

    /// Events per second, over all tills; 0: as fast as acknowledgements arrive
    #[arg(long, value_name = "R", default_value_t = 10.0, conflicts_with = "replay")]
    pub rate: f64,

    /// Stop selling after this time (90, 90s, 15m, 2h), then wait for the last acknowledgements
    #[arg(long, value_name = "T", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Stop selling after exactly this many events in all, then wait for the last acknowledgements
    #[arg(long, value_name = "N", conflicts_with_all = ["duration", "replay"])]
    pub events: Option<u64>,

    /// Seed of epochs, ids and sales: the same seed gives the same events [default: random, and printed]
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,

    /// Write one JSON line per acknowledged event: ce_id, topic, key, published, acked. With --queue, the lines are
    /// appended; otherwise the file is overwritten
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// Keep the tills' flash in files in this directory, synced before a sale counts, so that pos-sim continues after a kill
    /// where it was. Files that pos-sim did not write are refused
    #[arg(long, value_name = "DIR")]
    pub queue: Option<PathBuf>,

    /// Number of unacknowledged events at which a till stops selling. It stops earlier if its flash of 4 MiB is full, which
    /// holds about ten thousand typical events
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub queue_limit: usize,

    /// Largest number of unacknowledged events that a till has in flight
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub window: u32,

    /// Replay receipts from a CSV file (or .gz): store_id,basket_id,timestamp,product,quantity,amount; one till per store
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,

    /// Speed relative to the file's timestamps, for example 60; max: as fast as acknowledgements arrive
    #[arg(long, value_name = "X", default_value = "max", value_parser = speed, requires = "replay")]
    pub speed: Speed,

    /// Currency of the replayed amounts (ISO 4217)
    #[arg(long, value_name = "CODE", default_value = "EUR", requires = "replay")]
    pub currency: String,

    /// Percentage of the tills that send JSON instead of postcard
    #[arg(
        id = "json_tills",
        long = "json-terminals",
        value_name = "PERCENT",
        default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub json_tills: u8,

    /// Inject faults, for example power=5,drop=2 or all=5: in percent of the events sold (power, flash, clock) or of the
    /// publishes (drop, duplicate, delay, hang, break)
    ///
    /// power: the power is cut during one of the event's flash writes, and the till restarts from its flash, which has
    /// every confirmed sale. flash: a bit of the flash flips, at most two in each stored part of an event, which the queue
    /// corrects. drop, duplicate, delay, hang, break: faults of the network. drop also loses acknowledgements; a hang lasts
    /// half a second, sometimes longer than the keep-alive; break cuts the connection. clock: the time is missing or wrong.
    /// Despite all faults, every event arrives once and in order.
    #[arg(
        long,
        value_name = "KIND=PERCENT,...",
        default_value = "all=0",
        hide_default_value = true
    )]
    pub faults: Faults,

    /// Write the summary as JSON
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  pos-sim --broker mqtt://localhost --store paris-1 --devices 5 --rate 20
  pos-sim --broker mqtt://localhost --store paris-1 --devices 50 --rate 0 --events 1000000 --ledger ledger.jsonl
  pos-sim --broker mqtt://localhost --replay sales.csv.gz --currency USD --speed 600
  pos-sim --broker mqtt://localhost --store paris-1 --devices 500 --rate 0 --events 100000 --faults all=5
  pos-sim till --broker mqtt://localhost --store paris-1

Ctrl-C or SIGTERM stops the selling and waits up to 10 s for the last acknowledgements; a second one ends pos-sim at once.

Exit codes:
  0  Every event is acknowledged
  1  Some events are not acknowledged
  2  The command line is invalid, or a file cannot be used";

/// The factor of `--speed`; `None` for `max`.
#[derive(Clone, Copy)]
pub struct Speed(pub Option<f64>);

fn speed(text: &str) -> Result<Speed, String> {
    match text {
        "max" => Ok(Speed(None)),
        factor => factor
            .parse()
            .map(|factor| Speed(Some(factor)))
            .map_err(|_| "write a factor, for example 60, or max".to_owned()),
    }
}

fn language(text: &str) -> Result<Language, String> {
    match text {
        "en" => Ok(Language::English),
        "fr" => Ok(Language::French),
        _ => Err("write en or fr".to_owned()),
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
        _ => {
            return Err(format!(
                "unknown unit {unit:?}; write ms, s, m or h, for example 15m"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{number:?} is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

impl SimulationArguments {
    /// The run that the arguments describe.
    pub fn plan(self) -> Plan {
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
        plan.json_tills = self.json_tills;
        plan.ledger = self.ledger;
        plan.queue = self.queue;
        plan.queue_limit = self.queue_limit;
        plan.faults = self.faults;
        plan.link.window = self.window;
        plan
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    const PAGE: &str = include_str!("../../../../../deploy/debian/pos-sim.1");

    /// The long options under that heading of the manual page.
    fn options_in_manual(heading: &str) -> BTreeSet<String> {
        let section = PAGE
            .split(".SH ")
            .find_map(|section| section.strip_prefix(heading));
        let entries = section
            .into_iter()
            .flat_map(|section| section.split(".TP\n").skip(1));
        entries
            .filter_map(|entry| {
                // The entry's first line has the option: \fB\-\-queue\-limit\fR \fIN\fR
                let (_, option) = entry.lines().next()?.split_once(r"\-\-")?;
                let (name, _) = option.split_once(r"\f")?;
                Some(name.replace(r"\-", "-"))
            })
            .collect()
    }

    fn options_in_help(command: &clap::Command) -> BTreeSet<String> {
        let long = command.get_arguments().filter_map(clap::Arg::get_long);
        long.map(str::to_owned).collect()
    }

    #[test]
    fn the_manual_page_has_the_options_that_the_help_has() {
        let mut command = CommandLine::command();
        command.build();
        assert_eq!(options_in_manual("OPTIONS\n"), options_in_help(&command));
        let till = command.find_subcommand("till").unwrap();
        assert_eq!(
            options_in_manual("OPTIONS OF POS\\-SIM TILL\n"),
            options_in_help(till)
        );
    }
}
