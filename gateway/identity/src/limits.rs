//! Limits on sign-ins with a password, per address and per account.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::rate::{AttemptLimit, FirstGuesses, Network, Networks};
use crate::{Error, UserName};

/// How many wrong passwords an address and an account may try at once, and the time until another is allowed.
const WRONG_BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();
const WRONG_PERIOD: Duration = Duration::from_secs(6);
/// Wrong passwords per address and day that are exempt from the account's limit, so that guesses from elsewhere do not
/// lock its user out.
const FIRST_WRONG: u8 = 3;
/// Limit of right passwords per address and per user, because verifying one costs as much as a wrong one: 30 at once,
/// and 30 a minute. A session lasts for hours.
const RIGHT_BURST: NonZeroU32 = NonZeroU32::new(30).unwrap();
const RIGHT_PERIOD: Duration = Duration::from_secs(2);
/// Number of accounts shared by all unknown names. They have the same limits as a user's account.
const UNKNOWN_ACCOUNTS: u64 = 4_096;

/// Counts the sign-ins of this process.
pub struct SignInLimits {
    pub(crate) networks: Networks,
    wrong_by_address: AttemptLimit<Network>,
    wrong_by_account: AttemptLimit<String>,
    first_wrong: FirstGuesses,
    right_by_address: AttemptLimit<Network>,
    right_by_account: AttemptLimit<String>,
    /// Assigns an account to unknown names, differently in each process.
    unknown_names: RandomState,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl SignInLimits {
    pub fn new() -> Self {
        Self {
            networks: Networks::default(),
            wrong_by_address: AttemptLimit::new(WRONG_BURST, WRONG_PERIOD),
            wrong_by_account: AttemptLimit::new(WRONG_BURST, WRONG_PERIOD),
            first_wrong: FirstGuesses::new(FIRST_WRONG),
            right_by_address: AttemptLimit::new(RIGHT_BURST, RIGHT_PERIOD),
            right_by_account: AttemptLimit::new(RIGHT_BURST, RIGHT_PERIOD),
            unknown_names: RandomState::new(),
        }
    }

    /// The bucket in which an address is counted; `None` stands for this machine's own programs.
    pub fn network(&self, address: Option<IpAddr>) -> Network {
        self.networks.of(address)
    }

    /// The name under which the attempts with an account are counted. An unknown name has the same limits as a known one,
    /// so that a guesser learns nothing from them. Unknown names share a fixed number of accounts, so that memory is
    /// bounded.
    pub fn account(&self, known: Option<&UserName>, typed: &str) -> String {
        match known {
            Some(name) => name.as_str().to_lowercase(),
            None => format!(
                "\0{}",
                self.unknown_names.hash_one(typed.to_lowercase()) % UNKNOWN_ACCOUNTS
            ),
        }
    }

    /// Checks the limits on attempts. `is_known`: the user is signed in at this address already; guesses from elsewhere
    /// do not lock such a user out.
    ///
    /// # Errors
    /// There were too many attempts from this address, or with this account.
    pub fn check(&self, from: Network, account: &String, is_known: bool) -> Result<(), Error> {
        let of_account = match is_known || self.first_wrong.has_left(from) {
            true => Ok(()),
            false => self.wrong_by_account.check(account),
        };
        self.check_address(from)?;
        of_account
            .and_then(|()| self.right_by_account.check(account))
            .map_err(|after| Error::TooManyAttempts { after })
    }

    /// Checks the limits on attempts from an address.
    ///
    /// # Errors
    /// There were too many.
    pub fn check_address(&self, from: Network) -> Result<(), Error> {
        self.wrong_by_address
            .check(&from)
            .and_then(|()| self.right_by_address.check(&from))
            .map_err(|after| Error::TooManyAttempts { after })
    }

    pub fn count_right(&self, from: Network, account: &String) {
        self.right_by_address.count(&from);
        self.right_by_account.count(account);
    }

    pub fn count_wrong(&self, from: Network, account: &String) {
        self.wrong_by_address.count(&from);
        self.wrong_by_account.count(account);
        self.first_wrong.count(from);
    }
}
