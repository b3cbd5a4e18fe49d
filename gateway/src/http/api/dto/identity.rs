//! Sign-in, users, sessions, tokens and wall screens.

use comptoir_core::Secret;
use comptoir_identity::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What a user, screen or program may do. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Role"))]
#[schema(as = Role)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Sees the sales and the gateway's state, without customers' e-mail addresses and addresses.
    Viewer,
    /// Also creates orders, payments and deliveries.
    Cashier,
    /// Also sees personal data, dead letters and the audit log, retries dead letters and pairs wall screens.
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

/// What is signed in.
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

/// Whether sign-in is required, and who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Session {
    /// There is no administrator yet, and only the set-up is possible.
    pub setup_required: bool,
    /// The gateway needs no sign-in (`http.open`): everyone may read and change everything.
    pub open: bool,
    /// Null if nobody is signed in.
    pub user: Option<CurrentUser>,
    /// The request came unencrypted from the network, so sign-in is refused.
    pub plain: bool,
}

/// A user's name and password.
#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub name: String,
    #[schema(value_type = String, format = Password)]
    #[cfg_attr(test, ts(type = "string"))]
    pub password: Secret,
}

/// Creates the first administrator.
#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The set-up code, from the gateway's log, its console or its memory card.
    #[schema(value_type = String)]
    #[cfg_attr(test, ts(type = "string"))]
    pub code: Secret,
    /// The administrator's name: 1 to 64 characters, without colons and control characters.
    pub name: String,
    #[schema(value_type = String, format = Password, min_length = 8)]
    #[cfg_attr(test, ts(type = "string"))]
    pub password: Secret,
}

/// A change of the caller's own password.
#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The password until now.
    #[schema(value_type = String, format = Password)]
    #[cfg_attr(test, ts(type = "string"))]
    pub current: Secret,
    /// The new password. One that is easy to guess is refused.
    #[schema(value_type = String, format = Password, min_length = 8)]
    #[cfg_attr(test, ts(type = "string"))]
    pub password: Secret,
}

/// A user of the pages.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct User {
    pub name: String,
    pub role: RoleName,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sign_in_at: Option<Timestamp>,
    /// The number of the user's open sessions.
    pub sessions: u64,
}

/// A user to add.
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

/// A change of a user's role, password or both. A new password ends the user's sessions.
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
    /// The name of the user or of the screen.
    pub user: String,
    pub role: RoleName,
    pub kind: UserKind,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The time of the latest request, exact to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// The IP address of the latest request.
    pub address: Option<String>,
    /// The browser's `User-Agent`.
    pub agent: Option<String>,
    /// Whether this request belongs to this session.
    pub is_current: bool,
}

/// A program's token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Token {
    pub id: String,
    /// Which program the token is for.
    pub name: String,
    pub role: RoleName,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The time of the latest use, exact to the minute; before the first use, `created_at`.
    #[schema(value_type = String, format = DateTime)]
    pub last_used_at: Timestamp,
}

/// A token to create.
#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Which program the token is for, for example `prometheus`: 1 to 64 characters, without control characters.
    pub name: String,
    pub role: RoleName,
}

/// A new token, with its secret.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CreatedToken {
    pub id: String,
    pub name: String,
    pub role: RoleName,
    /// The secret, sent as `Authorization: Bearer …`. It is returned only once.
    pub token: String,
}

/// A wall screen that waits for a manager to enter its code.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Pairing {
    pub id: String,
    /// The code that the screen shows, for example `4F7-K2M`.
    pub code: String,
    /// The query parameter `secret` with which the screen asks for the state of its pairing.
    pub secret: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// The state of a pairing.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum PairingState {
    Waiting,
    /// A manager has entered the code. The response sets the session cookie.
    Approved,
    Expired,
}

/// How far a pairing is.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PairingStatus {
    pub state: PairingState,
}

/// A manager's approval of a wall screen.
#[derive(Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct PairingApproval {
    /// The code that the screen shows, for example `4F7-K2M`.
    pub code: String,
}

/// What made a change.
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

/// An entry of the audit log: a change, or a failed sign-in.
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
    /// What happened, for example `user-added`. Later versions may add actions.
    pub action: String,
    /// What was changed, for example a user's name or an order's id.
    pub subject: Option<String>,
    /// The changed fields and their values before the change, for example `{"role": "viewer"}`.
    #[cfg_attr(test, ts(type = "Record<string, unknown> | null"))]
    pub before: Option<Value>,
    /// The changed fields and their values after the change.
    #[cfg_attr(test, ts(type = "Record<string, unknown> | null"))]
    pub after: Option<Value>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Send it as `cursor` to get the next page. Null on the last page.
    pub next_cursor: Option<String>,
}
