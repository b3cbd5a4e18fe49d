//! Sign-in with a password.

use std::net::IpAddr;

use comptoir_core::Secret;
use comptoir_identity::{Act, Action, ActorKind, Error, TypedUser, UserName, network_of};
use serde_json::json;
use sqlx::Row as _;
use tracing::{error, warn};

use super::users::{grant, key};
use super::{Accounts, AccountsError, NewSession, SignedIn, Source};
use crate::access::Grant;
use crate::database::within;

/// Longest name of a failed sign-in that is recorded, in characters.
const MAX_RECORDED_NAME: usize = 64;

/// A user's password hash.
struct StoredPassword {
    name: UserName,
    grant: Grant,
    /// Argon2id in PHC string format.
    hash: String,
    /// The addresses of the user's sessions.
    addresses: Vec<String>,
}

impl StoredPassword {
    /// Whether the user has a session at this address; if so, guesses from elsewhere do not lock the user out.
    fn is_signed_in_at(&self, address: Option<IpAddr>) -> bool {
        let network = address.map(network_of);
        let mut known = self.addresses.iter().filter_map(|address| address.parse().ok());
        known.any(|known| Some(network_of(known)) == network)
    }
}

impl Accounts {
    /// Signs a user in.
    ///
    /// # Errors
    /// Name or password is wrong, there were too many attempts, or PostgreSQL does not reply.
    pub async fn sign_in(
        &self,
        from: &Source,
        name: &str,
        password: &Secret,
    ) -> Result<SignedIn, AccountsError> {
        let (name, grant) = self.verify(from, name, password).await?;
        let act = act_of(ActorKind::Person, name.as_str(), from, Action::SignedIn);
        let new = NewSession::Account { name: &name, grant };
        self.begin_session(from, new, &act).await
    }

    /// Checks a password, within the limits.
    ///
    /// # Errors
    /// See [`Accounts::sign_in`].
    pub async fn verify(
        &self,
        from: &Source,
        name: &str,
        password: &Secret,
    ) -> Result<(UserName, Grant), AccountsError> {
        let verified = self.verify_within_limits(from, name, password).await;
        match &verified {
            Err(AccountsError::Identity(failure @ Error::WrongPassword)) => {
                self.note_failure("wrong", from, name, failure).await;
            }
            Err(AccountsError::Identity(failure @ Error::TooManyAttempts { .. })) => {
                self.note_failure("throttled", from, name, failure).await;
            }
            _ => {}
        }
        verified
    }

    async fn verify_within_limits(
        &self,
        from: &Source,
        name: &str,
        password: &Secret,
    ) -> Result<(UserName, Grant), AccountsError> {
        // A flood of guesses costs no query.
        self.0.passwords.check_address(from.address)?;
        let stored = self.stored(name).await?;
        let user = stored.as_ref().map(|stored| TypedUser {
            name: &stored.name,
            hash: &stored.hash,
            is_signed_in_here: stored.is_signed_in_at(from.address),
        });
        self.0.passwords.check(from.address, name, user, password).await?;
        // Without a user, the check never succeeds.
        let stored = stored.ok_or(Error::WrongPassword)?;
        Ok((stored.name, stored.grant))
    }

    /// `None` if there is no such user.
    async fn stored(&self, name: &str) -> Result<Option<StoredPassword>, AccountsError> {
        // PostgreSQL stores no NUL; a name has no control characters.
        let Ok(name) = UserName::new(name) else {
            return Ok(None);
        };
        // One query, whether there is such a user or not: the time of the answer must not tell.
        let query = sqlx::query(
            "SELECT name, role, shops, password, \
             ARRAY(SELECT address FROM credential WHERE account = $1 AND address IS NOT NULL) AS addresses \
             FROM account WHERE key = $1",
        );
        let query = query.bind(key(&name));
        let Some(row) = within(query.fetch_optional(&self.0.pool)).await? else {
            return Ok(None);
        };
        Ok(Some(StoredPassword {
            name: UserName::new(row.try_get("name")?)?,
            grant: grant(&row)?,
            hash: row.try_get("password")?,
            addresses: row.try_get("addresses")?,
        }))
    }

    /// Counts a failed sign-in, and logs and records it, unless there were many.
    pub async fn note_failure(
        &self,
        result: &'static str,
        from: &Source,
        name: &str,
        failure: &(dyn std::error::Error + Sync),
    ) {
        self.0.metrics.signed_in(result);
        if self.0.recorded.check().is_err() {
            return;
        }
        warn!(address = ?from.address, error = %failure, "a sign-in failed");
        let name: String = name
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_RECORDED_NAME)
            .collect();
        let act = act_of(ActorKind::Anonymous, "", from, Action::SignInFailed)
            .on(name)
            .from_to(None, Some(json!({"result": result})));
        if let Err(error) = self.record(&act).await {
            error!(%error, "a failed sign-in was not recorded");
        }
    }
}

/// An act of somebody who is not signed in yet.
pub(super) fn act_of(kind: ActorKind, actor: &str, from: &Source, action: Action) -> Act {
    Act {
        actor: actor.to_owned(),
        actor_kind: kind,
        ..Act::of(None, from.address, action)
    }
}
