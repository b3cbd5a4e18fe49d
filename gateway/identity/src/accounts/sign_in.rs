//! Sign-in with a password.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Instant;

use comptoir_core::Secret;
use jiff::Timestamp;

use super::{Accounts, Attempt, BASIC_LIFE, BasicCache, MAX_BASIC, SignedIn};
use crate::credential::stored_agent;
use crate::password_check::TypedUser;
use crate::rate::network_of;
use crate::secret::{digest, new_id, new_secret};
use crate::store::{NewCredential, Owner, StoredPassword};
use crate::{CredentialKind, Error, Principal, Role, UserName};

/// Identifies a user together with the present password. The stored hash is salted, so this reveals nothing about the
/// password.
pub(super) fn password_id(stored: &StoredPassword) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(stored.name.as_str().as_bytes())
        .update(&[0])
        .update(stored.hash.as_bytes());
    hasher.finalize().to_hex().to_string()
}

impl Accounts {
    /// Signs a user in.
    ///
    /// # Errors
    /// Name or password is wrong, or there were too many attempts.
    pub async fn sign_in(&self, from: Attempt<'_>, name: &str, password: &Secret) -> Result<SignedIn, Error> {
        let (name, role) = self.verify(from, name, password).await?;
        self.store().await?.signed_in(&name).await?;
        self.begin_session(from, name, role).await
    }

    /// Verifies HTTP Basic credentials, without starting a session.
    ///
    /// # Errors
    /// See [`Accounts::sign_in`].
    pub async fn verify_basic(
        &self,
        from: Attempt<'_>,
        name: &str,
        password: &Secret,
    ) -> Result<Principal, Error> {
        let stored = self.stored(name).await?;
        // The digest covers the stored hash, so it changes with the password.
        let digest = stored
            .as_ref()
            .map(|stored| self.basic_digest(&stored.hash, password.reveal()));
        let password_id = stored.as_ref().map(password_id);
        let (name, role) = match (stored, digest) {
            (Some(stored), Some(digest)) if self.is_remembered(&digest) => (stored.name, stored.role),
            (stored, digest) => {
                let verified = self.verify_stored(from, name, stored, password).await?;
                if let Some(digest) = digest {
                    self.remember(digest);
                }
                verified
            }
        };
        Ok(Principal {
            id: None,
            password_id,
            kind: CredentialKind::Session,
            name: name.to_string(),
            role,
        })
    }

    fn basic_digest(&self, hash: &str, password: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.basic().key);
        hasher
            .update(hash.as_bytes())
            .update(&[0])
            .update(password.as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn is_remembered(&self, digest: &[u8; 32]) -> bool {
        let at = self.basic().verified.get(digest).copied();
        at.is_some_and(|at| at.elapsed() < BASIC_LIFE)
    }

    fn remember(&self, digest: [u8; 32]) {
        let mut basic = self.basic();
        if basic.verified.len() >= MAX_BASIC {
            basic.verified.clear();
        }
        basic.verified.insert(digest, Instant::now());
    }

    fn basic(&self) -> std::sync::MutexGuard<'_, BasicCache> {
        // The cache stays valid even if a thread panics while it holds the lock.
        self.0.basic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn verify(
        &self,
        from: Attempt<'_>,
        name: &str,
        password: &Secret,
    ) -> Result<(UserName, Role), Error> {
        let stored = self.stored(name).await?;
        self.verify_stored(from, name, stored, password).await
    }

    /// `None` if there is no such user.
    async fn stored(&self, name: &str) -> Result<Option<StoredPassword>, Error> {
        match UserName::new(name) {
            Ok(name) => self.store().await?.password(&name).await,
            Err(_) => Ok(None),
        }
    }

    async fn verify_stored(
        &self,
        from: Attempt<'_>,
        name: &str,
        stored: Option<StoredPassword>,
        password: &Secret,
    ) -> Result<(UserName, Role), Error> {
        let user = match &stored {
            Some(stored) => Some(TypedUser {
                name: &stored.name,
                hash: &stored.hash,
                is_signed_in_here: self.is_signed_in_at(&stored.name, from.address).await?,
            }),
            None => None,
        };
        self.0.passwords.check(from.address, name, user, password).await?;
        // Without a user, the check never succeeds.
        let stored = stored.ok_or(Error::WrongPassword)?;
        Ok((stored.name, stored.role))
    }

    /// Whether the user has a session at this address; if so, guesses from elsewhere do not lock the user out.
    async fn is_signed_in_at(&self, name: &UserName, address: Option<IpAddr>) -> Result<bool, Error> {
        let network = address.map(network_of);
        let credentials = self.store().await?.credentials().await?;
        Ok(credentials.iter().any(|credential| {
            credential.kind == CredentialKind::Session
                && credential.name == name.as_str()
                && credential.address.map(network_of) == network
        }))
    }

    pub(super) async fn begin_session(
        &self,
        from: Attempt<'_>,
        name: UserName,
        role: Role,
    ) -> Result<SignedIn, Error> {
        let kind = CredentialKind::Session;
        let (id, secret) = self.add(from, kind, Owner::User(&name), None).await?;
        let principal = Principal {
            id: Some(id),
            password_id: None,
            kind,
            name: name.to_string(),
            role,
        };
        Ok(SignedIn { principal, secret })
    }

    pub(super) async fn add(
        &self,
        from: Attempt<'_>,
        kind: CredentialKind,
        owner: Owner<'_>,
        expires_at: Option<Timestamp>,
    ) -> Result<(String, Secret), Error> {
        let (id, secret) = (new_id(), new_secret());
        let agent = from.agent.map(stored_agent);
        let new = NewCredential {
            id: &id,
            digest: digest(secret.reveal()),
            kind,
            owner,
            expires_at,
            address: from.address,
            agent: agent.as_deref(),
        };
        self.store().await?.add_credential(new).await?;
        Ok((id, secret))
    }
}
