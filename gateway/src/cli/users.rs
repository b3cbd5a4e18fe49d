//! `gateway users` and `gateway tokens`: manage accounts, whether or not a gateway is running.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use comptoir_core::Secret;
use comptoir_identity::{Accounts, Act, Action, CredentialKind, Role, UserName};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::arguments::ConfigArguments;
use crate::app::accounts_path;
use crate::config::Config;

/// Most bytes of password input that are read. Only the first line counts.
const MAX_INPUT: u64 = 64 << 10;

#[derive(Subcommand)]
pub enum UserAction {
    /// List the users
    List,
    /// Add a user
    Add {
        /// The user's name: 1 to 64 characters, without colons and control characters
        name: UserName,
        /// The user's role: viewer, cashier, manager or administrator
        #[arg(long)]
        role: Role,
        /// Read the password from standard input: its first line, at least 8 characters and not easy to guess
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Set a user's password and end the user's sessions
    SetPassword {
        /// The user's name
        name: UserName,
        /// Read the password from standard input: its first line, at least 8 characters and not easy to guess
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Change a user's role
    SetRole {
        /// The user's name
        name: UserName,
        /// The new role: viewer, cashier, manager or administrator
        role: Role,
    },
    /// Remove a user and end the user's sessions
    Remove {
        /// The user's name
        name: UserName,
    },
}

#[derive(Subcommand)]
pub enum TokenAction {
    /// List the tokens of programs
    List,
    /// Create a token and print it; it cannot be shown again
    Add {
        /// The program that will use it, for example prometheus
        name: String,
        /// The program's role: viewer, cashier, manager or administrator
        #[arg(long)]
        role: Role,
    },
    /// Remove a token
    Remove {
        /// The token's id in the list
        id: String,
    },
}

/// # Errors
/// The accounts cannot be read or written, or the request is invalid (for example, the user does not exist).
pub async fn run(arguments: &ConfigArguments, action: Option<UserAction>) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let accounts = accounts(&config)?;
    match action.unwrap_or(UserAction::List) {
        UserAction::List => list(&accounts).await?,
        UserAction::Add { name, role, .. } => {
            accounts.add_user(&name, role, &read_password()?).await?;
            let after = json!({"role": role.name()});
            let act = Act::of_command_line(Action::UserAdded).on(name.as_str());
            accounts.audit(act.from_to(None, Some(after))).await?;
            println!("{name} can sign in as {role}");
            if !config.journal.path.exists() {
                eprintln!(
                    "gateway: there is no journal {} yet; a gateway with another configuration does not know {name}: name the \
                     gateway's configuration with --config FILE",
                    config.journal.path.display()
                );
            }
        }
        UserAction::SetPassword { name, .. } => {
            accounts.set_password(&name, &read_password()?, None).await?;
            let change = json!({"password": "changed"});
            let act = Act::of_command_line(Action::UserChanged).on(name.as_str());
            accounts.audit(act.from_to(None, Some(change))).await?;
            println!("{name} has a new password, and must sign in again");
        }
        UserAction::SetRole { name, role } => {
            let before = json!({"role": accounts.user(&name).await?.role.name()});
            accounts.set_role(&name, role).await?;
            let after = json!({"role": role.name()});
            let act = Act::of_command_line(Action::UserChanged).on(name.as_str());
            accounts.audit(act.from_to(Some(before), Some(after))).await?;
            println!("{name} is {role}");
        }
        UserAction::Remove { name } => {
            accounts.remove_user(&name).await?;
            let act = Act::of_command_line(Action::UserRemoved).on(name.as_str());
            accounts.audit(act).await?;
            println!("{name} is removed");
        }
    }
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// See [`run`].
pub async fn run_tokens(
    arguments: &ConfigArguments,
    action: Option<TokenAction>,
) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let accounts = accounts(&config)?;
    match action.unwrap_or(TokenAction::List) {
        TokenAction::List => list_tokens(&accounts).await?,
        TokenAction::Add { name, role } => {
            let (_, token) = accounts.add_token(&name, role, None).await?;
            let role = json!({"role": role.name()});
            let act = Act::of_command_line(Action::TokenAdded).on(name);
            accounts.audit(act.from_to(None, Some(role))).await?;
            println!("{}", token.reveal());
        }
        TokenAction::Remove { id } => {
            let credentials = accounts.credentials().await?;
            let token = credentials
                .into_iter()
                .find(|token| token.kind == CredentialKind::Token && token.id == id)
                .with_context(|| format!("there is no token {id}; `gateway tokens list` shows the ids"))?;
            accounts.end(&id).await?;
            let act = Act::of_command_line(Action::TokenRemoved).on(token.name);
            accounts.audit(act).await?;
            println!("the token is removed");
        }
    }
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn accounts(config: &Config) -> anyhow::Result<Accounts> {
    let path = accounts_path(config);
    if config.http.open {
        eprintln!("gateway: http.open is true, so nobody has to sign in, and the accounts are not used");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!(
            "there is no folder {} yet; start the gateway once, or create the folder",
            folder.display()
        );
    }
    Ok(Accounts::new(&path, &config.store))
}

async fn list(accounts: &Accounts) -> anyhow::Result<()> {
    let users = accounts.users().await?;
    if users.is_empty() {
        println!("no users; add one: gateway users add NAME --role administrator --password-stdin");
    }
    for user in users {
        let last = user.signed_in_at.map_or("never".to_owned(), local);
        println!(
            "{:<24} {:<14} last sign-in {last}, {} open sessions",
            user.name, user.role, user.sessions
        );
    }
    Ok(())
}

async fn list_tokens(accounts: &Accounts) -> anyhow::Result<()> {
    let credentials = accounts.credentials().await?;
    let mut tokens = credentials
        .iter()
        .filter(|token| token.kind == CredentialKind::Token)
        .peekable();
    if tokens.peek().is_none() {
        println!("no tokens; create one: gateway tokens add NAME --role viewer");
    }
    for token in tokens {
        println!(
            "{:<14} {:<14} last used {}  {}",
            token.id,
            token.role,
            local(token.used_at),
            token.name
        );
    }
    Ok(())
}

/// The first line of standard input.
fn read_password() -> anyhow::Result<Secret> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let typed = rpassword::prompt_password("Password: ").context("read the password")?;
        return Ok(Secret::new(typed));
    }
    let mut text = String::new();
    stdin
        .lock()
        .take(MAX_INPUT)
        .read_to_string(&mut text)
        .context("read the password from standard input")?;
    Ok(first_line(&text))
}

fn first_line(text: &str) -> Secret {
    Secret::new(text.lines().next().unwrap_or_default())
}

/// Local time, to the minute.
fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}
