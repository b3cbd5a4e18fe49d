//! Users with roles and shops, their sessions, and programs' tokens: in PostgreSQL, so that any replica can answer.
//!
//! [`Accounts`] is the handle. Each change and its audit entry are one transaction. `docs/adr/0018-office-accounts.md` has the
//! reasons.

mod audit;
mod credentials;
mod error;
mod sign_in;
mod users;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comptoir_identity::PasswordCheck;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sqlx::PgPool;

pub use audit::{AuditEntry, MAX_ENTRIES};
pub use credentials::{Credential, NewSession, SignedIn};
pub use error::AccountsError;
pub use users::{User, UserChange};

use crate::database::within;
use crate::metrics::Metrics;

/// How many failed sign-ins each replica records at once, and the time until it records another. The others are counted
/// only, because anybody on the network can cause one, and entries are never removed.
const RECORDED_BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
const RECORDED_PERIOD: Duration = Duration::from_secs(20);

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// `None` for the command line.
    pub address: Option<IpAddr>,
    /// The `User-Agent`.
    pub agent: Option<String>,
}

/// The users and credentials. Cheap to clone.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    pool: PgPool,
    passwords: PasswordCheck,
    metrics: Arc<Metrics>,
    recorded: DefaultDirectRateLimiter,
    /// Whether an administrator was found. From then on there is always one.
    has_administrator: AtomicBool,
}

/// How far the accounts are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetUp {
    /// There is no user and no token.
    Nobody,
    NoAdministrator,
    Done,
}

impl Accounts {
    pub fn new(pool: PgPool, metrics: Arc<Metrics>) -> Self {
        // `with_period` fails only for a period of zero.
        let quota = Quota::with_period(RECORDED_PERIOD).unwrap_or(Quota::per_minute(RECORDED_BURST));
        Self(Arc::new(Inner {
            pool,
            passwords: PasswordCheck::new(),
            metrics,
            recorded: RateLimiter::direct(quota.allow_burst(RECORDED_BURST)),
            has_administrator: AtomicBool::new(false),
        }))
    }

    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn set_up(&self) -> Result<SetUp, AccountsError> {
        if self.0.has_administrator.load(Ordering::Relaxed) {
            return Ok(SetUp::Done);
        }
        let query = sqlx::query_as(
            "SELECT EXISTS (SELECT FROM account WHERE role = 'administrator'), \
             EXISTS (SELECT FROM account) OR EXISTS (SELECT FROM credential)",
        );
        let (has_administrator, has_any): (bool, bool) = within(query.fetch_one(&self.0.pool)).await?;
        Ok(match (has_administrator, has_any) {
            (true, _) => {
                self.0.has_administrator.store(true, Ordering::Relaxed);
                SetUp::Done
            }
            (false, true) => SetUp::NoAdministrator,
            (false, false) => SetUp::Nobody,
        })
    }
}
