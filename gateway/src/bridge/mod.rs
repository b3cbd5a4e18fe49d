//! From the journal into Kafka, exactly once, and back.
//!
//! [`relay`] sends the journal's entries in transactions, and with each the [`watermark`]: how far it is.
//! Both are committed together or not at all, so after a crash Kafka itself says where to go on ([`evidence`]).
//! [`topic_watch`] sees to it that the topics are as that needs.
//! [`readback`] reads the topics as any other reader would, and so knows what has really arrived.

mod batch;
pub mod evidence;
pub mod readback;
pub mod relay;
pub mod topic_watch;
pub mod watermark;

pub use batch::{MAX_BYTES, MAX_ENTRIES};
