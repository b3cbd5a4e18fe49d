//! Who may use the gateway: users with roles, their sessions, wall screens and programs' tokens.
//!
//! [`Accounts`] is the handle. It stores everything in its own SQLite file, which the command line may change while the
//! gateway runs; see `docs/adr/0009-identity.md`.

mod accounts;
mod audit;
mod credential;
mod error;
mod pairing;
mod password;
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
pub use credential::{Credential, CredentialKind, Principal};
pub use error::Error;
pub use pairing::{LIFE as PAIRING_LIFE, Pairing, PairingState};
pub use password_rules::MIN_PASSWORD;
pub use role::{Role, UnknownRole};
pub use user::{User, UserName};
