//! Errors of the accounts.

use comptoir_identity::Error;

use crate::access::InvalidGrant;

#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    #[error(transparent)]
    Identity(#[from] Error),
    #[error(transparent)]
    Grant(#[from] InvalidGrant),
}

impl From<sqlx::Error> for AccountsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Identity(Error::Storage(error))
    }
}

/// A stored value that this version does not know.
pub(super) fn damaged(column: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the accounts have an unknown {column}").into())
}
