//! Sessions, wall screens and tokens.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::{Error, Role};

/// A session ends after this time without a request.
pub const SESSION_IDLE: SignedDuration = SignedDuration::from_hours(12);
/// A session ends after this time in any case.
pub const SESSION_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Allows a wall screen to be switched off during long holidays.
const SCREEN_IDLE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Most sessions of one user. A further one ends the session that has been idle longest.
pub const MAX_SESSIONS: i64 = 20;
pub const MAX_TOKENS: i64 = 500;
/// Longest User-Agent that is stored, in characters.
const MAX_AGENT: usize = 200;
/// Longest name of a token, in characters.
const MAX_TOKEN_NAME: usize = 64;

/// Checks the name of a token, and returns it without surrounding spaces.
///
/// # Errors
/// The name is empty or too long, or contains control characters.
pub fn check_token_name(text: &str) -> Result<&str, Error> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > MAX_TOKEN_NAME || name.contains(char::is_control) {
        return Err(Error::InvalidName(
            "a token's name has 1 to 64 characters, without control characters",
        ));
    }
    Ok(name)
}

/// The part of a `User-Agent` that is stored with a session.
pub fn stored_agent(agent: &str) -> String {
    let printable = agent.chars().filter(|c| !c.is_control());
    printable.take(MAX_AGENT).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A person's browser.
    Session,
    /// A wall screen, which only displays.
    Screen,
    /// A program.
    Token,
}

impl CredentialKind {
    const ALL: [Self; 3] = [Self::Session, Self::Screen, Self::Token];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Screen => "screen",
            Self::Token => "token",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// When a credential of this kind expires.
    pub(crate) fn end(self, created_at: Timestamp, used_at: Timestamp) -> Option<Timestamp> {
        let after = |time: Timestamp, life| time.saturating_add(life).unwrap_or(Timestamp::MAX);
        match self {
            Self::Session => Some(after(used_at, SESSION_IDLE).min(after(created_at, SESSION_LIFE))),
            Self::Screen => Some(after(used_at, SCREEN_IDLE)),
            Self::Token => None,
        }
    }
}

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The credential's id; `None` with HTTP Basic, which has no credential.
    pub id: Option<String>,
    /// With HTTP Basic: the name under which [`Accounts::roles`](crate::Accounts::roles) lists the user until the
    /// password changes.
    pub password_id: Option<String>,
    pub kind: CredentialKind,
    /// The name of the user, screen or token.
    pub name: String,
    pub role: Role,
}

impl Principal {
    /// Whether this is a user with a password.
    pub fn is_person(&self) -> bool {
        self.kind == CredentialKind::Session
    }
}

/// A credential as listed, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub id: String,
    pub kind: CredentialKind,
    /// The name of the user, screen or token.
    pub name: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub used_at: Timestamp,
    /// Only for credentials with a limited lifetime.
    pub expires_at: Option<Timestamp>,
    /// The address of the last use.
    pub address: Option<IpAddr>,
    pub agent: Option<String>,
}

impl Credential {
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        let end = self.kind.end(self.created_at, self.used_at);
        end.is_none_or(|end| now < end) && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_token_fits_on_one_line() {
        assert_eq!(
            check_token_name(" till roll report ").unwrap(),
            "till roll report"
        );
        for name in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert!(check_token_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_credential_ends_when_it_is_idle_too_long_or_too_old() {
        const DAY: i64 = 24;
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ago = |hours| now - SignedDuration::from_hours(hours);
        for (kind, created, used, expected) in [
            (CredentialKind::Session, 20, 11, true),
            (CredentialKind::Session, 20, 12, false),
            (CredentialKind::Session, 30 * DAY - 1, 0, true),
            (CredentialKind::Session, 30 * DAY, 0, false),
            (CredentialKind::Screen, 400 * DAY, 90 * DAY - 1, true),
            (CredentialKind::Screen, 400 * DAY, 90 * DAY, false),
            (CredentialKind::Token, 4_000 * DAY, 4_000 * DAY, true),
        ] {
            let credential = Credential {
                id: String::new(),
                kind,
                name: String::new(),
                role: Role::Viewer,
                created_at: ago(created),
                used_at: ago(used),
                expires_at: None,
                address: None,
                agent: None,
            };
            assert_eq!(credential.is_valid(now), expected, "{kind:?} {created} {used}");
            let limited = Credential {
                expires_at: Some(now),
                ..credential
            };
            assert!(!limited.is_valid(now));
        }
    }
}
