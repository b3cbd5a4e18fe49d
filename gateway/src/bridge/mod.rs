//! Journal → Kafka exactly once, and back.
//!
//! [`relay`] sends the journal's entries in transactions. Each transaction includes the [`watermark`], the journal
//! offset of its last entry. Kafka commits both or neither, so after a crash Kafka itself proves where to continue
//! ([`evidence`]). [`topic_watch`] inspects the topics that this depends on. [`read_back`] consumes the topics like any
//! other `read_committed` consumer, and so shows which events have really arrived.
//!
//! Without a read-back, [`spot_check`] reads samples of the gateway's own events back.
//!
//! Others may write to the topics too. The gateway signs its records with [`ShopKeys`] and checks every record that it
//! reads: [`provenance`] decides whose a record is, and [`foreign`] validates the records of others like a till's.

mod batch;
pub mod evidence;
pub mod foreign;
mod left_out;
pub mod progress;
pub mod provenance;
pub mod read_back;
pub mod relay;
pub mod spot_check;
pub mod topic_watch;
pub mod watermark;

use comptoir_core::mac::MacKey;
use comptoir_core::shop_secret::ShopSecret;

pub use batch::{MAX_BYTES, MAX_ENTRIES};

/// The keys that sign the bridge's records.
#[derive(Debug, Clone)]
pub struct ShopKeys {
    pub records: MacKey,
    pub watermarks: MacKey,
}

impl From<&ShopSecret> for ShopKeys {
    fn from(secret: &ShopSecret) -> Self {
        Self {
            records: secret.record_key(),
            watermarks: secret.watermark_key(),
        }
    }
}
