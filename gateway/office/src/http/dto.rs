//! Sign-in, users, sessions, tokens and the audit log as JSON: as in the gateway's API, with the shops of each role.

use comptoir_core::Secret;
use comptoir_identity::{CredentialKind, Role};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::{Caller, Grant};
use crate::accounts;

/// The name of a role in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Role"))]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    Viewer,
    Cashier,
    Manager,
    Administrator,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Cashier => Self::Cashier,
            Role::Manager => Self::Manager,
            Role::Administrator => Self::Administrator,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Viewer => Self::Viewer,
            RoleName::Cashier => Self::Cashier,
            RoleName::Manager => Self::Manager,
            RoleName::Administrator => Self::Administrator,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    Person,
    /// A program with a token.
    Token,
}

impl From<CredentialKind> for UserKind {
    fn from(kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Session | CredentialKind::Screen => Self::Person,
            CredentialKind::Token => Self::Token,
        }
    }
}

/// Who is signed in.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CurrentUser {
    pub name: String,
    pub role: RoleName,
    pub kind: UserKind,
    /// `null`: all shops.
    pub shops: Option<Vec<String>>,
    /// The user has a password here, and not at an identity provider.
    pub has_password: bool,
}

impl CurrentUser {
    /// `None` while the office has no accounts.
    pub fn of(caller: &Caller) -> Option<Self> {
        let credential = caller.credential.as_ref()?;
        Some(Self {
            name: caller.name.to_string(),
            role: caller.role.into(),
            kind: credential.kind.into(),
            shops: caller.shops.for_sql(),
            has_password: credential.has_password,
        })
    }
}

/// What a page must know before it shows anything.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Session {
    /// There is no administrator yet.
    pub setup_required: bool,
    /// Nobody has to sign in, and everybody may do everything.
    pub open: bool,
    /// `null` if nobody is signed in.
    pub user: Option<CurrentUser>,
    /// The connection is not encrypted and comes from the network, so that sign-in is refused.
    pub plain: bool,
    /// The identity provider, if users can sign in with one.
    pub oidc: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub name: String,
    pub password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    pub current: Secret,
    pub password: Secret,
}

#[derive(Debug, Serialize)]
pub struct User {
    pub name: String,
    pub role: RoleName,
    /// `null`: all shops.
    pub shops: Option<Vec<String>>,
    pub created_at: Timestamp,
    pub last_sign_in_at: Option<Timestamp>,
    /// The number of its open sessions.
    pub sessions: i64,
}

impl From<accounts::User> for User {
    fn from(user: accounts::User) -> Self {
        Self {
            name: user.name,
            role: user.grant.role.into(),
            shops: user.grant.shops.for_sql(),
            created_at: user.created,
            last_sign_in_at: user.signed_in,
            sessions: user.sessions,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    pub name: String,
    pub role: RoleName,
    /// Absent or `null`: all shops.
    pub shops: Option<Vec<String>>,
    pub password: Secret,
}

/// What changes of a user. A role comes with its shops; a new password ends the user's sessions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    pub role: Option<RoleName>,
    pub shops: Option<Vec<String>>,
    pub password: Option<Secret>,
}

/// An open session.
#[derive(Debug, Serialize)]
pub struct OpenSession {
    pub id: String,
    pub user: String,
    pub role: RoleName,
    pub shops: Option<Vec<String>>,
    pub kind: UserKind,
    pub created_at: Timestamp,
    /// Exact to a minute.
    pub last_seen_at: Timestamp,
    pub address: Option<String>,
    /// The browser's `User-Agent`.
    pub agent: Option<String>,
    /// The session of this request.
    pub is_current: bool,
}

#[derive(Debug, Serialize)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub role: RoleName,
    pub shops: Option<Vec<String>>,
    pub created_at: Timestamp,
    /// Exact to a minute.
    pub last_used_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    pub name: String,
    pub role: RoleName,
    pub shops: Option<Vec<String>>,
}

/// A new token.
#[derive(Serialize)]
pub struct CreatedToken {
    pub id: String,
    pub name: String,
    pub role: RoleName,
    pub shops: Option<Vec<String>>,
    /// Send it as `Authorization: Bearer …`. It is shown this once.
    pub token: String,
}

/// Somebody signed in, failed to, or changed accounts.
#[derive(Debug, Serialize)]
pub struct AuditEntry {
    pub id: String,
    pub time: Timestamp,
    /// The name of the user or token; empty if nobody was signed in.
    pub actor: String,
    pub actor_kind: &'static str,
    pub address: Option<String>,
    /// As in `user-added`. Later versions may have more.
    pub action: String,
    /// What was changed: a user's name, a token's.
    pub subject: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl From<accounts::AuditEntry> for AuditEntry {
    fn from(entry: accounts::AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            time: entry.at,
            actor: entry.actor,
            actor_kind: entry.actor_kind.name(),
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            before: entry.before,
            after: entry.after,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// `cursor` of the next page; `null` on the last one.
    pub next_cursor: Option<String>,
}

/// A role and shops from JSON.
///
/// # Errors
/// See [`Grant::new`].
pub fn grant(role: RoleName, shops: Option<Vec<String>>) -> Result<Grant, accounts::AccountsError> {
    Ok(Grant::new(role.into(), shops)?)
}
