//! Errors of the accounts.

use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the name or the password is wrong")]
    WrongPassword,
    #[error("the set-up code is wrong")]
    WrongSetupCode,
    #[error("there is an administrator already")]
    AlreadySetUp,
    #[error("too many attempts; try again in {} s", after.as_secs().max(1))]
    TooManyAttempts { after: Duration },
    #[error("{0}")]
    InvalidName(&'static str),
    #[error("{0}")]
    InvalidPassword(String),
    #[error("there is a user of that name already")]
    UserExists,
    #[error("there is no such user")]
    NoSuchUser,
    #[error("there is no such session, screen or token")]
    NoSuchCredential,
    #[error("this is the last administrator; make another user administrator first")]
    LastAdministrator,
    #[error("there are {0} already, which is the limit")]
    TooMany(&'static str),
    #[error("no screen is waiting with that code")]
    NoSuchPairing,
    #[error("the accounts could not be read or written: {0}")]
    Storage(#[from] sqlx::Error),
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}
