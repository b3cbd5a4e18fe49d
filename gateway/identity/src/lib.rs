//! Users with roles, their sessions, wall screens and programs' tokens.
//!
//! [`Accounts`] is the gateway's handle. It stores everything in its own SQLite file, which the command line may change while the
//! gateway runs; see `docs/adr/0009-identity.md`. Head office keeps its accounts in PostgreSQL and follows the same rules:
//! [`PasswordCheck`], [`check_password`], [`check_token_name`], [`SESSION_IDLE`], [`SESSION_LIFE`] and [`MAX_SESSIONS`].

mod accounts;
mod audit;
mod credential;
mod error;
mod limits;
mod pairing;
mod password;
mod password_check;
mod password_rules;
mod queue;
mod rate;
mod role;
mod secret;
mod setup_code;
mod store;
mod user;

pub use accounts::{Accounts, Attempt, SignedIn};
pub use audit::{
    Act, Action, ActorKind, AuditEntry, AuditRow, ChainError, ChainHash, ChainReport, ChainedRow, EntryClass,
    Outbox,
};
pub use credential::{
    Credential, CredentialKind, MAX_SESSIONS, MAX_TOKENS, Principal, SESSION_IDLE, SESSION_LIFE,
    check_token_name, stored_agent,
};
pub use error::Error;
pub use pairing::{LIFE as PAIRING_LIFE, Pairing, PairingState};
pub use password_check::{PasswordCheck, TypedUser};
pub use password_rules::{MIN_PASSWORD, check as check_password};
pub use rate::{Network, network_of};
pub use role::{Role, UnknownRole};
pub use secret::{digest, new_id, new_secret};
pub use user::{User, UserName};
