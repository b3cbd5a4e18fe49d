//! Who asks, and which shops they may see.

use std::collections::BTreeSet;
use std::sync::Arc;

use comptoir_identity::Role;

/// Whoever sent a request or opened a live connection. The middleware in [`crate::http`] stores it in the request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user or token, for the log.
    pub name: Arc<str>,
    pub role: Role,
    pub shops: VisibleShops,
}

impl Caller {
    /// Somebody on the office's own machine, while the office has no accounts.
    pub fn local() -> Self {
        Self {
            name: Arc::from("local"),
            role: Role::Administrator,
            shops: VisibleShops::All,
        }
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
}
