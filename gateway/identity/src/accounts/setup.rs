//! Set-up: the first administrator.

use std::sync::atomic::Ordering;

use comptoir_core::Secret;
use tracing::{info, warn};

use super::{Accounts, Attempt, SETUP_CODE, SignedIn};
use crate::{Error, Role, UserName, setup_code};

impl Accounts {
    /// Whether there is an administrator.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn is_set_up(&self) -> Result<bool, Error> {
        if self.0.is_set_up.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let is_set_up = self.store().await?.has_administrator().await?;
        if is_set_up {
            self.0.is_set_up.store(true, Ordering::Relaxed);
            self.forget_code().await;
        }
        Ok(is_set_up)
    }

    /// The code for `/setup`, in readable form. It stays the same until set-up, and is also written to the file
    /// `setup-code`. `None` after set-up.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub async fn setup_code(&self) -> Result<Option<String>, Error> {
        if self.is_set_up().await? {
            return Ok(None);
        }
        let code = self
            .store()
            .await?
            .setting(SETUP_CODE, &setup_code::generate())
            .await?;
        if let Err(error) = setup_code::write(&self.0.code_file, &code) {
            warn!(%error, path = %self.0.code_file.display(), "the set-up code could not be written");
        }
        Ok(Some(setup_code::grouped(&code)))
    }

    async fn forget_code(&self) {
        if let Err(error) = setup_code::remove(&self.0.code_file) {
            warn!(%error, path = %self.0.code_file.display(), "the file of the set-up code could not be removed");
        }
        let removed = match self.store().await {
            Ok(store) => store.remove_setting(SETUP_CODE).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            warn!(%error, "the set-up code could not be removed");
        }
    }

    /// Creates the first administrator and signs it in.
    ///
    /// # Errors
    /// The code is wrong, an administrator exists, or the name or password is invalid.
    pub async fn set_up(
        &self,
        from: Attempt<'_>,
        code: &Secret,
        name: &str,
        password: &Secret,
    ) -> Result<SignedIn, Error> {
        if self.is_set_up().await? {
            return Err(Error::AlreadySetUp);
        }
        let network = self.0.passwords.network(from.address);
        let expected = self
            .store()
            .await?
            .setting(SETUP_CODE, &setup_code::generate())
            .await?;
        let is_right = || setup_code::matches(code.reveal(), &expected);
        let guess = self.0.setup_guesses.guess(network, is_right);
        if !guess.map_err(|after| Error::TooManyAttempts { after })? {
            return Err(Error::WrongSetupCode);
        }
        let name = UserName::new(name)?;
        self.check_password(&name, password)?;
        let hash = self.0.passwords.hash_for(network, password).await?;
        if !self.store().await?.add_first(&name, &hash).await? {
            return Err(Error::AlreadySetUp);
        }
        self.is_set_up().await?;
        self.store().await?.signed_in(&name).await?;
        info!(user = %name, "the gateway is set up");
        self.begin_session(from, name, Role::Administrator).await
    }

    /// Creates the user `admin` with the password from the configuration, if there is no administrator. Earlier
    /// versions had only that password.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn adopt_password(&self, password: &Secret) -> Result<(), Error> {
        if self.is_set_up().await? {
            return Ok(());
        }
        let name = UserName::new("admin")?;
        let hash = self.0.passwords.hash(password).await?;
        if self.store().await?.add_first(&name, &hash).await? {
            info!("http.password became the password of the user admin, who is administrator");
        }
        self.is_set_up().await?;
        Ok(())
    }
}
