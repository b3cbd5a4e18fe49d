//! The audit log: who changed what, from where, and each failed sign-in. Entries are only added, never changed.

pub(crate) mod chain;
mod log;
#[cfg(test)]
mod tests;

pub use chain::{AuditRow, ChainError, ChainHash, ChainReport, ChainedRow};

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::{CredentialKind, Principal};

/// The kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    Person,
    Screen,
    Token,
    /// The command line on the gateway's machine.
    System,
    /// Nobody was signed in.
    Anonymous,
}

impl ActorKind {
    const ALL: [Self; 5] = [
        Self::Person,
        Self::Screen,
        Self::Token,
        Self::System,
        Self::Anonymous,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Screen => "screen",
            Self::Token => "token",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl From<CredentialKind> for ActorKind {
    fn from(kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Session => Self::Person,
            CredentialKind::Screen => Self::Screen,
            CredentialKind::Token => Self::Token,
        }
    }
}

/// The recorded action. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The first entry of the hash chain.
    ChainStarted,
    SignInFailed,
    SignedIn,
    SignedOut,
    SetUp,
    UserAdded,
    UserChanged,
    UserRemoved,
    SessionEnded,
    TokenAdded,
    TokenRemoved,
    ScreenPaired,
    OrderPosted,
    PaymentPosted,
    DeliveryPosted,
    DeadLetterRetried,
    DeviceForgotten,
    CustomerErased,
    DayClosed,
}

impl Action {
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainStarted => "chain-started",
            Self::SignInFailed => "sign-in-failed",
            Self::SignedIn => "signed-in",
            Self::SignedOut => "signed-out",
            Self::SetUp => "set-up",
            Self::UserAdded => "user-added",
            Self::UserChanged => "user-changed",
            Self::UserRemoved => "user-removed",
            Self::SessionEnded => "session-ended",
            Self::TokenAdded => "token-added",
            Self::TokenRemoved => "token-removed",
            Self::ScreenPaired => "screen-paired",
            Self::OrderPosted => "order-posted",
            Self::PaymentPosted => "payment-posted",
            Self::DeliveryPosted => "delivery-posted",
            Self::DeadLetterRetried => "dead-letter-retried",
            Self::DeviceForgotten => "device-forgotten",
            Self::CustomerErased => "customer-erased",
            Self::DayClosed => "day-closed",
        }
    }
}

/// A new entry.
#[derive(Debug, Clone)]
pub struct Act {
    pub action: Action,
    pub actor: String,
    pub actor_kind: ActorKind,
    pub address: Option<IpAddr>,
    pub subject: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl Act {
    /// An act of a signed-in caller; anonymous without `principal`.
    pub fn of(principal: Option<&Principal>, address: Option<IpAddr>, action: Action) -> Self {
        Self {
            action,
            actor: principal
                .map(|principal| principal.name.clone())
                .unwrap_or_default(),
            actor_kind: principal.map_or(ActorKind::Anonymous, |principal| principal.kind.into()),
            address,
            subject: None,
            before: None,
            after: None,
        }
    }

    /// An act of the command line on the gateway's machine.
    pub fn of_command_line(action: Action) -> Self {
        Self {
            actor_kind: ActorKind::System,
            ..Self::of(None, None, action)
        }
    }

    #[must_use]
    pub fn on(self, subject: impl Into<String>) -> Self {
        Self {
            subject: Some(subject.into()),
            ..self
        }
    }

    #[must_use]
    pub fn from_to(self, before: Option<Value>, after: Option<Value>) -> Self {
        Self {
            before,
            after,
            ..self
        }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: u64,
    pub at: Timestamp,
    pub actor: String,
    pub actor_kind: ActorKind,
    pub address: Option<IpAddr>,
    pub action: String,
    pub subject: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Classes of entries that the gateway copies into the journal, each with its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryClass {
    Act,
    /// Anyone on the network can cause one.
    FailedSignIn,
}

impl EntryClass {
    /// The column of the table `audit_outbox` that holds this class's progress.
    const fn column(self) -> &'static str {
        match self {
            Self::Act => "acts",
            Self::FailedSignIn => "failed_sign_ins",
        }
    }
}

/// The audit entries that the journal does not have yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// Names an entry in the journal, together with the entry's id. Each accounts file has a different one.
    pub epoch: u32,
    /// Oldest first.
    pub entries: Vec<(EntryClass, ChainedRow)>,
}
