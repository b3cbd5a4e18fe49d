//! A trouble, as alerts name it.

use serde::{Deserialize, Serialize};

/// The troubles in which sales are lost, cannot be made, or their state is unknown, worst first.
pub const SEVERE: [&str; 6] = [
    "silent",
    "journal-refusing",
    "events-lost",
    "devices-refused",
    "missing-numbers",
    "mqtt-down",
];

/// A trouble of a shop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShopTrouble {
    pub store: String,
    /// The word for it in JSON: `silent`.
    pub trouble: String,
}

impl ShopTrouble {
    /// Whether sales are lost, cannot be made, or their state is unknown.
    pub fn is_severe(&self) -> bool {
        SEVERE.contains(&&*self.trouble)
    }
}
