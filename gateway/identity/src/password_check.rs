//! Checks a password within the limits on guessing. The gateway and head office store their users differently, and check
//! passwords with this.

use std::net::IpAddr;
use std::sync::Arc;

use comptoir_core::Secret;

use crate::limits::SignInLimits;
use crate::password::Hasher;
use crate::rate::Network;
use crate::{Error, UserName};

/// The user whose name was typed.
#[derive(Debug, Clone, Copy)]
pub struct TypedUser<'a> {
    pub name: &'a UserName,
    /// The password's Argon2id hash in PHC string format.
    pub hash: &'a str,
    /// Whether the user is signed in at this address already; guesses from elsewhere do not lock such a user out.
    pub is_signed_in_here: bool,
}

/// Hashes and checks passwords, and counts the attempts of this process.
#[derive(Default)]
pub struct PasswordCheck {
    hasher: Hasher,
    pub(crate) limits: Arc<SignInLimits>,
}

impl PasswordCheck {
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the limits on attempts from an address, before anything is read for one.
    ///
    /// # Errors
    /// There were too many attempts from this address.
    pub fn check_address(&self, address: Option<IpAddr>) -> Result<(), Error> {
        self.limits.check_address(self.network(address))
    }

    /// Checks the password of `user`, who has the name `typed`; `None` if nobody has this name. That takes as long and is
    /// limited in the same way, so that a guesser does not learn which names exist.
    ///
    /// # Errors
    /// Name or password is wrong, there were too many attempts from this address or with this name, or too many requests
    /// are waiting.
    pub async fn check(
        &self,
        address: Option<IpAddr>,
        typed: &str,
        user: Option<TypedUser<'_>>,
        password: &Secret,
    ) -> Result<(), Error> {
        let network = self.network(address);
        let account = self.limits.account(user.map(|user| user.name), typed);
        let is_signed_in_here = user.is_some_and(|user| user.is_signed_in_here);
        self.limits.check(network, &account, is_signed_in_here)?;
        let hash = user.map(|user| user.hash.to_owned());
        // Checked again when it is this password's turn: others may have waited at the same time.
        let (limits, of) = (Arc::clone(&self.limits), account.clone());
        let check = move || limits.check(network, &of, is_signed_in_here);
        let limits = Arc::clone(&self.limits);
        // Never right without a hash.
        let count = move |is_right| match is_right {
            true => limits.count_right(network, &account),
            false => limits.count_wrong(network, &account),
        };
        let is_right = self.hasher.verify(network, password, hash, check, count).await?;
        is_right.then_some(()).ok_or(Error::WrongPassword)
    }

    /// The hash of a new password, for a signed-in user or the command line. A flood of sign-ins cannot displace them.
    ///
    /// # Errors
    /// Too many requests are waiting.
    pub async fn hash(&self, password: &Secret) -> Result<String, Error> {
        self.hash_for(self.network(None), password).await
    }

    /// The hash of a new password, for a request from this network.
    pub(crate) async fn hash_for(&self, network: Network, password: &Secret) -> Result<String, Error> {
        self.hasher.hash(network, password).await
    }

    pub(crate) fn network(&self, address: Option<IpAddr>) -> Network {
        self.limits.network(address)
    }
}
