//! The command line's grammar. The doc comments here are the text of `--help` and of the man pages.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use comptoir_core::event::DeviceId;
use comptoir_journal::schema_version;
use jiff::civil::Date;

use crate::platform::closing_key::PublicKey;

use super::{audit, customer, dead_letters, demo, recovery_code, settings, users};

/// Includes the journal's schema version, so that an administrator can tell before a downgrade whether the older
/// version can read the journal.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (journal schema {})",
        env!("CARGO_PKG_VERSION"),
        schema_version()
    )
});

const EXAMPLES: &str = "\
Examples:
  gateway demo                            Try it: no installation, no configuration
  gateway check --config gateway.toml     Validate a configuration and test its connections
  gateway run --config gateway.toml       Run the gateway
  COMPTOIR_STORE=paris-1 gateway run      Configure the gateway with environment variables

Exit codes:
  0  Success, or a clean stop after SIGTERM or Ctrl-C
  1  The command failed, or a part of the gateway stopped unexpectedly
  2  The configuration or the command line is invalid";

const RUN_EXAMPLES: &str = "\
Examples:
  gateway run
  gateway run --config gateway.toml
  COMPTOIR_KAFKA__BROKERS=kafka-1:9092,kafka-2:9092 gateway run --config gateway.toml

Exit codes:
  0  A clean stop after SIGTERM or Ctrl-C, within 10 seconds
  1  A part of the gateway stopped unexpectedly; restart it
  2  The configuration is invalid or the gateway cannot start with it, and there is no fallback";

const CHECK_EXAMPLES: &str = "\
Each line begins with \"ok\" or \"FAILED\".

Examples:
  gateway check --config gateway.toml
  gateway check --offline --config gateway.toml

Exit codes:
  0  The configuration is valid, or the fallback is, and everything can be reached
  1  Something cannot be reached
  2  The configuration is invalid, and there is no fallback";

const SETTINGS_EXAMPLES: &str = "\
Example:
  gateway settings --output /run/comptoir-settings /boot/firmware/comptoir.txt

Exit codes:
  0  Every setting is valid, and the files are written
  1  A file cannot be read or written
  2  A setting is invalid; the file `problems` names it";

const BACKUP_EXAMPLES: &str = "\
The copy does not contain the shop's secret. To use it on another computer, you also need the recovery code; see
`gateway recovery-code --help`.

Example:
  gateway backup --config gateway.toml /media/usb/journal-2026-01-31.db

Exit codes:
  0  The copy is complete
  1  The copy failed
  2  The configuration is invalid, and there is no fallback";

const ARCHIVE_EXAMPLES: &str = "\
The archive contains every entry of the days, the closings, a table for a spreadsheet, and the public key. A signature
covers every byte. Days begin in the shop's time zone. The gateway may be running.

Examples:
  gateway archive 2026-01-01 2026-01-31 /media/usb/paris-1-2026-01.tar
  gateway verify /media/usb/paris-1-2026-01.tar

Exit codes:
  0  The archive is complete
  1  There is nothing of these days, or the archive cannot be written or signed
  2  A day is invalid; or the configuration is, and there is no fallback";

const VERIFY_EXAMPLES: &str = "\
Whoever has the shop's secret can sign a changed archive. The key shows whose it is: compare it with the one in the Kafka
topics `closings` and `gateways`, or on a printed closing. An archive is also verified by the independent program
verify_archive.py of the documentation.

Examples:
  gateway verify paris-1-2026-01.tar
  gateway verify paris-1-2026-01.tar --key 9a1f0c…
  gateway verify /media/usb/journal-2026-01-31.db

Exit codes:
  0  Nothing was changed, removed or inserted
  1  Something was, or the file cannot be read
  2  The command line is invalid";

const RECOVERY_CODE_EXAMPLES: &str = "\
The gateway creates the shop's secret at its first start and stores it beside the journal, readable by its own user only. A
backup of the journal does not contain it. Write the code down and keep it in a safe place: a new computer needs it to
take the shop over, and anyone who knows it can forge the shop's records.

Examples:
  sudo -u comptoir gateway recovery-code --config /etc/comptoir/gateway.toml
  sudo -u comptoir gateway recovery-code --restore < recovery-code.txt
  sudo -u comptoir gateway recovery-code --shop-key

