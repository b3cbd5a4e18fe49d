//! `office users` and `office tokens`: manage accounts, whether or not a replica is running.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use comptoir_core::Secret;
use comptoir_identity::{Act, Action, CredentialKind, Role, UserName};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{ConfigArguments, load_pools, prepare};
use crate::access::{Grant, VisibleShops};
use crate::accounts::{Accounts, UserChange};
use crate::metrics::Metrics;

/// Most bytes of password input that are read. Only the first line counts.
const MAX_INPUT: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
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
        /// The shops that the user sees, separated by commas [default: all shops]
        #[arg(long, value_delimiter = ',')]
        shops: Option<Vec<String>>,
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
    /// Change a user's role and shops
    SetRole {
        /// The user's name
        name: UserName,
        /// The new role: viewer, cashier, manager or administrator
        role: Role,
        /// The shops that the user sees, separated by commas [default: all shops]
        #[arg(long, value_delimiter = ',')]
        shops: Option<Vec<String>>,
    },
    /// Remove a user and end the user's sessions
    Remove {
        /// The user's name
        name: UserName,
    },
}

#[derive(Debug, Subcommand)]
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
        /// The shops that the program sees, separated by commas [default: all shops]
        #[arg(long, value_delimiter = ',')]
        shops: Option<Vec<String>>,
    },
    /// Remove a token
    Remove {
        /// The token's id in the list
        id: String,
    },
}

/// Opens the accounts. Creates the tables, so that an administrator can be added before the first replica starts.
async fn accounts(arguments: &ConfigArguments) -> Result<Accounts> {
    let (config, pools) = load_pools(arguments)?;
    prepare(&pools.own, config.retention.events)
        .await
        .context("postgres.url")?;
    Ok(Accounts::new(pools.own, Arc::new(Metrics::new()?)))
}

/// # Errors
/// The accounts cannot be read or written, or the request is invalid (for example, the user does not exist).
pub async fn run(arguments: &ConfigArguments, action: Option<UserAction>) -> Result<ExitCode> {
    let accounts = accounts(arguments).await?;
    match action.unwrap_or(UserAction::List) {
        UserAction::List => list(&accounts).await?,
        UserAction::Add {
            name, role, shops, ..
        } => {
            let grant = Grant::new(role, shops)?;
            let act = Act::of_command_line(Action::UserAdded);
            accounts.add_user(&name, &grant, &read_password()?, act).await?;
            println!("{name} can sign in as {role}");
        }
        UserAction::SetPassword { name, .. } => {
            let change = UserChange {
                password: Some(read_password()?),
                ..UserChange::default()
            };
            let act = Act::of_command_line(Action::UserChanged);
            accounts.change_user(&name, change, None, act).await?;
            println!("{name} has a new password, and must sign in again");
        }
        UserAction::SetRole { name, role, shops } => {
            let change = UserChange {
                grant: Some(Grant::new(role, shops)?),
                ..UserChange::default()
            };
            let act = Act::of_command_line(Action::UserChanged);
            accounts.change_user(&name, change, None, act).await?;
            println!("{name} is {role}");
        }
        UserAction::Remove { name } => {
            let act = Act::of_command_line(Action::UserRemoved);
            accounts.remove_user(&name, act).await?;
            println!("{name} is removed");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// See [`run`].
pub async fn run_tokens(arguments: &ConfigArguments, action: Option<TokenAction>) -> Result<ExitCode> {
    let accounts = accounts(arguments).await?;
    match action.unwrap_or(TokenAction::List) {
        TokenAction::List => list_tokens(&accounts).await?,
        TokenAction::Add { name, role, shops } => {
            let grant = Grant::new(role, shops)?;
            let act = Act::of_command_line(Action::TokenAdded);
            let (_, token) = accounts.add_token(&name, &grant, act).await?;
            println!("{}", token.reveal());
        }
        TokenAction::Remove { id } => {
            let token = accounts
                .credentials()
                .await?
                .into_iter()
                .find(|token| token.kind == CredentialKind::Token && token.id == id)
                .with_context(|| format!("there is no token {id}; `office tokens list` shows the ids"))?;
            let act = Act::of_command_line(Action::TokenRemoved).on(token.name);
            accounts.end(&id, act).await?;
            println!("the token is removed");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(accounts: &Accounts) -> Result<()> {
    let users = accounts.users().await?;
    if users.is_empty() {
        println!("no users; add one: office users add NAME --role administrator --password-stdin");
    }
    for user in users {
        println!(
            "{:<24} {:<14} {:<24} last sign-in {}, {} open sessions",
            user.name,
            user.grant.role,
            shops(&user.grant.shops),
            user.signed_in.map_or("never".to_owned(), local),
            user.sessions
        );
    }
    Ok(())
}

async fn list_tokens(accounts: &Accounts) -> Result<()> {
    let mut tokens = accounts.credentials().await?;
    tokens.retain(|token| token.kind == CredentialKind::Token);
    if tokens.is_empty() {
        println!("no tokens; create one: office tokens add NAME --role viewer");
    }
    for token in tokens {
        println!(
            "{:<14} {:<14} {:<24} last used {}  {}",
            token.id,
            token.grant.role,
            shops(&token.grant.shops),
            local(token.used),
            token.name
        );
    }
    Ok(())
}

fn shops(shops: &VisibleShops) -> String {
    shops
        .for_sql()
        .map_or("all shops".to_owned(), |names| names.join(","))
}

/// The first line of standard input.
fn read_password() -> Result<Secret> {
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
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// Local time, to the minute.
fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}
