//! Users and their passwords.

use comptoir_core::Secret;

use super::{Accounts, Attempt};
use crate::{Error, Principal, Role, User, UserName, password_rules};

impl Accounts {
    /// Changes a person's own password and ends its other sessions.
    ///
    /// # Errors
    /// `current` is wrong, or `password` is invalid.
    pub async fn change_password(
        &self,
        from: Attempt<'_>,
        principal: &Principal,
        current: &Secret,
        password: &Secret,
    ) -> Result<(), Error> {
        let (name, _) = self.verify(from, &principal.name, current).await?;
        self.set_password(&name, password, principal.id.as_deref()).await
    }

    /// Sets a user's password and ends the user's sessions except `except`.
    ///
    /// # Errors
    /// The password is invalid, or there is no such user.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: &Secret,
        except: Option<&str>,
    ) -> Result<(), Error> {
        self.check_password(name, password)?;
        let hash = self.0.passwords.hash(password).await?;
        let store = self.store().await?;
        store.set_password(name, &hash).await?;
        store.end_sessions(&store.stored_name(name).await?, except).await
    }

    /// Checks the rules for passwords.
    ///
    /// # Errors
    /// The user may not choose this password.
    pub(super) fn check_password(&self, name: &UserName, password: &Secret) -> Result<(), Error> {
        password_rules::check(password.reveal(), name.as_str(), &self.0.shop)
    }

    /// All users.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        self.store().await?.users().await
    }

    /// The user with this name.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn user(&self, name: &UserName) -> Result<User, Error> {
        self.store().await?.user(name).await?.ok_or(Error::NoSuchUser)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// The name is taken, or the password is invalid.
    pub async fn add_user(&self, name: &UserName, role: Role, password: &Secret) -> Result<(), Error> {
        self.check_password(name, password)?;
        let hash = self.0.passwords.hash(password).await?;
        self.store().await?.add_user(name, role, &hash).await
    }

    /// Changes a user's role.
    ///
    /// # Errors
    /// There is no such user, or it is the last administrator.
    pub async fn set_role(&self, name: &UserName, role: Role) -> Result<(), Error> {
        self.store().await?.set_role(name, role).await
    }

    /// Removes a user and ends its sessions.
    ///
    /// # Errors
    /// There is no such user, or it is the last administrator.
    pub async fn remove_user(&self, name: &UserName) -> Result<(), Error> {
        self.store().await?.remove_user(name).await
    }
}
