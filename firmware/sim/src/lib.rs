//! Simulated point-of-sale terminals, many in one process: `pos-sim` as a library.
//!
//! Each terminal is a task with an MQTT 5 connection, an epoch, sequence numbers and a queue of its own. It
//! runs the terminals' own code where that exists: `comptoir-wire` for every byte, `comptoir-link` for what
//! is sent when. Its sales are invented ([`invent`], [`till`]) or replayed from real receipts ([`replay`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), comptoir_sim::SimError> {
//! use comptoir_sim::{Broker, End, Plan, Progress, run};
//!
//! let mut plan = Plan::new(Broker::new("localhost", 1883), "paris-1", 4, 100.0);
//! plan.end = End::Events(1_000);
//! let (progress, _watch_it) = tokio::sync::watch::channel(Progress::default());
//! let summary = run(plan, tokio_util::sync::CancellationToken::new(), progress).await?;
//! assert_eq!((summary.sold, summary.unacked), (1_000, 0));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod invent;
pub mod json;
mod ledger;
mod pace;
mod plan;
pub mod queue;
pub mod replay;
mod run;
mod session;
mod source;
mod tally;
mod terminal;
pub mod till;

pub use comptoir_link::Settings;
pub use ledger::LedgerError;
pub use plan::{Broker, End, Plan, PlanError, Sales};
pub use queue::QueueError;
pub use replay::ReplayError;
pub use run::{SimError, run};
pub use tally::{Latency, Progress, Summary};
pub use terminal::TerminalError;
