//! Roles.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role. Each includes the rights of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, without the customers' e-mail and other addresses.
    Viewer,
    /// Also creates orders, payments and deliveries.
    Cashier,
    /// Also sees personal data, retries dead letters and pairs wall screens.
    Manager,
    /// Also manages users, sessions and tokens.
    Administrator,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a role; write viewer, cashier, manager or administrator")]
pub struct UnknownRole(String);

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Cashier, Self::Manager, Self::Administrator];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Cashier => "cashier",
            Self::Manager => "manager",
            Self::Administrator => "administrator",
        }
    }

    /// Whether the role sees the customers' e-mail and other addresses.
    pub fn sees_personal_data(self) -> bool {
        self >= Self::Manager
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let role = Self::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}
