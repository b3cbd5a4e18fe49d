//! Sign-in, users, sessions, tokens and wall screens.

use comptoir_core::Secret;
use comptoir_identity::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What somebody may do. Each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Role"))]
#[schema(as = Role)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Reads, without the customers' e-mail and other addresses.
    Viewer,
    /// Also creates orders, payments and deliveries.
    Cashier,
    /// Also sees personal data, retries dead letters and pairs wall screens.
    Manager,
    /// Also manages users, sessions and tokens.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    Person,
    /// A paired wall screen.
    Screen,
    /// A program with a token.
    Token,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CurrentUser {
    pub name: String,
    pub role: RoleName,
    pub kind: UserKind,
}

/// What a page must know before it shows anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Session {
    /// There is no administrator yet: only `/setup` answers.
    pub setup_required: bool,
    /// Nobody has to sign in, and everybody may do everything.
    pub open: bool,
    /// `null` if nobody is signed in.
    pub user: Option<CurrentUser>,
    /// The connection is not encrypted and comes from the network, so that sign-in is refused.
    pub plain: bool,
}

#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub name: String,
    #[schema(value_type = String, format = Password)]
    #[cfg_attr(test, ts(type = "string"))]
    pub password: Secret,
}

#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The set-up code of the gateway's log, console or card.
    #[schema(value_type = String)]
    #[cfg_attr(test, ts(type = "string"))]
    pub code: Secret,
    /// The name of the first administrator.
    pub name: String,
    #[schema(value_type = String, format = Password, min_length = 8)]
    #[cfg_attr(test, ts(type = "string"))]
    pub password: Secret,
}

#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    #[schema(value_type = String, format = Password)]
    #[cfg_attr(test, ts(type = "string"))]
    pub current: Secret,
    #[schema(value_type = String, format = Password, min_length = 8)]
    #[cfg_attr(test, ts(type = "string"))]
    pub password: Secret,
}

#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct User {
    pub name: String,
    pub role: RoleName,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sign_in_at: Option<Timestamp>,
    /// The number of its open sessions.
    pub sessions: u64,
}

#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// 1 to 64 characters, without colons and control characters.
    pub name: String,
    pub role: RoleName,
    #[schema(value_type = String, format = Password, min_length = 8)]
    #[cfg_attr(test, ts(type = "string"))]
    pub password: Secret,
}

/// What changes of a user. A new password ends the user's sessions.
#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    #[cfg_attr(test, ts(optional))]
    pub role: Option<RoleName>,
    #[schema(value_type = Option<String>, format = Password, min_length = 8)]
    #[cfg_attr(test, ts(optional, type = "string"))]
    pub password: Option<Secret>,
}

/// An open session, or a paired wall screen.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OpenSession {
    pub id: String,
    /// The user's name, or the screen's.
    pub user: String,
    pub role: RoleName,
    pub kind: UserKind,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Exact to a minute.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// Where it was last used.
    pub address: Option<String>,
    /// The browser's `User-Agent`.
    pub agent: Option<String>,
    /// The session of this request.
    pub is_current: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Token {
    pub id: String,
    pub name: String,
    pub role: RoleName,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Exact to a minute.
    #[schema(value_type = String, format = DateTime)]
    pub last_used_at: Timestamp,
}

#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// 1 to 64 characters, without control characters.
    pub name: String,
    pub role: RoleName,
}

/// A new token.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CreatedToken {
    pub id: String,
    pub name: String,
    pub role: RoleName,
    /// Send it as `Authorization: Bearer …`. It is shown this once.
    pub token: String,
}

/// A wall screen that waits for somebody to type its code.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Pairing {
    pub id: String,
    /// What the screen shows, as in `4F7-K2M`.
    pub code: String,
    /// What the screen asks with.
    pub secret: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum PairingState {
    Waiting,
    /// The answer signs the screen in.
    Approved,
    Expired,
}

#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PairingStatus {
    pub state: PairingState,
}

#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct PairingApproval {
    /// What the screen shows.
    pub code: String,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    Person,
    Screen,
    Token,
    /// The command line on the gateway's machine.
    System,
    /// Nobody was signed in.
    Anonymous,
}

/// Somebody changed something, or failed to sign in.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AuditEntry {
    pub id: String,
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The name of the user, screen or token; empty if nobody was signed in.
    pub actor: String,
    pub actor_kind: ActorKind,
    pub address: Option<String>,
    /// As in `user-added`. Later versions may have more.
    pub action: String,
    /// What was changed: a user's name, an order's id.
    pub subject: Option<String>,
    /// An object with what was changed.
    #[cfg_attr(test, ts(type = "Record<string, unknown> | null"))]
    pub before: Option<Value>,
    #[cfg_attr(test, ts(type = "Record<string, unknown> | null"))]
    pub after: Option<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// `cursor` of the next page; `null` on the last one.
    pub next_cursor: Option<String>,
}
