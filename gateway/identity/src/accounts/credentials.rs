//! Sessions, screens and tokens.

use std::collections::HashMap;

use comptoir_core::Secret;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::sign_in::password_id;
use super::{Accounts, Attempt, USE_PRECISION};
use crate::credential::check_token_name;
use crate::secret::digest;
use crate::store::Owner;
use crate::{Credential, CredentialKind, Error, Principal, Role};

impl Accounts {
    /// The owner of a secret; `None` if the credential has ended or never existed.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn authenticate(&self, from: Attempt<'_>, secret: &str) -> Result<Option<Principal>, Error> {
        let now = Timestamp::now();
        let credential = self.store().await?.credential(digest(secret)).await?;
        let Some(credential) = credential.filter(|credential| credential.is_valid(now)) else {
            return Ok(None);
        };
        if now.duration_since(credential.used_at).abs() >= USE_PRECISION
            // A failed write, for example on a full disk, must not end a session.
            && let Err(error) = self.store().await?.used(&credential.id, from.address).await
        {
            warn!(%error, "the use of a session could not be noted");
        }
        Ok(Some(Principal {
            password_id: None,
            id: Some(credential.id),
            kind: credential.kind,
            name: credential.name,
            role: credential.role,
        }))
    }

    /// The valid credentials by id, and the users by [`Principal::password_id`], each with its present role.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn roles(&self) -> Result<HashMap<String, Role>, Error> {
        let now = Timestamp::now();
        let credentials = self.store().await?.credentials().await?.into_iter();
        let valid = credentials.filter(|credential| credential.is_valid(now));
        let mut roles: HashMap<String, Role> =
            valid.map(|credential| (credential.id, credential.role)).collect();
        let users = self.store().await?.passwords().await?;
        roles.extend(users.iter().map(|user| (password_id(user), user.role)));
        Ok(roles)
    }

    /// The valid sessions, screens and tokens, most recently used first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn credentials(&self) -> Result<Vec<Credential>, Error> {
        let now = Timestamp::now();
        let mut credentials = self.store().await?.credentials().await?;
        credentials.retain(|credential| credential.is_valid(now));
        Ok(credentials)
    }

    /// Ends a session, screen or token.
    ///
    /// # Errors
    /// There is none with this id.
    pub async fn end(&self, id: &str) -> Result<(), Error> {
        self.store().await?.end(id).await
    }

    /// Creates a token for a program. Its secret is not stored anywhere else.
    ///
    /// # Errors
    /// The name is invalid, or there are too many tokens.
    pub async fn add_token(
        &self,
        name: &str,
        role: Role,
        life: Option<SignedDuration>,
    ) -> Result<(String, Secret), Error> {
        let name = check_token_name(name)?;
        let expires_at = life.map(|life| Timestamp::now().saturating_add(life).unwrap_or(Timestamp::MAX));
        let here = Attempt {
            address: None,
            agent: None,
        };
        self.add(here, CredentialKind::Token, Owner::Label(name, role), expires_at)
            .await
    }
}
