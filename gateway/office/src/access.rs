//! The caller of a request, and the shops that the caller may see.

use std::collections::BTreeSet;
use std::sync::Arc;

use comptoir_core::event::DeviceId;
use comptoir_identity::{CredentialKind, Role};

/// The user or program that sent a request or opened a live connection. The middleware in [`crate::http`] stores it in the
/// request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user or token, for the log.
    pub name: Arc<str>,
    pub role: Role,
    pub shops: VisibleShops,
    /// The session or token of the request. `None` while the office has no accounts.
    pub credential: Option<CallerCredential>,
}

/// The session or token of a request.
#[derive(Debug, Clone)]
pub struct CallerCredential {
    /// Not secret.
    pub id: Arc<str>,
    pub kind: CredentialKind,
    /// Whether the user has a password here, and not at an identity provider.
    pub has_password: bool,
    /// Tells users with the same name apart: the account, or the identity provider's name for the user. `None` for tokens.
    pub owner: Option<Arc<str>>,
}

impl Caller {
    /// Somebody on the office's own machine, while the office has no accounts.
    pub fn local() -> Self {
        Self {
            name: Arc::from("local"),
            role: Role::Administrator,
            shops: VisibleShops::All,
            credential: None,
        }
    }

    /// Tells apart callers that may have the same name: `account KEY`, `provider SUBJECT`, `token ID` or `local`.
    pub fn identity(&self) -> String {
        let Some(credential) = &self.credential else {
            return "local".to_owned();
        };
        match &credential.owner {
            Some(account) if credential.has_password => format!("account {account}"),
            Some(subject) => format!("provider {subject}"),
            None => format!("token {}", credential.id),
        }
    }

    /// The id of the session or token; `None` while the office has no accounts.
    pub fn credential_id(&self) -> Option<&str> {
        self.credential.as_ref().map(|credential| &*credential.id)
    }

    pub fn grant(&self) -> Grant {
        Grant {
            role: self.role,
            shops: self.shops.clone(),
        }
    }

    /// Whether the caller sees the customers' e-mail and other addresses.
    pub fn sees_personal_data(&self) -> bool {
        self.role.sees_personal_data()
    }
}

/// The shops that a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisibleShops {
    All,
    Some(Arc<BTreeSet<String>>),
}

impl VisibleShops {
    pub fn contains(&self, store: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(stores) => stores.contains(store),
        }
    }

    /// For SQL, as in `$1::text[] IS NULL OR store = ANY($1)`. `None`: all shops.
    pub fn for_sql(&self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Some(stores) => Some(stores.iter().cloned().collect()),
        }
    }

    /// The shops of a column or a JSON field. `None`: all shops.
    pub fn from_names(names: Option<Vec<String>>) -> Self {
        names.map_or(Self::All, |names| {
            Self::Some(Arc::new(names.into_iter().collect()))
        })
    }
}

/// What a user or token may do, and in which shops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub role: Role,
    pub shops: VisibleShops,
}

/// Most shops in one list.
const MAX_SHOPS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    #[error("shops: {0:?} is not a shop; write names such as \"paris-1\"")]
    NotAShop(String),
    #[error("shops: the list is empty; name at least one shop, or leave the list out for all shops")]
    NoShop,
    #[error("shops: at most {MAX_SHOPS}; leave the list out for all shops")]
    TooManyShops,
    #[error("shops: an administrator sees all shops; leave the list out")]
    Administrator,
}

impl Grant {
    /// `shops`: `None` for all.
    ///
    /// # Errors
    /// The list of shops is empty or too long, contains something else, or restricts an administrator, who could lift the
    /// restriction.
    pub fn new(role: Role, shops: Option<Vec<String>>) -> Result<Self, InvalidGrant> {
        if let Some(shops) = &shops {
            if role == Role::Administrator {
                return Err(InvalidGrant::Administrator);
            }
            if shops.is_empty() {
                return Err(InvalidGrant::NoShop);
            }
            if shops.len() > MAX_SHOPS {
                return Err(InvalidGrant::TooManyShops);
            }
            if let Some(shop) = shops.iter().find(|shop| DeviceId::gateway(shop).is_err()) {
                return Err(InvalidGrant::NotAShop(shop.chars().take(64).collect()));
            }
        }
        Ok(Self {
            role,
            shops: VisibleShops::from_names(shops),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_shops_is_checked_and_an_administrator_has_none() {
        let shops = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let (viewer, administrator) = (Role::Viewer, Role::Administrator);
        assert_eq!(Grant::new(viewer, None).unwrap().shops, VisibleShops::All);
        let grant = Grant::new(viewer, shops(&["paris-1", "lyon-1"])).unwrap();
        assert!(grant.shops.contains("lyon-1") && !grant.shops.contains("lyon-2"));
        for (role, names, error) in [
            (viewer, shops(&[]), InvalidGrant::NoShop),
            (
                viewer,
                shops(&["Paris"]),
                InvalidGrant::NotAShop("Paris".to_owned()),
            ),
            (administrator, shops(&["paris-1"]), InvalidGrant::Administrator),
        ] {
            assert_eq!(Grant::new(role, names), Err(error));
        }
    }
}