Exit codes:
  0  Success
  1  There is no secret, or the code is invalid or belongs to another journal
  2  The configuration is invalid, and there is no fallback";

const DEAD_LETTERS_EXAMPLES: &str = "\
Without a subcommand, the newest 50 dead letters are listed.

Examples:
  gateway dead-letters list --limit 10
  gateway dead-letters show 1742
  gateway dead-letters retry 1742

Exit codes:
  0  Success
  1  There is no such dead letter, or it still cannot be decoded
  2  The configuration is invalid, and there is no fallback";

const USERS_EXAMPLES: &str = "\
Without a subcommand, the users are listed. A running gateway applies a change from the next request on.

Examples:
  gateway users add marie --role administrator --password-stdin < password.txt
  gateway users set-role marie manager
  gateway users remove marie

Exit codes:
  0  Success
  1  The command failed, for example because there is no such user
  2  The command line is invalid; or the configuration is, and there is no fallback";

const TOKENS_EXAMPLES: &str = "\
Without a subcommand, the tokens are listed. A program sends its token as `Authorization: Bearer TOKEN`.

Examples:
  gateway tokens add prometheus --role viewer
  gateway tokens remove Zb3fKq0pYx1t

Exit codes:
  0  Success
  1  The command failed, for example because there is no such token
  2  The command line is invalid; or the configuration is, and there is no fallback";

const AUDIT_EXAMPLES: &str = "\
Without a subcommand, the newest 50 entries are listed. The gateway may be running or stopped.

Each entry contains a hash of itself and of the previous entry, so a later change breaks the chain. Anyone who can write
the accounts file can compute a new chain: compare the last hash with that of the record in the Kafka topic audit.

Examples:
  gateway audit list --limit 10
  gateway audit verify

Exit codes:
  0  Success
  1  An entry breaks the chain, or the audit log cannot be read
  2  The configuration is invalid, and there is no fallback";

const FORGET_EXAMPLES: &str = "\
Example:
  gateway forget paris-1/till-7

Exit codes:
  0  The device is forgotten; the output lists what is kept
  1  The journal does not know the device, or the running gateway does not answer
  2  STORE/DEVICE is invalid; or the configuration is, and there is no fallback";

const CUSTOMER_EXAMPLES: &str = "\
The gateway must be running. The search is case-insensitive.

Examples:
  gateway customer find dupont@example.org
  gateway customer erase dupont@example.org --yes

Exit codes:
  0  Success; also if no sale names the customer
  1  The command failed, --yes is missing, or some sales are not in Kafka yet and keep their data
  2  The configuration is invalid, and there is no fallback";

/// Comptoir, the edge gateway of a shop
///
/// Receives orders, payments and deliveries from the shop's tills over MQTT, writes them to disk before it acknowledges
/// them, and delivers each to Apache Kafka exactly once, when Kafka is reachable. Serves a live dashboard on the local
/// network.
#[derive(Parser)]
#[command(name = "gateway", version = VERSION.as_str(), max_term_width = 100, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

// No doc comment on a flattened struct: clap would show it in place of the subcommand's own description.
#[derive(clap::Args)]
pub struct ConfigArguments {
    /// Configuration file (TOML) [default: /etc/comptoir/gateway.toml, if it exists]
    ///
    /// Environment variables override the file: COMPTOIR_JOURNAL__MAX_BYTES sets `journal.max_bytes`. Separate the items
    /// of a list with commas, or write the list as JSON.
    #[arg(long, short, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Fallback: the last configuration that started
    ///
    /// `gateway run` copies the configuration file to FILE after each successful start. If the configuration is invalid or
    /// the gateway cannot start with it, the copy is used instead.
    #[arg(long, value_name = "FILE", global = true)]
    pub last_good: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct ReportArguments {
    /// Read configuration errors from FILE
    ///
    /// For programs that generate the gateway's configuration, such as the SD card image: the gateway page shows these
    /// errors beside its own. One error per line: source, key and message, separated by tabs. The file may be absent.
    #[arg(long, value_name = "FILE")]
    pub settings_report: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run everything in one process: MQTT broker, in-memory Kafka, simulated tills
    Demo(demo::DemoArguments),

    /// Run the gateway until SIGTERM or Ctrl-C
    #[command(after_help = RUN_EXAMPLES)]
    Run {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(flatten)]
        report: ReportArguments,
    },

