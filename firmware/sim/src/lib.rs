//! Simulated tills, many in one process: `pos-sim` as a library.
//!
//! Each till is a task with an MQTT 5 connection, and runs the firmware: the till of `comptoir-terminal`, the queue of
//! `comptoir-queue` on a flash in memory or in a file, the uplink of `comptoir-link`, and the wire format of
//! `comptoir-wire`. This crate simulates a real till's environment: a cashier with invented customers ([`cashier`],
//! [`comptoir_invent`]) or recorded receipts ([`replay`]), an MQTT client, and [`faults`]. [`interactive`] is a till for a person at a
//! keyboard.
//!
//! ```no_run
//! # async fn example() -> Result<(), comptoir_sim::SimError> {
//! use comptoir_sim::{Broker, End, Plan, Progress, run};
//!
//! let mut plan = Plan::new(Broker::new("localhost", 1883), "paris-1", 4, 100.0);
//! plan.end = End::Events(1_000);
//! let (progress, _progress) = tokio::sync::watch::channel(Progress::default());
//! let summary = run(plan, tokio_util::sync::CancellationToken::new(), progress).await?;
//! assert_eq!((summary.sold, summary.unacked), (1_000, 0));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cashier;
mod client;
mod dialect;
pub mod faults;
mod flash;
pub mod interactive;
mod json;
mod ledger;
mod pace;
mod plan;
mod pulse;
mod queue;
pub mod replay;
mod run;
mod session;
mod source;
mod tally;
mod till;

pub use comptoir_link::Settings;
pub use flash::FlashFileError;
pub use ledger::LedgerError;
pub use plan::{Broker, End, Plan, PlanError, Sales};
pub use queue::QueueError;
pub use replay::ReplayError;
pub use run::{SimError, run};
pub use tally::{Latency, Progress, Summary};
pub use till::SimulatedTillError;
