//! The domain of Comptoir: events and their names, sales, money. No I/O and no configuration; the only clock is
//! [`sale::now`].
//!
//! * [`event`]: the names of devices and events.
//! * [`sale`]: orders, payments and deliveries. Values of these types are always valid.
//! * [`record`], [`position`]: the types that the Kafka consumers and the pages' read model exchange.
//! * [`shop_secret`], [`mac`]: the shop's secret, and the codes that distinguish its records in Kafka from forged ones.
//! * [`chain`]: hash chains.
//! * [`secret`]: values that must not appear in logs.

pub mod chain;
pub mod command;
pub mod event;
pub mod mac;
pub mod position;
pub mod record;
pub mod sale;
pub mod secret;
pub mod shop_secret;

pub use secret::Secret;

/// A position in the journal: 1, 2, 3 … without gaps. 0 is the position before the first entry. Not a Kafka offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);
