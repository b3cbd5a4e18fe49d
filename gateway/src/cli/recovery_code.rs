//! `gateway recovery-code`: shows, restores or replaces the shop's secret.

use std::io::{IsTerminal, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use comptoir_core::shop_secret::ShopSecret;
use comptoir_journal::Journal;

use super::arguments::ConfigArguments;
use crate::platform::shop_secret::{self, SecretFile};

/// Longest recovery code read from standard input, in bytes, with generous room for white space.
const MAX_CODE: u64 = 4_096;

/// What to do with the secret.
#[derive(clap::Args)]
#[group(multiple = false)]
pub struct Action {
    /// Read a recovery code from standard input and store it
    #[arg(long)]
    restore: bool,
    /// Create a new secret, because the code is lost or has leaked
    ///
    /// Watermarks and records that the old secret signed then count only if they match the journal. Write the new code
    /// down, and give head office the new shop key (--shop-key).
    #[arg(long)]
    replace: bool,
    /// Print the shop key, with which head office verifies this shop's records, instead of the recovery code
    #[arg(long)]
    shop_key: bool,
}

/// Runs the subcommand. `force` overwrites another secret.
///
/// # Errors
/// There is no secret, a code is invalid or does not match the journal, or the file cannot be read or written.
pub async fn run(arguments: &ConfigArguments, action: &Action, force: bool) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let journal = &config.journal.path;
    let file = shop_secret::path_of(journal);
    if action.restore {
        restore(journal, &file, force).await?;
    } else if action.replace {
        replace(journal, &file, force).await?;
    } else {
        let Some(SecretFile { secret, .. }) = shop_secret::read(&file)? else {
            bail!(
                "{} does not exist: the gateway creates a secret at its first start. On a computer that replaces another, \
                 restore the shop's code first: gateway recovery-code --restore",
                file.display()
            );
        };
        match action.shop_key {
            true => println!("{}", secret.exported_record_key()),
            false => println!("{}", secret.code()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The public name of the secret that the journal was used with; `None` without a journal, or if it was used without
/// one.
async fn journals_secret(journal: &Path) -> anyhow::Result<Option<String>> {
    match Journal::exists_at(journal).await? {
        true => Ok(Journal::secret_at(journal).await?),
        false => Ok(None),
    }
}

async fn restore(journal: &Path, file: &Path, force: bool) -> anyhow::Result<()> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("gateway: enter the recovery code, 14 groups of 4 characters, and end with Ctrl-D:");
    }
    let mut code = String::new();
    input
        .take(MAX_CODE)
        .read_to_string(&mut code)
        .context("read the recovery code from standard input")?;
    let secret = ShopSecret::from_code(&code)?;
    let known = journals_secret(journal).await?;
    ensure!(
        force || known.is_none_or(|known| known == secret.id()),
        "this is not the recovery code of the secret that {} was used with; --force stores it nevertheless",
        journal.display()
    );
    // A file that cannot be read holds no secret to protect.
    let present = match shop_secret::read(file) {
        Err(_) if force => None,
        present => present?,
    };
    if present.is_some_and(|present| present.secret == secret) {
        println!("{} contains this code already", file.display());
        return Ok(());
    }
    let restored = SecretFile {
        secret,
        replaces: None,
    };
    shop_secret::write(file, &restored, force).context("--force overwrites another secret")?;
    println!("restored {}; restart the gateway", file.display());
    Ok(())
}

async fn replace(journal: &Path, file: &Path, force: bool) -> anyhow::Result<()> {
    let made = SecretFile {
        secret: shop_secret::generate(),
        replaces: journals_secret(journal).await?,
    };
    shop_secret::write(file, &made, force).context("--force overwrites a secret for good")?;
    eprintln!(
        "gateway: {} has a new secret; restart the gateway and write this recovery code down:",
        file.display()
    );
    println!("{}", made.secret.code());
    Ok(())
}