    /// Validate the configuration and test what it connects to; changes nothing
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        #[command(flatten)]
        config: ConfigArguments,
        /// Only validate the configuration; open no connection and no port
        #[arg(long)]
        offline: bool,
    },

    /// Write a consistent copy of the journal; the gateway may be running
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        #[command(flatten)]
        config: ConfigArguments,
        /// File to write; it must not exist
        file: PathBuf,
    },

    /// Write a signed archive of some days, for those who must be able to prove what was sold
    #[command(after_help = ARCHIVE_EXAMPLES)]
    Archive {
        #[command(flatten)]
        config: ConfigArguments,
        /// The first day, for example 2026-01-01
        from: Date,
        /// The last day
        to: Date,
        /// File to write; it must not exist
        file: PathBuf,
    },

    /// Verify that an archive, a journal or a backup is unchanged
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        #[command(flatten)]
        config: ConfigArguments,
        /// The archive, journal or backup
        file: PathBuf,
        /// The public key that must have signed it, 64 hexadecimal digits
        #[arg(long)]
        key: Option<PublicKey>,
    },

    /// Print the shop's recovery code, or restore the shop's secret from it
    #[command(after_help = RECOVERY_CODE_EXAMPLES)]
    RecoveryCode {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(flatten)]
        action: recovery_code::Action,
        /// Overwrite another secret
        #[arg(long)]
        force: bool,
    },

    /// List, show and retry messages that could not be decoded
    #[command(after_help = DEAD_LETTERS_EXAMPLES)]
    DeadLetters {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(subcommand)]
        action: Option<dead_letters::Action>,
    },

    /// List, add, change and remove the users of the pages
    #[command(after_help = USERS_EXAMPLES)]
    Users {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(subcommand)]
        action: Option<users::UserAction>,
    },

    /// List, create and remove the tokens of programs
    #[command(after_help = TOKENS_EXAMPLES)]
    Tokens {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(subcommand)]
        action: Option<users::TokenAction>,
    },

    /// List the audit log (who changed what), and verify that it is unchanged
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(subcommand)]
        action: Option<audit::Action>,
    },

    /// Free the space that a device uses in the journal, if it is gone or has flooded the gateway
    ///
    /// Removes epochs without a stored event. The numbers of the other epochs are kept, so that an event that is sent
    /// again is not stored twice, but they no longer use memory or the device's share. Deletes no event. The gateway may be
    /// running or stopped.
    #[command(after_help = FORGET_EXAMPLES)]
    Forget {
        #[command(flatten)]
        config: ConfigArguments,
        /// The device, for example paris-1/till-7; the gateway page lists the devices
        #[arg(value_name = "STORE/DEVICE")]
        device: DeviceId,
    },

    /// Find the sales of a customer, and erase their personal data
    #[command(after_help = CUSTOMER_EXAMPLES)]
    Customer {
        #[command(flatten)]
        config: ConfigArguments,
        #[command(subcommand)]
        action: customer::Action,
    },

    /// Translate the comptoir.txt of the Raspberry Pi image into the files of its services
    #[command(after_help = SETTINGS_EXAMPLES)]
    Settings(settings::Arguments),

    /// Write the man pages and shell completions into a directory, for packages
    #[command(hide = true)]
    Manual { directory: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flattened_arguments_do_not_replace_a_commands_description() {
        let command = Arguments::command();
        for (name, beginning) in [
            ("demo", "Run everything in one process"),
            ("run", "Run the gateway"),
            ("check", "Validate the configuration"),
            ("backup", "Write a consistent copy"),
            ("recovery-code", "Print the shop's recovery code"),
            ("dead-letters", "List, show and retry"),
            ("forget", "Free the space"),
            ("customer", "Find the sales of a customer"),
        ] {
            let subcommand = command.find_subcommand(name).unwrap();
            let about = subcommand.get_about().unwrap().to_string();
            assert!(about.starts_with(beginning), "{name}: {about}");
        }
    }

    #[test]
    fn every_visible_command_says_what_it_does_and_names_its_exit_codes() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                command.is_hide_set() || help.contains("Exit codes:"),
                "{}",
                command.get_name()
            );
        }
    }
}
